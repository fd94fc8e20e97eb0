"""An outbox: what every SmsQueue of the process is given meanwhile stays in memory, to be looked at."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar, cast, overload
from unittest import mock

from smsq.async_connection import AsyncRunner
from smsq.candidate import Keys
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.job import DECLINED, LAST_STATUSES, ON_ITS_WAY, Job, JobError, moment
from smsq.message import load
from smsq.privacy import redact
from smsq.scripts import Call
from smsq.sms import Sms
from smsq.states import State
from smsq.testing.memory import Given, MemoryLedger, Outcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message that was accepted.

    Attributes:
        sms: The message as it was accepted: the number normalised, a deferral in UTC.
        job_id: Its job's id.
        lane: The lane it was given to.
        batch_id: Its batch, or None.
        send_at: When it is to be sent; None for at once.
        expires_in: Seconds after which the gateway isn't to be called, or None.
        on_unknown: ``ask`` or ``resend``.
    """

    sms: Sms
    job_id: str
    lane: str
    batch_id: str | None
    send_at: datetime | None
    expires_in: float | None
    on_unknown: str
    _ledger: MemoryLedger = field(repr=False, compare=False)

    @property
    def recipient(self) -> str:
        """The number, digits only."""
        return self.sms.recipient

    @property
    def text(self) -> str:
        """The text."""
        return self.sms.text

    @property
    def sender(self) -> str | None:
        """The signature (`from`), or None."""
        return self.sms.sender

    @property
    def job(self) -> Job:
        """The job as it is now, as `SmsQueue.lookup` returns it."""
        return self._ledger.job(self.job_id)

    @property
    def state(self) -> State:
        """The job's state now."""
        return self.job.state

    def delivered(self, status: str = "DELIVRD") -> None:
        """Lets the gateway say how far it has come, as with `SMSQ_DELIVERY`: `job.delivery`.

        Args:
            status: One of the gateway's: ``NEW``, ``ENQUEUD``, ``ACCEPTD``, ``PDLIVRD`` on its way; ``DELIVRD``,
                ``UNDELIV``, ``REJECTD``, ``EXPIRED``, ``DELETED`` in the end.

        Raises:
            ValueError: It wasn't sent, or the gateway has no such status.
        """
        if status not in ON_ITS_WAY | LAST_STATUSES:
            raise ValueError(
                f"the gateway has no such status; there are {', '.join(sorted(ON_ITS_WAY | LAST_STATUSES))}"
            )
        self._ledger.report(self.job_id, status)

    def decline(self, comment: str = "") -> None:
        """Lets a moderator decline it after it was sent: its job is `failed` then.

        Args:
            comment: The moderator's words; what they repeat of number and text is taken out, as in production.

        Raises:
            ValueError: It wasn't sent.
        """
        words = redact(comment, recipient=self.recipient, text=self.text)
        self._ledger.decline(self.job_id, JobError(DECLINED, fields={"globalComment": words} if words else None))


