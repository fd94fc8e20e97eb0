"""Slots: how many calls may be out at once, the higher lane first."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Self

from smsq.lanes import LANES, Lane

#: Told when the job in this context gets its slot: for Celery that is the moment at which the task is active.
on_slot: ContextVar[Callable[[], None] | None] = ContextVar("on_slot", default=None)


class Slots:
    """A semaphore whose waiters are served by lane, so that a code doesn't wait behind a campaign's calls.

    Args:
        limit: Calls at once; None for as many as there are callers (Celery's own pools limit them).
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
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

    def slot(self, lane: Lane) -> "_Slot":
        """Returns an async context that holds a slot."""
        return _Slot(self, lane)

    async def acquire(self, lane: Lane) -> None:
        """Waits for a slot."""
        if not self._free() or any(self._waiting.values()):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[lane].append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self.release()  # it was served and cancelled in the same turn
                raise
        else:
            self.used += 1
        if told := on_slot.get():
            on_slot.set(None)
            told()

    def release(self) -> None:
        """Gives a slot back."""
        self.used -= 1
        self._serve()

    def _free(self) -> bool:
        return self._limit is None or self.used < self._limit

    def _serve(self) -> None:
        for waiting in self._waiting.values():
            while waiting and self._free():
                future = waiting.popleft()
                if not future.done():
                    self.used += 1
                    future.set_result(None)


class _Slot:
    __slots__ = ("_lane", "_slots")

    def __init__(self, slots: Slots, lane: Lane) -> None:
        self._slots = slots
        self._lane = lane

    async def __aenter__(self) -> Self:
        await self._slots.acquire(self._lane)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()
