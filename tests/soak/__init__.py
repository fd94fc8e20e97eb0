"""The soak: real workers, a real server and the sandbox gateway under faults mixed at random, and what came of it.

``make soak JOBS=10000 SEED=1``, or ``python -m tests.soak --help``.
"""