class Outbox(Sequence[OutboxMessage]):
    """The messages that were accepted, in order, whatever became of them.

    A job is `sent` at once, with made-up ids, unless it was told otherwise here or waits for its `send_at`.
    """

    def __init__(self) -> None:
        self._ledger = MemoryLedger()
        self._away: Literal["accepting", "refusing"] | None = None

    @overload
    def __getitem__(self, index: int) -> OutboxMessage: ...
    @overload
    def __getitem__(self, index: slice) -> list[OutboxMessage]: ...

    def __getitem__(self, index: int | slice) -> OutboxMessage | list[OutboxMessage]:
        """Returns a message, or several, in the order in which they were accepted."""
        if isinstance(index, slice):
            return [self._message(each) for each in self._ledger.given[index]]
        return self._message(self._ledger.given[index])

    def __len__(self) -> int:
        """Returns how many messages were accepted."""
        return len(self._ledger.given)

    def __repr__(self) -> str:
        """Shows the messages, for pytest's assertions."""
        return f"<Outbox {self.messages!r}>"

    @property
    def messages(self) -> list[OutboxMessage]:
        """All messages that were accepted."""
        return self[:]

    @property
    def sent(self) -> list[OutboxMessage]:
        """Those that the gateway would have got."""
        return [each for each in self if each.state is State.SENT]

    def clear(self) -> None:
        """Forgets everything: messages, keys, batches, outcomes ordered."""
        self._ledger = MemoryLedger()

    # -- what becomes of jobs

    def hold(self) -> None:
        """From now on each job stays `queued` until the next `deliver`: to test cancelling, waiting, expiring."""
        self._ledger.held = True

    def deliver(self) -> int:
        """Ends every job that waits, also one that waits for its `send_at`.

        Returns:
            How many came to an outcome. Those that were cancelled or had expired don't count.
        """
        return self._ledger.deliver()

    def fail_next(
        self, reason: str = "refused", *, code: int | None = 1, fields: Mapping[str, str] | None = None
    ) -> None:
        """Lets the next job end `failed`. Each call orders one outcome, in turn.

        Args:
            reason: What `job.error.reason` will be.
            code: The gateway's error code, or None.
            fields: What the gateway says about which parameter, by API name.
        """
        self._ledger.outcomes.append(Outcome(State.FAILED, JobError(reason, code, fields)))

    def unknown_next(self, reason: str = "the answer was lost") -> None:
        """Lets the next job end `unknown`: the gateway may have it."""
        self._ledger.outcomes.append(Outcome(State.UNKNOWN, JobError(reason)))

    @contextmanager
    def unavailable(self, *, accepted: bool = False) -> Iterator[None]:
        """Lets every call raise `QueueUnavailable` while the context lasts, as if Redis were away.

        Args:
            accepted: Whether what is handed over is accepted all the same, as when Redis's answer is lost: the caller
                hears an error, and the same idempotency key gives the job afterwards.
        """
        before, self._away = self._away, "accepting" if accepted else "refusing"
        try:
            yield
        finally:
            self._away = before

    # -- in the place of Redis

    def _run(self, call: Call[T]) -> T:
        answer = None if self._away == "refusing" else self._ledger.run(call)
        if self._away:
            raise QueueUnavailable("sms_outbox.unavailable() is in force", handed_over=self._away == "accepting")
        return cast("T", answer)

    def _message(self, given: Given) -> OutboxMessage:
        return OutboxMessage(
            sms=load(given.message, trusted=True),
            job_id=given.job_id,
            lane=given.lane,
            batch_id=given.batch or None,
            send_at=None if given.send_at is None else moment(given.send_at),
            expires_in=None if given.expires_in is None else given.expires_in / 1000,
            on_unknown=given.on_unknown,
            _ledger=self._ledger,
        )


@contextmanager
def outbox() -> Iterator[Outbox]:
    """Keeps in memory what every SmsQueue of the process is given while the context lasts, however it was made.

    Everything but Redis is the real thing: rules, keys, states, what is raised. Works for threads and event loops.

    Yields:
        The outbox, empty.
    """
    made = Outbox()

    def run(_: SyncRunner, call: Call[T], timeout: float) -> T:  # noqa: ARG001 - the runner's signature
        return made._run(call)  # noqa: SLF001

    def block(_: SyncRunner, key: str, timeout: float) -> bool:
        over = threading.Event()
        made._ledger.on_end(key, over.set)  # noqa: SLF001
        return over.wait(timeout)

    async def arun(_: AsyncRunner, call: Call[T], timeout: float) -> T:  # noqa: ARG001, ASYNC109
        return made._run(call)  # noqa: SLF001

    async def ablock(_: AsyncRunner, key: str, timeout: float) -> bool:  # noqa: ASYNC109
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(over.set)

        made._ledger.on_end(key, wake)  # noqa: SLF001
        try:
            await asyncio.wait_for(over.wait(), timeout)
        except TimeoutError:
            return False
        return True

    threads: dict[str, Any] = {"run": run, "block": block}
    loops: dict[str, Any] = {"run": arun, "block": ablock}
    with (
        mock.patch.multiple(SyncRunner, **threads),
        mock.patch.multiple(AsyncRunner, **loops),
        mock.patch("smsq.queue.sealed", lambda jobs, _: jobs),
        # A queue remembers keys for a Redis that forgets: these are neither the next test's nor a real one's.
        mock.patch.multiple(Keys, recall=lambda _, new: new, note=lambda *_: None),
    ):
        yield made
