"""Many callers, one round trip: what arrives while a call is out goes with the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

I = TypeVar("I")  # noqa: E741 - item
O = TypeVar("O")  # noqa: E741 - outcome


class Batcher(Generic[I, O]):
    """Hands items to a function in batches, one batch at a time, in the order of their arrival.

    Args:
        run: Takes a batch, returns an outcome for each item, in order.
        limit: Items in a batch at most: what Redis does in about a millisecond, so that it stays responsive.
        pace: Seconds from one batch's start to the next one's at least. What comes alone goes at once; under load a
            round trip costs as much as the work for several items.
    """

    def __init__(
        self, run: Callable[[Sequence[I]], Awaitable[Sequence[O]]], limit: int = 200, pace: float = 0.0
    ) -> None:
        self._run = run
        self._limit = limit
        self._pace = pace
        self._next = 0.0
        self._waiting: list[tuple[I, asyncio.Future[O]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: I) -> O:
        """Adds an item to the next batch and returns its outcome, or raises what the batch's run raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[O] = loop.create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            # A task starts with the loop's next turn: all that arrives in this one is in its first batch.
            self._worker = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if len(self._waiting) < self._limit and (early := self._next - loop.time()) > 0:
                await asyncio.sleep(early)
            self._next = loop.time() + self._pace
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            try:
                outcomes = await self._run([item for item, _ in batch])
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if not future.done():
                        future.set_result(outcome)
            except Exception as error:  # noqa: BLE001 - each caller's, not the batcher's: nobody waits for ever
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
        self._worker = None
