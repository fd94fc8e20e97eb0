"""SmsQueue: what a web application uses to enqueue messages and to look them up.

Threads and event loops share every rule: both prepare the same calls here, and differ in who runs them.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self, overload

from smsq import keys, ledger, message, tracing
from smsq.async_connection import AsyncRunner
from smsq.batch import Batch, read_batch
from smsq.bulk import enqueue_chunks
from smsq.candidate import Candidate, Keys, sealed
from smsq.connection import SyncRunner
from smsq.errors import IdempotencyConflict, InvalidSms, QueueUnavailable
from smsq.job import Job
from smsq.lanes import Lane
from smsq.message import Sms
from smsq.options import options_of
from smsq.scripts import Call, Known, boot_time
from smsq.settings import Settings

#: Seconds within which every method answers or raises (`wait` and `await_result` add their own time).
DEADLINE = 2.0
#: What is kept of it for the way back, so that the promise holds on a busy machine.
_TIMEOUT = DEADLINE - 0.2
#: Seconds after which one who waits looks again by himself.
_LOOK = 5.0


@dataclass(frozen=True, slots=True)
class _Lookup:
    kind: Literal["job", "message", "campaign"]
    identifier: str


class SmsQueue:
    """The queue, as web applications see it. Cheap to make, thread-safe, fork-safe; connects when it is used.

    Args:
        url: Where Redis is (`SMSQ_REDIS_URL`); None reads the environment.
        settings: Other settings than the environment's.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    def __init__(self, url: str | None = None, *, settings: Settings | None = None) -> None:
        given = settings or (Settings.load() if url is None else Settings.load(redis_url=url))
        self.settings = given.model_copy(update={"redis_url": url}) if settings and url else given
        self._known = Known()
        self._sync = SyncRunner(self.settings.address, self.settings.durability, self._known)
        self._keys = Keys()
        self._cipher = given.cipher
        self._async: dict[asyncio.AbstractEventLoop, AsyncRunner] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_env(cls) -> Self:
        """Makes a queue from the environment and a `.env` file.

        Raises:
            ConfigurationError: A variable is wrong.
        """
        return cls()

    # -- enqueue

    def enqueue(
        self,
        sms: Sms,
        *,
        lane: Lane = "normal",
        batch_id: str | None = None,
        idempotency_key: str | None = None,
        send_at: datetime | None = None,
        expires_in: float | None = None,
        on_unknown: Literal["ask", "resend"] = "ask",
    ) -> Job:
        """Accepts a message: when this returns, it will be sent once, or end in a state that says why.

        Args:
            sms: The message.
            lane: ``urgent``, ``normal`` or ``bulk``.
            batch_id: A name to count and cancel jobs by: letters, digits and ``. _ : @ / + -``, 64 at most.
            idempotency_key: The same key with the same content gives the same job, enqueued once.
            send_at: An aware datetime; the job waits until then.
            expires_in: Seconds after which the gateway isn't called any more.
            on_unknown: What happens when an answer is lost: ``ask`` the gateway, or ``resend`` at once.

        Returns:
            The job. With a key that is known, the job as it is now.

        Raises:
            InvalidSms: The message, or an option, breaks a rule; nothing was enqueued.
            IdempotencyConflict: The key was used with another content; nothing was enqueued.
            QueueUnavailable: Redis didn't confirm within two seconds. The job may have been accepted: with the same
                idempotency key, calling again can't send twice.
        """
        options = options_of(lane, batch_id, send_at, expires_in, on_unknown)
        candidate = Candidate.of(sms, idempotency_key, self.settings)
        with self._handing_over([candidate], options) as call:
            [answer] = self._sync.run(call, _TIMEOUT)
        return candidate.job(answer)

    def check(
        self,
        sms: Sms,
        *,
        lane: Lane = "normal",
        batch_id: str | None = None,
        idempotency_key: str | None = None,
        send_at: datetime | None = None,
        expires_in: float | None = None,
        on_unknown: Literal["ask", "resend"] = "ask",
    ) -> None:
        """Applies every rule of `enqueue` and enqueues nothing; needs no Redis.

        Raises:
            InvalidSms: As in `enqueue`.
        """
        options_of(lane, batch_id, send_at, expires_in, on_unknown)
        if late := Candidate.of(sms, idempotency_key, self.settings).late:
            raise late

    async def aenqueue(
        self,
        sms: Sms,
        *,
        lane: Lane = "normal",
        batch_id: str | None = None,
        idempotency_key: str | None = None,
        send_at: datetime | None = None,
        expires_in: float | None = None,
        on_unknown: Literal["ask", "resend"] = "ask",
    ) -> Job:
        """Like `enqueue`, for async handlers; never blocks the event loop."""
        options = options_of(lane, batch_id, send_at, expires_in, on_unknown)
        candidate = Candidate.of(sms, idempotency_key, self.settings)
        with self._handing_over([candidate], options) as call:
            [answer] = await self._runner().run(call, _TIMEOUT)
        return candidate.job(answer)

    @overload
    def enqueue_many(
        self,
        messages: Iterable[Sms | Mapping[str, Any]],
        *,
        lane: Lane = ...,
        batch_id: str | None = ...,
        idempotency_key: Callable[[Sms], str] | None = ...,
        send_at: datetime | None = ...,
        expires_in: float | None = ...,
        on_unknown: Literal["ask", "resend"] = ...,
        on_invalid: Literal["raise"] = ...,
    ) -> Iterator[Job]: ...

    @overload
    def enqueue_many(
        self,
        messages: Iterable[Sms | Mapping[str, Any]],
        *,
        lane: Lane = ...,
        batch_id: str | None = ...,
        idempotency_key: Callable[[Sms], str] | None = ...,
        send_at: datetime | None = ...,
        expires_in: float | None = ...,
        on_unknown: Literal["ask", "resend"] = ...,
        on_invalid: Literal["yield"],
    ) -> Iterator[Job | InvalidSms | IdempotencyConflict]: ...

    def enqueue_many(
        self,
        messages: Iterable[Sms | Mapping[str, Any]],
        *,
        lane: Lane = "normal",
        batch_id: str | None = None,
        idempotency_key: Callable[[Sms], str] | None = None,
        send_at: datetime | None = None,
        expires_in: float | None = None,
        on_unknown: Literal["ask", "resend"] = "ask",
        on_invalid: Literal["raise", "yield"] = "raise",
    ) -> Iterator[Job] | Iterator[Job | InvalidSms | IdempotencyConflict]:
        """Accepts many messages, hundreds in a round trip, lazily: nothing happens until the jobs are asked for.

        While Redis works on some, the next are read and prepared (in the caller's thread).

        Args:
            messages: Messages, or mappings in the API's shape (as `Sms.model_validate` takes them), from any iterable.
            lane: As in `enqueue`.
            batch_id: As in `enqueue`.
            idempotency_key: Makes a key of each message: with it, calling again after `QueueUnavailable` is safe.
            send_at: As in `enqueue`.
            expires_in: As in `enqueue`.
            on_unknown: As in `enqueue`.
            on_invalid: ``raise`` stops at the first message that breaks a rule, after all before it were enqueued;
                ``yield`` yields the `InvalidSms`, or the `IdempotencyConflict`, in the job's place and goes on.

        Yields:
            The jobs, in order.

        Raises:
            InvalidSms: As `on_invalid` says; or an option breaks a rule.
            IdempotencyConflict: As in `enqueue`; all before it were enqueued, nothing after it.
            QueueUnavailable: As in `enqueue`; the jobs yielded so far were accepted.
        """
        options = options_of(lane, batch_id, send_at, expires_in, on_unknown)

        def prepare(given: Sms | Mapping[str, Any]) -> Candidate:
            sms = given if isinstance(given, Sms) else Sms.model_validate(given)
            return Candidate.of(sms, idempotency_key(sms) if idempotency_key else None, self.settings)

        def hand_over(candidates: Sequence[Candidate]) -> list[ledger.Accepted]:
            with self._handing_over(candidates, options, together=True) as call:
                return self._sync.run(call, _TIMEOUT)

        return enqueue_chunks(messages, prepare, tracing.bound(hand_over), stops=on_invalid == "raise")

    @contextmanager
    def _handing_over(
        self, candidates: Sequence[Candidate], options: ledger.Options, *, together: bool = False
    ) -> Iterator[Call[list[ledger.Accepted]]]:
        """Makes the call, and remembers the keys that Redis may have got by it."""
        jobs = [self._keys.recall(each.new) for each in candidates]
        if cipher := self._cipher:
            jobs = sealed(jobs, cipher)
        at = boot_time()
        try:
            with tracing.sending(options.lane, jobs, together=together) as trace:
                traced = replace(options, trace=trace) if trace else options
                yield ledger.enqueue(jobs, traced, message.RULES_VERSION)
        except QueueUnavailable as error:
            if error.handed_over:
                self._keys.note(jobs, at)
            raise
        self._keys.note(jobs, at)

    # -- look up and wait

    def lookup(
        self, job_id: str | None = None, *, message_id: int | None = None, campaign_id: int | None = None
    ) -> Job | None:
        """Looks a job up by its id, or by the gateway's ``messageId`` or ``campaignId``.

        Returns:
            The job as it is now, or None if it isn't known (never was, or is older than the retention).

        Raises:
            QueueUnavailable: Redis didn't answer within two seconds.
        """
        return self._sync.run(_lookup_call(job_id, message_id, campaign_id), _TIMEOUT)

    async def alookup(
        self, job_id: str | None = None, *, message_id: int | None = None, campaign_id: int | None = None
    ) -> Job | None:
        """Like `lookup`, for async handlers."""
        return await self._runner().run(_lookup_call(job_id, message_id, campaign_id), _TIMEOUT)

    def wait(self, job_id: str, timeout: float | None) -> Job | None:
        """Waits until a job is final; woken at once when it is.

        Args:
            job_id: The job's id.
            timeout: Seconds to wait at most; None for as long as it takes.

        Returns:
            The job, final or not when time is up; None if it isn't known.

        Raises:
            QueueUnavailable: Redis can't be reached.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        job = self.lookup(job_id)
        if job is None or job.state.final or not self._sync.run(ledger.watch(job_id), _TIMEOUT):
            return self.lookup(job_id) if job and not job.state.final else job
        while job and not job.state.final and (left := deadline - time.monotonic()) > 0:
            if not self._sync.block(keys.wake(job_id), min(left, _LOOK)):
                time.sleep(max(0.0, min(0.1, deadline - time.monotonic())))  # too many wait: look now and then
            job = self.lookup(job_id)
        return job

    async def await_result(self, job_id: str, timeout: float | None) -> Job | None:  # noqa: ASYNC109 - `wait`'s twin
        """Like `wait`, for async code."""
        runner, loop = self._runner(), asyncio.get_running_loop()
        deadline = math.inf if timeout is None else loop.time() + timeout
        job = await self.alookup(job_id)
        if job is None or job.state.final or not await runner.run(ledger.watch(job_id), _TIMEOUT):
            return await self.alookup(job_id) if job and not job.state.final else job
        while job and not job.state.final and (left := deadline - loop.time()) > 0:
            await runner.block(keys.wake(job_id), min(left, _LOOK))
            job = await self.alookup(job_id)
        return job

    def batch(self, batch_id: str) -> Batch | None:
        """Returns a batch's counts by state, or None if it isn't known.

        Raises:
            QueueUnavailable: Redis didn't answer within two seconds.
        """
        record = self._sync.run(ledger.batch(_name(batch_id)), _TIMEOUT)
        return read_batch(batch_id, record)

    def ask_delivery(self, message_id: int) -> bool:
        """Has a worker ask the gateway about a message soon, as after a delivery report (`smsq.webhook`).

        Nothing is believed of who calls, and calling often asks no more often than each ten seconds.

        Args:
            message_id: The gateway's ``messageId``.

        Returns:
            Whether it will be asked about: not if it isn't ours, its delivery is known, or nobody wants to know it.

        Raises:
            QueueUnavailable: Redis didn't answer within two seconds; calling again is safe.
        """
        return self._sync.run(ledger.ask_delivery(_gateway_id(message_id)), _TIMEOUT)

    async def aask_delivery(self, message_id: int) -> bool:
        """Like `ask_delivery`, for async handlers."""
        return await self._runner().run(ledger.ask_delivery(_gateway_id(message_id)), _TIMEOUT)

    # -- cancel

    @overload
    def cancel(self, job_id: str) -> bool: ...
    @overload
    def cancel(self, *, batch_id: str) -> int: ...

    def cancel(self, job_id: str | None = None, *, batch_id: str | None = None) -> bool | int:
        """Stops a job, or all waiting jobs of a batch by one write.

        Returns:
            For a job: True if it was stopped before the gateway was called. For a batch: how many jobs were waiting.

        Raises:
            QueueUnavailable: Redis didn't confirm within two seconds; calling again is safe.
        """
        if batch_id is not None:
            return max(0, self._sync.run(ledger.cancel_batch(_name(batch_id)), _TIMEOUT))
        return self._sync.run(self._cancel_call(job_id), _TIMEOUT) == "cancelled"

    async def acancel(self, job_id: str) -> bool:
        """Like `cancel` of a job, for async handlers."""
        return await self._runner().run(self._cancel_call(job_id), _TIMEOUT) == "cancelled"

    def _cancel_call(self, job_id: str | None) -> Call[ledger.CancelWord]:
        return ledger.cancel(_name(job_id), retention=self.settings.retention_ms)

    # -- connections

    def _runner(self) -> AsyncRunner:
        """The running loop's connections; those of loops that have ended are dropped."""
        loop = asyncio.get_running_loop()
        runner = self._async.get(loop)
        if runner is None:
            with self._lock:
                for other in [each for each in self._async if each.is_closed()]:
                    self._async.pop(other).abandon()
                runner = self._async[loop] = AsyncRunner(self.settings.address, self.settings.durability, self._known)
        return runner

    def close(self) -> None:
        """Closes the connections that threads used. The queue can be used again afterwards."""
        self._sync.close()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop, and those that threads used."""
        if runner := self._async.pop(asyncio.get_running_loop(), None):
            await runner.close()
        self.close()


def _lookup_call(job_id: str | None, message_id: int | None, campaign_id: int | None) -> Call[Job | None]:
    if message_id is not None:
        return ledger.lookup("message", _gateway_id(message_id))
    if campaign_id is not None:
        return ledger.lookup("campaign", _gateway_id(campaign_id))
    return ledger.lookup("job", _name(job_id))


def _name(name: str | None) -> str:
    if not isinstance(name, str):
        raise TypeError("a job's id or a batch's name is needed, as a string")
    return name.encode(errors="replace").decode()  # a lone surrogate can't be sent, and no id has one


def _gateway_id(number: int) -> str:
    if type(number) is not int:
        raise TypeError("the gateway's ids are whole numbers")
    return str(number)
