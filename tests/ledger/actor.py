"""Whoever acts on a ledger in a test: the scripts, with arguments that most tests don't care about filled in."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from smsq import keys, ledger
from smsq.connection import SyncRunner
from smsq.job import Job, JobError
from smsq.lanes import LANES, Lane
from smsq.ledger import Begun, Look, NewJob, Options, Policy, Question, Settlement, SettleWord, Told
from smsq.ledger.asking import AnswerWord
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
#: When an absence counts, how late the gateway accepts, how long it is asked: the default settings'.
SETTLING, BOUND, LIMIT = 660_000, 600_000, DAY
PATIENCE = 120_000
#: Between the two empty answers that absence takes.
APART = 10_000
POLICY = Policy(
    retention=RETENTION,
    lease=LEASE,
    settling=SETTLING,
    bound=BOUND,
    limit=LIMIT,
    losses=3,
    give_up=10 * DAY,
    tokens=True,
)
CIRCUIT_AFTER = 20

#: The worker, and the token of its questions, where a test doesn't say.
WORKER = "worker@here"
ASKED = "question"
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
    _message_ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(900_000))

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

    # -- asking

    def lose(self, job_id: str, nonce: str = NONCE, *, tokens: bool = True) -> str:
        """Calls the gateway for a waiting job and loses the answer: the job is asked about. Returns its id."""
        self.start(job_id, nonce, tokens=tokens)
        assert self.settle(outcome(job_id, State.SENDING, token=nonce)) == "settled"
        return job_id

    def send_another(self) -> int:
        """Has the gateway accept a new message, and returns its messageId: it is the canary now."""
        nonce, message_id = self.new_id(), next(self._message_ids)
        job_id = self.enqueue(lane="urgent", text=nonce)
        assert self.take(lanes=["urgent"]) == [job_id]
        assert self.begin(job_id, nonce).word == "begun"
        assert (
            self.settle(replace(outcome(job_id, State.SENT, token=nonce), ids=(message_id, message_id, 2))) == "settled"
        )
        return message_id

    def question(self, job_id: str, token: str = ASKED, policy: Policy = POLICY) -> Question | None:
        """Lets the next question about a job be due now, and returns it, if it is put."""
        assert self.client.zadd(keys.DUE, {job_id: 0}, xx=True, ch=True) == 1, "it waits in `due`"
        looked = self.take_due(token=token, policy=policy)
        return next((each for each in looked.questions if each.job_id == job_id), None)

    def absent(self, job_id: str, token: str = ASKED, policy: Policy = POLICY) -> AnswerWord:
        """Puts the question about a job, and answers that the gateway doesn't have it."""
        assert self.question(job_id, token, policy) is not None
        return self.answer(told(job_id, "absent", token=token), policy)

    def surely_absent(self, job_id: str) -> AnswerWord:
        """Has the gateway say twice, with proof, that it doesn't have a job; returns what became of it."""
        self.pass_time(LEASE + SETTLING)
        self.send_another()
        assert self.absent(job_id) == "later"
        self.pass_time(APART)
        return self.absent(job_id)

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
        text: str = "",
    ) -> str:
        """Enqueues a job, ``delay`` ms from now, and returns its id."""
        send_at = None if delay is None else Snapshot.read(self.client).now + delay
        options = Options(lane, batch_id, send_at, expires_in, on_unknown)
        [answer] = self.run(ledger.enqueue([NewJob(self.new_id(), message(text), key, content)], options, 1))
        assert isinstance(answer, Job)
        return answer.id

    @property
    def epoch(self) -> int:
        """The ledger's epoch, as far as its answers have told."""
        return self.runner.known.epoch

    def take_call(
        self, count: int = 100, lanes: Sequence[Lane] = LANES, *, worker: str = WORKER, interval: float = 0
    ) -> Call[ledger.Taken]:
        """What `take` is called with."""
        return ledger.take(
            count,
            lanes,
            reservation=RESERVATION,
            retention=RETENTION,
            lease=LEASE,
            worker=worker,
            interval=interval,
        )

    def take(self, count: int = 100, lanes: Sequence[Lane] = LANES, *, worker: str = WORKER) -> list[str]:
        """Takes ids."""
        return [job.id for job in self.run(self.take_call(count, lanes, worker=worker)).jobs]

    def begin_call(
        self,
        job_ids: Sequence[str],
        nonce: str = NONCE,
        *,
        epoch: int | None = None,
        worker: str = WORKER,
        tokens: bool = True,
    ) -> Call[list[Begun]]:
        """What `begin` is called with; in the epoch that is known, if none is given."""
        return ledger.begin(
            job_ids,
            nonce,
            epoch=self.epoch if epoch is None else epoch,
            lease=LEASE,
            retention=RETENTION,
            worker=worker,
            tokens=tokens,
        )

    def begin(
        self,
        job_id: str,
        nonce: str = NONCE,
        *,
        epoch: int | None = None,
        worker: str = WORKER,
        tokens: bool = True,
    ) -> Begun:
        """Begins a job."""
        [begun] = self.run(self.begin_call([job_id], nonce, epoch=epoch, worker=worker, tokens=tokens))
        return begun

    def start(self, job_id: str, nonce: str = NONCE, *, tokens: bool = True) -> str:
        """Takes and begins a job, and returns its id."""
        self.take()
        assert self.begin(job_id, nonce, tokens=tokens).word == "begun"
        return job_id

    def renew(self, job_id: str, token: str = NONCE, *, epoch: int | None = None) -> int:
        """Renews a lease; returns what is left of it."""
        [left] = self.run(ledger.renew([(job_id, token)], epoch=self.epoch if epoch is None else epoch, lease=LEASE))
        return left

    def settle_call(
        self, *settlements: Settlement, worker: str = WORKER, circuit_after: int = CIRCUIT_AFTER
    ) -> Call[list[SettleWord]]:
        """What `settle` is called with; in the epoch that is known, where a settlement has none."""
        given = [each if each.epoch else replace(each, epoch=self.epoch) for each in settlements]
        call = ledger.settle(given, retention=RETENTION, worker=worker, circuit_after=circuit_after)
        return Call(call.script, call.args, lambda answer: call.parse(answer).words, call.confirm)

    def settle(self, settlement: Settlement, *, worker: str = WORKER, circuit_after: int = CIRCUIT_AFTER) -> SettleWord:
        """Settles a job."""
        [word] = self.run(self.settle_call(settlement, worker=worker, circuit_after=circuit_after))
        return word

    def due_call(
        self, limit: int = 500, *, questions: int = 100, token: str = ASKED, policy: Policy = POLICY
    ) -> Call[ledger.Looked]:
        """What `take_due` is called with."""
        return ledger.take_due(Look(limit, questions, PATIENCE, token), policy)

    def take_due(
        self, limit: int = 500, *, questions: int = 100, token: str = ASKED, policy: Policy = POLICY
    ) -> ledger.Looked:
        """Looks at what is due."""
        return self.run(self.due_call(limit, questions=questions, token=token, policy=policy))

    def answer(self, told: Told, policy: Policy = POLICY) -> AnswerWord:
        """Writes down what the gateway answered; in the epoch that is known, if it has none."""
        [word] = self.run(ledger.answer([told if told.epoch else replace(told, epoch=self.epoch)], policy))
        return word

    def new_epoch(self) -> None:
        """Has the next script meet another server than the one that the ledger knows."""
        self.client.hset(keys.EPOCH, "server", "another")

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


def message(text: str = "") -> str:
    """What these jobs' records hold as their message; longer than one of its fields."""
    return json.dumps({"recipient": "77010000001", "text": text + "Қазақстан " * 10}, ensure_ascii=False)


def outcome(job_id: str, to: State, *, token: str = NONCE, calls: int = 1) -> Settlement:
    """What a worker says of a job that it has begun."""
    error = JobError("a reason", 1, {"recipient": "a sentence"})
    if to is State.SENT:
        return Settlement(job_id, token, to, calls, ids=IDS, recipient="77010000001")
    return Settlement(job_id, token, to, calls, error=error, delay=DAY, at=4_000_000_000_000)


def told(job_id: str, word: Literal["found", "absent", "near", "empty", "cant_tell"], *, token: str = ASKED) -> Told:
    """What an asker says of a job that it was given; of what it found, that the list had shown the canary too."""
    if word in ("found", "near"):
        return Told(job_id, token, 0, word, ids=(IDS,), recipient="77010000001", proved=True)
    return Told(job_id, token, 0, word)
