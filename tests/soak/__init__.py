"""The soak: real workers, a real server and the sandbox gateway under faults mixed at random, and three books compared."""
