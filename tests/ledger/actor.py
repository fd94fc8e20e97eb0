"""Whoever acts on a ledger in a test: the scripts, with arguments that most tests don't care about filled in."""

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from smsq import ledger
from smsq.connection import SyncRunner
from smsq.job import Job, JobError
from smsq.lanes import LANES, Lane
from smsq.ledger import Begun, NewJob, Options, Settlement, SettleWord
from smsq.scripts import Call
from smsq.states import State
from tests.ledger.snapshot import Snapshot, advance, problems

if TYPE_CHECKING:
    import redis

T = TypeVar("T")

#: Milliseconds.
RESERVATION = 20_000
LEASE = 60_000
DAY = 86_400_000
RETENTION = 7 * DAY

#: The nonce under which a job is begun where a test doesn't say.
NONCE = "nonce"
#: What the gateway gives a message: messageId, campaignId, status.
IDS = (1234, 5678, 2)


@dataclass
class Actor:
    """Runs scripts as producers, workers and dispatchers do.

    Attributes:
        client: A plain client, for a foreign hand's doings and for a look at everything.
        runner: What runs the scripts.
    """

    client: "redis.Redis"
    runner: SyncRunner
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)

    def run(self, call: Call[T]) -> T:
        """Runs a script."""
        return self.runner.run(call, 10)

    def look(self) -> Snapshot:
        """Reads the whole ledger, which must be sound."""
        taken = Snapshot.read(self.client)
        assert problems(taken) == []
        return taken

    def pass_time(self, milliseconds: int) -> None:
        """Lets time pass."""
        advance(self.client, milliseconds)

    def new_id(self) -> str:
        """Makes an id of the documented form."""
        return f"{next(self._ids):020d}".translate(str.maketrans("0123456789", "abcdefghij"))

    # -- a job in each state

    def enqueue(
        self,
        *,
        lane: Lane = "normal",
        batch_id: str = "",
        key: str = "",
        content: str = "",
        delay: int | None = None,
        expires_in: int | None = None,
        on_unknown: Literal["ask", "resend"] = "ask",
    ) -> str:
        """Enqueues a job, ``delay`` ms from now, and returns its id."""
        send_at = None if delay is None else Snapshot.read(self.client).now + delay
        options = Options(lane, batch_id, send_at, expires_in, on_unknown)
        [answer] = self.run(ledger.enqueue([NewJob(self.new_id(), message(), key, content)], options, 1))
        assert isinstance(answer, Job)
        return answer.id

    def take(self, count: int = 100, lanes: tuple[Lane, ...] = LANES) -> list[str]:
        """Takes ids."""
        taken = self.run(ledger.take(count, lanes, reservation=RESERVATION, retention=RETENTION))
        return [job_id for job_id, _ in taken.jobs]

    def begin(self, job_id: str, nonce: str = NONCE) -> Begun:
        """Begins a job."""
        [begun] = self.run(ledger.begin([job_id], nonce, lease=LEASE, retention=RETENTION))
        return begun

    def start(self, job_id: str, nonce: str = NONCE) -> str:
        """Takes and begins a job, and returns its id."""
        self.take()
        assert self.begin(job_id, nonce).word == "begun"
        return job_id

    def settle(self, settlement: Settlement) -> SettleWord:
        """Settles a job."""
        [word] = self.run(ledger.settle([settlement], retention=RETENTION))
        return word

    def take_due(self, limit: int = 500) -> ledger.Looked:
        """Looks at what is due."""
        return self.run(ledger.take_due(limit, retention=RETENTION))

    def cancel(self, job_id: str) -> ledger.CancelWord:
        """Cancels a job."""
        return self.run(ledger.cancel(job_id, retention=RETENTION))

    def purge(self, lane: Lane = "normal", limit: int = 100) -> ledger.Purged:
        """Purges a lane."""
        return self.run(ledger.purge(lane, limit, retention=RETENTION))

    def lookup(self, job_id: str) -> Job:
        """Looks a job up."""
        job = self.run(ledger.lookup("job", job_id))
        assert job is not None
        return job

    def in_state(self, state: State, *, batch_id: str = "", key: str = "", content: str = "") -> str:
        """Makes a job that has come to a state on the usual way, begun under `NONCE`."""
        scheduled = DAY if state is State.SCHEDULED else None
        expires_in = 1000 if state is State.EXPIRED else None
        job_id = self.enqueue(batch_id=batch_id, key=key, content=content, delay=scheduled, expires_in=expires_in)
        match state:
            case State.SCHEDULED | State.QUEUED:
                pass
            case State.CANCELLED:
                assert self.cancel(job_id) == "cancelled"
            case State.EXPIRED:
                self.take()
                self.pass_time(1000)
                assert self.begin(job_id).word == "expired"
            case State.SENDING:
                self.start(job_id)
            case _:
                self.start(job_id)
                assert self.settle(outcome(job_id, state)) == "settled"
        return job_id


def message() -> str:
    """What these jobs' records hold as their message; longer than one of its fields."""
    return '{"recipient":"77010000001","text":"' + "Қазақстан " * 10 + '"}'


def outcome(job_id: str, to: State, *, token: str = NONCE, calls: int = 1) -> Settlement:
    """What a worker says of a job that it has begun."""
    error = JobError("a reason", 1, {"recipient": "a sentence"})
    if to is State.SENT:
        return Settlement(job_id, token, to, calls, ids=IDS, recipient="77010000001")
    return Settlement(job_id, token, to, calls, error=error, delay=DAY, at=4_000_000_000_000)
