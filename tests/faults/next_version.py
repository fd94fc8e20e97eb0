"""Makes a worker one of the next version, whose records are one newer: ``-I tests.faults.next_version``."""

from unittest.mock import patch

from smsq.job import RECORD_VERSION
from tests.soak.mutants import Lines, Mutant

NEXT = RECORD_VERSION + 1

_LINES = Lines("_record", f"local VERSION = {RECORD_VERSION} ", f"local VERSION = {NEXT} ")
Mutant("its records are of the next version", lines=(_LINES,)).apply()
patch("smsq.job.RECORD_VERSION", NEXT).start()
