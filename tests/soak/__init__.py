"""The soak: real workers, a real server and the sandbox gateway under faults mixed at random; then three books compared.

``make soak JOBS=10000 SEED=1``, or ``python -m tests.soak --help``.
"""
