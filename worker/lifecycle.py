"""Whether this worker is on its way out, and whether it lives: one that consumes."""

import math
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from celery.worker import state

from config.settings import WorkerSettings

#: Set when the worker begins to stop, for good: nothing is taken and no call starts after it.
stopping = threading.Event()

#: Seconds that calls get for their answers after a second signal, or after SIGQUIT.
HURRY: Final = 5.0

#: Seconds that the ledger's part of a job may take while Redis answers.
_WRITES: Final = 5.0
#: Intervals of the common pace that a job may wait for: a pace that the gateway has lowered is up to 8 times as slow.
_MOMENTS: Final = 16


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


class Work(NamedTuple):
    """What Celery's worker has in hand.

    Attributes:
        jobs: Jobs that were taken and haven't ended; those of a connection that was lost aren't counted.
        ended: Jobs that have ended since the worker started.
    """

    jobs: int
    ended: int


def in_hand() -> Work:
    """Looks at what Celery's worker has in hand; from any thread."""
    accepted = state.all_total_count[0]  # before those that are out: one that is accepted meanwhile must not look ended
    return Work(len(state.requests), accepted - len(state.active_requests))


class Pulse:
    """For how long the worker hasn't done what it is there for: taking jobs, and ending those that it took.

    A process that lives and a connection that stands prove nothing (F92). Waiting is no silence: with empty lanes it
    takes nothing each second, and while a pause, a gate or the pace hold it back it notes that each second.

    Args:
        longest: Seconds that a job may take once a slot is its own. While jobs are in hand, only what lasts longer is
            silence: all slots may be busy with slow calls.
        work: Says what the worker has in hand.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        longest: Callable[[], float] | None = None,
        work: Callable[[], Work] = in_hand,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._longest = longest or _longest_job
        self._work = work
        self._clock = clock
        self._beat = self._moved = clock()
        self._ended = 0

    def beat(self) -> None:
        """Notes that the consumer took, or found that nothing may be taken, or that a job has left its window."""
        self._beat = self._clock()

    def silence(self) -> float:
        """Returns the seconds of silence. To be asked about once a second: what moves is seen by comparing."""
        now = self._clock()
        jobs, ended = self._work()
        if ended > self._ended or not jobs:
            self._moved = now
        self._ended = max(ended, self._ended)
        silence = now - min(self._beat, self._moved)
        return silence if silence > (self._longest() if jobs else 0.0) else 0.0


@cache
def _longest_job() -> float:
    """Seconds from a job's slot to its end at most: its call, tries in place, moments of the pace, the ledger."""
    settings = WorkerSettings.load()
    return settings.call_timeout + settings.retry_window + _MOMENTS * settings.interval_ms / 1000 + _WRITES


pulse = Pulse()
