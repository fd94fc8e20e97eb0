"""What a process needs to send: its event loop, the ledger, the gateway's client, the slots. Made after a fork."""

import asyncio
import contextlib
import math
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq import ledger, tracing
from smsq.async_connection import AsyncRunner
from smsq.errors import QueueUnavailable
from smsq.gateway.client import Client
from smsq.lanes import Lane
from smsq.ledger import Heard, Settled, Settlement, SettleWord, Told
from smsq.ledger.asking import AnswerWord
from smsq.ledger.holding import Reserved, Share
from smsq.scripts import boot_time
from tasks import identity
from tasks.batching import Batcher
from tasks.hold import Hold
from tasks.leases import Leases
from tasks.loop import LoopThread
from tasks.pace import AHEAD, Pace
from tasks.slots import Place, Slots, places_for

T = TypeVar("T")
log: FilteringBoundLogger = structlog.get_logger()

#: Seconds that one try of a ledger's call may take, and between tries while Redis is away.
_TRY = 5.0
_PAUSE = 0.5
#: Seconds between two calls of the ledger for jobs that begin, and for those that end.
_BATCH_PACE = 0.004


class Stopped(Exception):  # noqa: N818 - not an error
    """The worker stops and Redis is away: nothing more can be done for the job here."""


class Runtime:
    """A process's means to send.

    Args:
        settings: The worker's settings.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.thread = LoopThread()
        self.slots, self._places = Slots(), Slots()
        self._failures = 0  # calls in a row
        self._well_at = -math.inf  # when a call was answered last
        self._held_back_at = -math.inf  # when this process heard that only probes may go out
        self.zone = settings.zone
        self.stopping = self.thread.run(self._make())

    async def _make(self) -> asyncio.Event:
        settings = self.settings
        self.runner = AsyncRunner(settings.address, settings.durability, identity.known)
        self.gateway = Client(
            str(settings.api_url).rstrip("/"),
            settings.api_key,
            connections=10_000,
            connect_timeout=settings.connect_timeout,
            total_timeout=settings.call_timeout,
        )
        self.leases = Leases(self._renew_batch, settings.lease)
        self.pace = Pace(self._reserve, settings.interval_ms)
        self._begin = Batcher(self._begin_batch, pace=_BATCH_PACE)
        self._hand_back = Batcher(self._hand_back_batch)
        self._settle = Batcher(self._settle_batch, pace=_BATCH_PACE)
        self._answer = Batcher(self._answer_batch)
        return asyncio.Event()

    def resize(self, slots: int) -> None:
        """Sets how many calls may be out at once. In the loop's thread, or before it has jobs."""
        self.slots.limit = slots
        self._places.limit = places_for(slots)

    async def begin_soon(self, job_id: str, lane: Lane) -> Place | None:
        """Waits until a job may begin: when it does, a slot should be free for its call, or nearly.

        Returns:
            Its place; None where the worker stops: the job has gone back to its lane.

        Raises:
            Stopped: The worker stops and Redis is away.
        """
        if await self._places.acquire(lane):
            return Place(self._places, lane)
        await self._hand_back(job_id)
        return None

    async def _hand_back_batch(self, job_ids: Sequence[str]) -> list[None]:
        await self._persist(lambda: self.runner.run(ledger.untake(job_ids), _TRY))
        return [None] * len(job_ids)

    async def begin(self, job_id: str) -> Hold:
        """Begins a job, together with all others that arrive meanwhile.

        Raises:
            Stopped: The worker stops and Redis is away.
        """
        return await self._begin(job_id)

    async def _begin_batch(self, job_ids: Sequence[str]) -> list[Hold]:
        settings, known = self.settings, identity.known
        while True:
            nonce, epoch = secrets.token_urlsafe(9), known.epoch
            asked_at = boot_time()
            call = ledger.begin(
                job_ids,
                nonce,
                epoch=epoch,
                lease=int(settings.lease * 1000),
                retention=settings.retention_ms,
                worker=identity.name(),
                tokens=settings.campaign_token,
                called=settings.redirect_to or "",
                traces=tracing.on(),
            )
            answers = await self._persist(lambda call=call: self.runner.run(call, _TRY))  # type: ignore[misc]
            if not any(begun.word == "epoch" for begun in answers):
                break  # else its answer has told us the ledger's epoch, and no job was begun
        return [
            Hold.measure(
                job_id,
                nonce,
                begun,
                epoch=epoch,
                asked_at=asked_at,
                call_timeout=settings.call_timeout,
                known=known,
            )
            for job_id, begun in zip(job_ids, answers, strict=True)
        ]

    async def _renew_batch(self, holds: Sequence[Hold]) -> Sequence[int]:
        """Renews leases of one epoch; what Redis doesn't answer in time just runs on."""
        pairs = [(hold.job_id, hold.token) for hold in holds]
        call = ledger.renew(pairs, epoch=holds[0].epoch, lease=int(self.settings.lease * 1000))
        try:
            return await self.runner.run(call, _TRY)
        except QueueUnavailable:
            return []

    async def _reserve(self, count: int, share: Share | None = None) -> Reserved:
        call = ledger.reserve(count, interval=self.settings.interval_ms, ahead=AHEAD, share=share)
        return await self._persist(lambda: self.runner.run(call, _TRY))

    async def settle(self, settlement: Settlement) -> SettleWord:
        """Settles a job, together with all others that end meanwhile. Tries until Redis has it.

        Raises:
            Stopped: The worker stops and Redis is away: the outcome is lost to the ledger.
        """
        return await self._settle(settlement)

    async def _settle_batch(self, settlements: Sequence[Settlement]) -> list[SettleWord]:
        settings, policy = self.settings, self.settings.policy
        asked_at = boot_time()

        async def run() -> Settled:
            nonlocal asked_at
            asked_at = boot_time()
            call = ledger.settle(  # made anew for each try: it says how long ago the jobs were begun
                settlements,
                retention=settings.retention_ms,
                worker=identity.name(),
                circuit_after=settings.circuit_after,
                list_delay=policy.settling - policy.bound,
            )
            return await self.runner.run(call, _TRY)

        words, held_back = await self._persist(run)
        if held_back:
            self._hold_back()
        elif self._held_back_at < asked_at:  # else its failure was heard here since, and the ledger didn't know
            self._held_back_at = -math.inf
        return words

    def _hold_back(self) -> None:
        if self._held_back_at == -math.inf:
            self._held_back_at = boot_time()

    def held_back(self, hold: Hold) -> bool:
        """Returns whether a gate was closed after a job was begun: it isn't the probe, and must not be called now."""
        return hold.begun_at < self._held_back_at

    async def heed(self, heard: Heard | None) -> None:
        """Takes in what a call came to, before the next one takes its slot; what it settles as tells the others.

        Too many calls are told at once: the job may be tried again in place, and end well.
        """
        match heard:
            case Heard("failing", called_at=called_at) if called_at is None or called_at >= self._well_at:
                self._failures += 1
                if self._failures >= self.settings.circuit_after:
                    self._hold_back()
            case Heard("account"):
                self._hold_back()
            case Heard("slow"):
                with contextlib.suppress(Stopped):
                    await self.hear(heard)
            case Heard("well"):
                self._failures, self._well_at = 0, boot_time()

    async def answer(self, told: Told) -> AnswerWord:
        """Writes down what the gateway answered about a job.

        Raises:
            Stopped: The worker stops and Redis is away: the job is asked about again.
        """
        return await self._answer(told)

    async def _answer_batch(self, told: Sequence[Told]) -> list[AnswerWord]:
        call = ledger.answer(told, self.settings.policy)
        return await self._persist(lambda: self.runner.run(call, _TRY))

    async def hear(self, heard: Heard) -> None:
        """Has all workers hear what a question came to in place of an answer.

        Raises:
            Stopped: The worker stops and Redis is away.
        """
        await self._persist(lambda: self.runner.run(ledger.hear(heard, identity.name()), _TRY))

    async def _persist(self, run: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call until Redis answers it; every script answers a repeat as it answered the first time."""
        told = False
        while True:
            try:
                return await run()
            except QueueUnavailable as error:
                if not told:
                    log.warning("ledger.unavailable", reason=str(error))
                    told = True
                if self.stopping.is_set():
                    raise Stopped from error
            await asyncio.sleep(_PAUSE)

    def stop(self) -> None:
        """Starts no call any more and ends every wait for one: those jobs go back. Thread-safe, also after `close`."""
        if self.thread.loop.is_closed():
            return
        self.thread.loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self.stopping.set()
        self._places.close()
        self.slots.close()

    def close(self) -> None:
        """Closes connections and stops the loop."""
        self.thread.run(self._close())
        self.thread.stop()

    async def _close(self) -> None:
        self.leases.close()
        await self.gateway.close()
        await self.runner.close()


_lock = threading.Lock()
_runtime: Runtime | None = None


def runtime() -> Runtime:
    """Returns this process's runtime, made when it is first needed; a forked child makes its own."""
    global _runtime  # noqa: PLW0603 - one for each process, and Celery gives a task no place of its own
    if _runtime is None:
        with _lock:
            if _runtime is None:
                _runtime = Runtime(WorkerSettings.load())
    return _runtime


def _forget() -> None:
    """A forked child has its parent's runtime without the thread that ran it, and perhaps a lock that nobody opens."""
    global _lock, _runtime
    _lock, _runtime = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def stop_calls() -> None:
    """Tells this process's runtime, if it has one, to start no call any more."""
    if _runtime is not None:
        _runtime.stop()
