"""Slots: how many calls may be out at once, and that no lane's calls keep another lane's waiting."""

import asyncio
from collections import deque

from smsq.lanes import LANES, Lane

#: One part in so many of a limit comes on top of it for each lane alone, and one at least.
OWN_PART = 10


def own_share(limit: int) -> int:
    """Returns how much each lane has for itself, beside what all lanes share.

    A lane whose calls hang can fill what is shared. It never fills what another lane has of its own, above it or below
    it: a code is called for at once, and a campaign goes on whatever comes before it.
    """
    return -(-limit // OWN_PART)


class Slots:
    """A semaphore whose waiters are served by lane, so that a code doesn't wait behind a campaign's calls.

    All lanes share the limit; beside it each has a few slots of its own (`own_share`). One lane alone never has more
    than the limit.

    Args:
        limit: Calls at once; None for as many as there are callers (Celery's own pools limit them).
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._own = 0 if limit is None else own_share(limit)
        self._closed = False
        self.used = 0
        self._by_lane: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in LANES}

    @property
    def limit(self) -> int | None:
        """Calls at once that all lanes share."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit, self._own = limit, own_share(limit)
        self._serve()

    def close(self) -> None:
        """Gives no slot any more: who waits for one is told at once."""
        self._closed = True
        for waiting in self._waiting.values():
            while waiting:
                if not (future := waiting.popleft()).done():
                    future.set_result(None)

    async def acquire(self, lane: Lane) -> bool:
        """Waits for a slot.

        Returns:
            Whether it was given; `release` it then.
        """
        if not self._closed and not self._free(lane):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[lane].append(future)
            await future  # nobody cancels a job: what is out has an outcome
            if self._closed:
                return False
        elif self._closed:
            return False
        else:
            self._give(lane)
        return True

    def release(self, lane: Lane) -> None:
        """Gives back a slot that the lane was given."""
        self.used -= 1
        self._by_lane[lane] -= 1
        self._serve()

    def _free(self, lane: Lane) -> bool:
        return self._limit is None or self.used < self._limit or self._by_lane[lane] < self._own

    def _give(self, lane: Lane) -> None:
        self.used += 1
        self._by_lane[lane] += 1

    def _serve(self) -> None:
        for lane, waiting in self._waiting.items():
            while waiting and self._free(lane):
                if not (future := waiting.popleft()).done():
                    self._give(lane)
                    future.set_result(None)


class Place:
    """A job's place among those that have begun or are about to, and haven't been called. Left once."""

    __slots__ = ("_lane", "_places")

    def __init__(self, places: Slots, lane: Lane) -> None:
        self._places: Slots | None = places
        self._lane: Lane = lane

    def leave(self) -> None:
        """Leaves it to another, if that wasn't done before."""
        if self._places is not None:
            self._places.release(self._lane)
            self._places = None


def places_for(slots: int) -> int:
    """Returns how many jobs may be begun or called at once: begin runs ahead of the slots, but not far.

    A begun job of a worker that dies must be asked about, called or not. Twice the slots hide the round trip of a begin
    on a busy machine, too: with a quarter more, a gateway of 50 ms saw a few slots in a hundred empty.
    """
    return 2 * slots
