"""Has a worker's interpreter stand still, as greedy extensions do: ``-I tests.faults.greedy``, then `SIGNAL`.

Nothing of Python runs meanwhile, in no thread: neither the renewal of leases nor the loop of the calls.
"""

import ctypes
import os
import signal
import sys

SIGNAL = signal.SIGRTMIN
#: The variable that says for how many seconds; without it nothing is done.
SECONDS = "TEST_GREEDY_SECONDS"
#: What is in the worker's log when it is over.
EVENT = "stood_still"

_holds_the_interpreter = ctypes.PyDLL(None)  # unlike CDLL it doesn't release the interpreter for the call


def _stand_still(*_: object) -> None:
    _holds_the_interpreter.usleep(int(float(os.environ[SECONDS]) * 1_000_000))
    sys.stdout.write(f'{{"event": "{EVENT}"}}\n')


if SECONDS in os.environ:
    signal.signal(SIGNAL, _stand_still)
