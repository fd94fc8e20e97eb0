"""What monitoring sees of a worker."""
