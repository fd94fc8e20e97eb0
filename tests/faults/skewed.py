"""Gives a worker a wrong clock, before it does anything: ``-I tests.faults.skewed``. The monotonic clocks are right."""

import os
import time
from unittest.mock import patch

#: The variable that says by how many seconds it is ahead; without it nothing is done.
SECONDS = "TEST_SKEWED_SECONDS"

if SECONDS in os.environ:
    _right, _ahead = time.time, float(os.environ[SECONDS])
    patch("time.time", lambda: _right() + _ahead).start()
    patch("time.time_ns", lambda: int((_right() + _ahead) * 1e9)).start()
