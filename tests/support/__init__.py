"""What the tests stand on: real servers and processes, and waiting on conditions."""
