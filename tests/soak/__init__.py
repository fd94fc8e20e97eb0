"""The soak: real workers, a real server and the sandbox gateway under faults mixed at random, then three books compared.

`make soak JOBS=10000 SEED=1`. The seed fixes the messages and the schedule of the faults; what the faults meet depends on
how the machine runs the processes, so two runs of one seed are alike, not the same.
"""
