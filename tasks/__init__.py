"""What a worker does with one job, from begin to settle."""
