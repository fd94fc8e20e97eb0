"""Whether this worker is on its way out, and whether it lives: one that consumes."""

import math
import threading
import time
from typing import Any, Final

#: Set when the worker begins to stop, for good: nothing is taken and no call starts after it.
stopping = threading.Event()

#: Seconds that calls get for their answers after a second signal, or after SIGQUIT.
HURRY: Final = 5.0


class Impatience:
    """How long a stopping worker may still wait for calls that are out: less when it is told twice."""

    def __init__(self) -> None:
        self._signals = 0
        self.deadline = math.inf

    def hear(self, how: str = "Warm", **_: Any) -> None:  # noqa: ANN401 - a Celery signal's arguments
        """Takes in a signal that stops the worker (for Celery's `worker_shutting_down`)."""
        self._signals += 1
        if self._signals > 1 or how == "Cold":
            self.deadline = min(self.deadline, time.monotonic() + HURRY)


impatience = Impatience()


class Pulse:
    """When the consumer last did what it is there for: took, or found that nothing may be taken, or finished a job.

    A process that lives and a connection that stands prove nothing (F92).
    """

    def __init__(self) -> None:
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Notes a sign of life."""
        self._beat = time.monotonic()

    def silence(self) -> float:
        """Returns the seconds since the last one."""
        return time.monotonic() - self._beat


pulse = Pulse()
