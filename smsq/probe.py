"""Whether workers consume, judged by their deeds (F92): what `smsq probe` and `smsq doctor` ask of the ledger.

A worker's heartbeat is its look at what is due, once a second, so it isn't only a sign of life. What it says with it
includes for how long it has taken nothing, or ended nothing of what it took, though it should (`worker.lifecycle`).
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from smsq import ledger
from smsq.connection import SyncRunner
from smsq.overview import Worker
from smsq.queue import DEADLINE
from smsq.settings import Settings

#: Seconds for which it may take or end nothing though it should.
STALLED: Final = 60.0
#: Milliseconds by which an entry of `due` must be late before it means that nobody looks.
LATE: Final = 60_000


@dataclass(frozen=True, slots=True)
class Health:
    """What the ledger says about its workers; times in ms of Redis's clock.

    Attributes:
        now: When it was asked.
        held: Until when the gateway wanted no calls; that may be over.
        late: Jobs whose moment came more than `LATE` ago, and that no worker has looked at.
        latest: How long ago that of the first of them came.
        workers: All that were heard of and haven't said that they stop, by name.
    """

    now: int
    held: int
    late: int
    latest: int
    workers: tuple[Worker, ...]

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Reads what `health.lua` answers."""
        now, due = int(found["now"]), found["due"]
        heard = tuple(Worker.read(name, each, now) for name, each in sorted(dict(found["workers"]).items()))
        return cls(now, int(found["held"]), int(due["late"]), now - int(due.get("oldest", now)), heard)

    def stalled(self, worker: Worker) -> float:
        """Returns the seconds for which a worker has done nothing though it should.

        That the gateway wants no calls for a while is not its fault: jobs that wait for that in its hands don't end.
        """
        said = worker.said.get("stalled")
        seconds = float(said) if isinstance(said, int | float) else 0.0
        return max(0.0, min(seconds, (self.now - self.held) / 1000))

    def complaint(self, worker: Worker, limit: float = STALLED) -> str | None:
        """Returns why a worker doesn't consume, or None if it does.

        Args:
            worker: One of `workers`.
            limit: Seconds for which it may do nothing though it should.
        """
        if worker.leaving:
            return "it is leaving: it takes no more, and waits for answers to what it has out"
        if not worker.live:
            return f"it was last heard of {worker.heard // 1000} s ago"
        if worker.said.get("lanes") == []:
            return "it reads no lane: its consumers were cancelled"
        if (stalled := self.stalled(worker)) >= limit:
            return f"it has taken no job, or ended none of those it took, for {stalled:.0f} s though it should"
        return None


def read_health(settings: Settings) -> Health:
    """Asks the ledger about its workers.

    Raises:
        QueueUnavailable: Redis didn't answer in two seconds.
    """
    runner = SyncRunner(settings.address)
    try:
        return Health.read(runner.run(ledger.health(LATE), DEADLINE))
    finally:
        runner.close()


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found: the worker that was judged, None if there is none, and why it doesn't consume, if so."""

    worker: str | None
    complaint: str | None


def probe(health: Health, name: str | None = None, *, limit: float = STALLED) -> Probed:
    """Judges a worker; without a name one of this host, the best of them.

    Args:
        health: What the ledger says.
        name: The worker's, as Celery calls it.
        limit: Seconds for which it may do nothing though it should.
    """
    host = socket.gethostname()
    candidates = [
        each for each in health.workers if (each.name == name if name is not None else each.said.get("host") == host)
    ]
    if not candidates:
        where = "of that name" if name is not None else f"on this host ({host})"
        return Probed(name, f"no worker {where} is known")
    best = min(candidates, key=lambda each: (health.complaint(each, limit) is not None, each.heard))
    return Probed(best.name, health.complaint(best, limit))
