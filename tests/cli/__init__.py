"""The command line: real processes, as a person or a script runs them."""
