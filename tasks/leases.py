"""Renews the leases of what this process has begun, all with one call, while its jobs wait for a slot or an answer."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from smsq.scripts import boot_time
from tasks.hold import Hold

log: FilteringBoundLogger = structlog.get_logger()

#: Renewals in the time of a lease: two may be lost before anything that has not begun its call gives up.
_IN_A_LEASE = 4
_LARGEST = 500


class Leases:
    """The leases of a process.

    Args:
        renew: Renews holds of one epoch; returns what is left of each in ms, -1 where it isn't ours any more.
        lease: Seconds.
    """

    def __init__(self, renew: Callable[[Sequence[Hold]], Awaitable[Sequence[int]]], lease: float) -> None:
        self._renew = renew
        self._pause = lease / _IN_A_LEASE
        self._holds: set[Hold] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, hold: Hold) -> None:
        """Keeps a lease until it is let go."""
        self._holds.add(hold)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def let_go(self, hold: Hold) -> None:
        """Ends the renewals of a job that is settled."""
        self._holds.discard(hold)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self._renew_due()
            except Exception as error:  # noqa: BLE001 - a bug must not end all renewals that come after it
                log.error("leases.crashed", error=type(error).__name__)  # noqa: TRY400 - its words may hold anything

    async def _renew_due(self) -> None:
        now = boot_time()
        due = [hold for hold in self._holds if now - hold.begun_at >= self._pause]
        for epoch in {hold.epoch for hold in due}:
            same = [hold for hold in due if hold.epoch == epoch]
            for start in range(0, len(same), _LARGEST):
                await self._renew_some(same[start : start + _LARGEST])

    async def _renew_some(self, holds: Sequence[Hold]) -> None:
        asked_at = boot_time()
        for hold, left in zip(holds, await self._renew(holds), strict=False):
            # What isn't ours any more starts no call (rule 9); what couldn't be renewed just runs out.
            hold.lease_until = asked_at + left / 1000 if left >= 0 else -math.inf

    def close(self) -> None:
        """Ends all renewals."""
        if self._task:
            self._task.cancel()
