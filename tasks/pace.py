"""The common pace of all workers' calls (`SMSQ_RATE_LIMIT`): each call has a moment of its own.

`take` gives the moments together with the ids; what needs another one (a further try, a question, a call that missed
its own) reserves it here. A call goes out at its moment or never before the next: late ones would crowd with others.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol

from smsq.gateway.form import Permit
from smsq.ledger.holding import Reserved, Share
from smsq.scripts import boot_time
from tasks.batching import Batcher

#: Seconds by which a call may be late for its moment.
LATE = 0.03
#: Milliseconds ahead for which moments are reserved: beyond, those who wait ask again, the higher lanes first.
AHEAD = 500


class Reserve(Protocol):
    """Reserves up to as many moments; see `smsq.ledger.reserve`."""

    def __call__(self, count: int, share: Share | None = None) -> Awaitable[Reserved]:
        """Asks Redis."""


class Pace:
    """The pace, as one process keeps to it.

    Args:
        reserve: Reserves moments.
        interval: Milliseconds between two calls of all workers; 0 without a rate.
    """

    def __init__(self, reserve: Reserve, interval: float) -> None:
        self._reserve = reserve
        self.interval = interval
        self._next = Batcher(self._next_batch, limit=50)

    def permit(self, moment: float | None) -> Permit | None:
        """Returns what a call awaits right before its first byte; None without a rate.

        Args:
            moment: The moment that `take` gave it, by `boot_time`; used up by this call.
        """
        if not self.interval:
            return None

        async def wait() -> None:
            await self.keep(moment if moment is not None and boot_time() <= moment + LATE else await self.reserve())

        return wait

    async def keep(self, moment: float) -> None:
        """Waits for a moment that was reserved; who is late for it (the process stood still) waits for another."""
        while True:
            await asyncio.sleep(max(0.0, moment - boot_time()))
            if boot_time() <= moment + LATE:
                return
            moment = await self.reserve()

    def permit_of(self, share: Share) -> Permit:
        """Returns what each question of a share awaits, so that sending isn't starved by them."""

        async def wait() -> None:
            await self.keep(await self.reserve(share))

        return wait

    async def reserve(self, share: Share | None = None) -> float:
        """Returns the next free moment, by `boot_time`; without a rate too, while the gateway wants no calls."""
        ask = partial(self._next, None) if share is None else partial(self._next_of, share)
        while True:
            at = await ask()
            if at >= 0:
                return at
            await asyncio.sleep(-at)

    async def _next_of(self, share: Share) -> float:
        [at] = await self._next_batch([None], share)
        return at

    async def _next_batch(self, waiting: Sequence[None], share: Share | None = None) -> list[float]:
        """A moment for each; for those that get none, the seconds until they may ask again, negative."""
        reserved = await self._reserve(len(waiting), share)
        now = boot_time()
        given = [now + (reserved.first + number * reserved.spacing) / 1000 for number in range(reserved.many)]
        refused = -max(0.01, reserved.first / 1000)
        return given + [refused] * (len(waiting) - reserved.many)
