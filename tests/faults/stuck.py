"""Has the loop on which a worker's jobs run stand still, in its main process: ``-I tests.faults.stuck``, then `SIGNAL`.

The same signal again lets it go on. All else of the process runs meanwhile: its consumer, and its heartbeat.
"""

import os
import signal
import threading

from tasks.runtime import runtime

SIGNAL = signal.SIGRTMIN + 1
#: The variable that a worker must have for it; without it nothing is done.
ALLOWED = "TEST_STUCK"

_goes_on = threading.Event()
_goes_on.set()


def _toggle(*_: object) -> None:
    if _goes_on.is_set():
        _goes_on.clear()
        runtime().thread.loop.call_soon_threadsafe(_goes_on.wait)
    else:
        _goes_on.set()


if ALLOWED in os.environ:
    signal.signal(SIGNAL, _toggle)
