"""Slots: how many calls may be out at once, the higher lane first."""

import asyncio
from collections import deque

from smsq.lanes import LANES, Lane


class Slots:
    """A semaphore whose waiters are served by lane, so that a code doesn't wait behind a campaign's calls.

    Args:
        limit: Calls at once; None for as many as there are callers (Celery's own pools limit them).
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._closed = False
        self.used = 0
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in LANES}

    @property
    def limit(self) -> int | None:
        """Calls at once."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
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
        if not self._closed and not self._free():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[lane].append(future)
            await future  # nobody cancels a job: what is out has an outcome
            if self._closed:
                return False
        elif self._closed:
            return False
        else:
            self.used += 1
        return True

    def release(self) -> None:
        """Gives a slot back."""
        self.used -= 1
        self._serve()

    def _free(self) -> bool:
        return self._limit is None or self.used < self._limit

    def _serve(self) -> None:
        for waiting in self._waiting.values():
            while waiting and self._free():
                if not (future := waiting.popleft()).done():
                    self.used += 1
                    future.set_result(None)
