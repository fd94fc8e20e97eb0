"""`make bench` itself, in its smallest form: nothing here asserts how fast anything is."""
