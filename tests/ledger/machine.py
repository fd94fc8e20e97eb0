"""What the state machine's rules are made of: each script run as the product runs it, and held against the oracle."""

import itertools
import math
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from smsq import keys, ledger
from smsq.connection import SyncRunner
from smsq.job import Job
from smsq.lanes import LANES, Lane
from smsq.ledger import NewJob, Options, Settlement
from smsq.scripts import Call
from smsq.settings import Settings
from smsq.states import FINAL, TRANSITIONS, State
from tests.ledger.holds import Hold
from tests.ledger.model import LEASE, RESERVATION, RETENTION, UNIT, Entry, Model
from tests.ledger.snapshot import Snapshot, advance, problems
from tests.support.server import Server

T = TypeVar("T")

#: Outcomes of a call after which the gateway certainly doesn't have the message.
CERTAIN = frozenset({"refused", "try_again"})
_DIGITS_TO_LETTERS = str.maketrans("0123456789", "abcdefghij")


class LedgerSteps(RuleBasedStateMachine):
    """One method for each thing that can happen to the ledger. Moments and times are in units."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.client = server.client()
        self.client.flushdb()
        self.runner = SyncRunner(Settings.load(redis_url=server.url).address)
        self.model = Model()
        self.numbers = itertools.count()
        self.message_ids = itertools.count(98)  # across the border between two keys of the index
        self.snapshot = Snapshot.read(self.client)
        self.enqueued: list[tuple[list[Entry], Call[list[ledger.Accepted]]]] = []
        self.hints: dict[str, list[str]] = {"A": [], "B": []}
        self.nonces: list[tuple[list[str], str]] = []
        self.holds: list[Hold] = []
        self.strays: set[str] = set()
        self.agreed = False
        self.touched: set[Lane] = set()

    def ask(self, call: Call[T]) -> T:
        """Runs a script as the product does."""
        self.agreed = False
        return self.runner.run(call, 10)

    def teardown(self) -> None:
        """Lets healthy workers finish what was accepted: nothing may be left over."""
        try:
            for _ in range(10):
                if not self.agreed or all(job.final for job in self.model.jobs.values()):
                    return
                self.pass_time(LEASE)
                self.take_due(1000)
                self.take("A", 1000, list(LANES))
                self.begin("A", list(dict.fromkeys(self.hints["A"])))
                for hold in [each for each in self.holds if not each.settled and each.may_call(self.model.now)]:
                    self.call(hold, "accepted")
                    self.settle(hold, hold.sent())
                self.agrees()
            raise AssertionError("accepted, and never ended")
        finally:
            self.runner.close()
            self.client.close()

    # -- producers

    def enqueue(self, entries: list[Entry], send_at: int | None, expires_in: int | None) -> None:
        """Enqueues jobs that share lane, batch and times."""
        first = entries[0]
        options = Options(
            first.lane,
            first.batch,
            None if send_at is None else self.snapshot.now + send_at * UNIT,
            None if expires_in is None else expires_in * UNIT,
            "resend" if first.resend else "ask",
        )
        new = [NewJob(each.id, message_of(each.id), each.key, each.content) for each in entries]
        call = ledger.enqueue(new, options, 1)
        for each in entries:
            each.expires = None if expires_in is None else self.model.now + expires_in
            if send_at is not None and send_at > 0:
                each.state, each.due = State.SCHEDULED, self.model.now + send_at
        self.enqueued.append((entries, call))
        self.check_enqueue(entries, call)

    def check_enqueue(self, entries: list[Entry], call: Call[list[ledger.Accepted]]) -> None:
        """Runs an enqueue, for the first time or again."""
        answers = self.ask(call)
        assert len(answers) == len(entries) or isinstance(answers[-1], ledger.Conflict), "only a conflict ends it early"
        for each, answer in zip(entries, answers, strict=False):
            word, about = self.model.enqueue(each)
            if word == "conflict":
                assert answer == ledger.Conflict(about.id)
            else:
                assert isinstance(answer, Job)
                assert (answer.id, answer.state) == (about.id, self.model.visible(about))

    def new_id(self) -> str:
        """Makes an id of the documented form."""
        return f"{next(self.numbers):020d}".translate(_DIGITS_TO_LETTERS)

    # -- workers

    def take(self, worker: str, count: int, lanes: list[Lane]) -> None:
        """Takes ids: as many as there are, the first lane's first, each batch's in their order."""
        before = self.snapshot
        taken = self.ask(ledger.take(count, lanes, reservation=RESERVATION * UNIT, retention=RETENTION * UNIT))
        after = Snapshot.read(self.client)
        for job in self.model.jobs.values():
            if job.on_lane and after.jobs[job.id]["state"] in FINAL:
                assert self.model.end(job), "ended in the middle of its life"
                assert job.lane in lanes or job.id in self.strays
                self.model.finish_as_ended(job)
        for job_id, lane in taken.jobs:
            job = self.model.jobs[job_id]
            assert lane in lanes
            assert lane == job.lane or job_id in self.strays
            if job.final:
                assert job.state in (State.EXPIRED, State.CANCELLED)
            else:
                assert self.model.end(job) is not State.CANCELLED or job_id in self.strays
                self.model.reserve(job_id)
        self._check_order(before, taken.jobs)
        assert taken.left == any(after.ring(lane) for lane in lanes)
        for number, lane in enumerate(lanes):
            later = {each for _, each in taken.jobs} & set(lanes[number + 1 :])
            if len(taken.jobs) < count or later:
                assert not [job.id for job in self.model.jobs.values() if job.on_lane and job.lane == lane]
        self.hints[worker] += [job_id for job_id, _ in taken.jobs]

    def _check_order(self, before: Snapshot, taken: list[tuple[str, Lane]]) -> None:
        order = [job_id for job_id, _ in taken if job_id not in self.strays]
        for ids in before.lists.values():
            assert [each for each in ids if each in order] == [each for each in order if each in ids]

    def begin(self, worker: str, job_ids: list[str]) -> None:
        """Begins jobs under a new nonce."""
        nonce = f"nonce{next(self.numbers)}"
        if job_ids:
            self.nonces.append((job_ids, nonce))
        self.hints[worker] = [each for each in self.hints[worker] if each not in job_ids]
        for job in self.check_begin(job_ids, nonce):
            assert job.due is not None
            self.holds.append(Hold(worker, job, nonce, job.due))

    def check_begin(self, job_ids: list[str], nonce: str) -> list[Entry]:
        """Runs a begin, for the first time or again; returns the jobs that are begun."""
        expected = [self.model.begin(job_id, nonce) for job_id in job_ids]
        begun: list[Entry] = []
        answers = self.ask(ledger.begin(job_ids, nonce, lease=LEASE * UNIT, retention=RETENTION * UNIT))
        for (word, job), answer in zip(expected, answers, strict=True):
            assert answer.word == word
            if word == "begun":
                assert job is not None
                assert answer.message.decode() == message_of(job.id)
                assert (answer.lane, answer.attempts) == (job.lane, job.attempts)
                assert units(answer.lease_left) == self.model.left(job.due)
                assert units(answer.expires_left) == (job.expires and max(0, job.expires - self.model.now))
                assert answer.on_unknown == ("resend" if job.resend else "resent" if job.resent else "ask")
                begun.append(job)
        return begun

    def call(self, hold: Hold, outcome: str) -> None:
        """Calls the gateway. That's what everything is about: it must not get a message twice."""
        job = hold.job
        # A caller who prefers two messages to none gets one more call, and no second one.
        unsettled = [earlier for earlier in job.calls if earlier not in CERTAIN]
        assert len(unsettled) <= int(job.resent), "called twice"
        assert job.state not in (State.EXPIRED, State.CANCELLED), "called after its end"
        job.calls.append(outcome)
        hold.calls.append(outcome)
        if outcome.endswith("accepted"):
            hold.message_id = next(self.message_ids)

    def settle(self, hold: Hold, settlement: Settlement, in_units: int = 0) -> None:
        """Settles a job that this hold has begun."""
        hold.settled, hold.in_units = settlement, in_units
        self.check_settle(settlement, in_units)

    def check_settle(self, settlement: Settlement, in_units: int = 0) -> None:
        """Runs a settle, for the first time or again."""
        [word] = self.ask(ledger.settle([settlement], retention=RETENTION * UNIT))
        assert word == self.model.settle(settlement, in_units=in_units)

    # -- dispatcher and time

    def take_due(self, limit: int) -> None:
        """Looks at what is due, oldest first."""
        ids = [job_id for job_id, at in self.snapshot.due.items() if at <= self.snapshot.now][:limit]
        looked = self.ask(ledger.take_due(limit, retention=RETENTION * UNIT))
        heard = [(job_id, self.model.look(job_id)) for job_id in ids]
        assert looked.entries == len(ids)
        assert looked.events == [(job_id, what) for job_id, what in heard if what]
        due = [max(job.due, self.model.now) for job in self.model.jobs.values() if job.due is not None]
        assert units(looked.next_due) == (min(due) - self.model.now if due else None)

    def pass_time(self, count: int) -> None:
        """Lets time pass."""
        advance(self.client, count * UNIT)
        self.model.advance(count)
        self.snapshot = Snapshot.read(self.client)

    # -- what there is

    def job(self, pick: int) -> Entry:
        """Picks a job: those that a worker is at first, the ended ones last."""
        jobs = sorted(
            self.model.jobs.values(), key=lambda job: (job.final, job.state is not State.SENDING, not job.due)
        )
        return jobs[pick % len(jobs)]

    def hinted(self, pick: int) -> str:
        """Picks a worker that has taken ids."""
        workers = [worker for worker, ids in self.hints.items() if ids]
        return workers[pick % len(workers)]

    def waiting(self) -> bool:
        """Returns whether any job is on a lane."""
        return any(job.on_lane for job in self.model.jobs.values())

    def callable(self) -> list[Hold]:
        """Returns what may be called for."""
        return [hold for hold in self.holds if hold.may_call(self.model.now)]

    def late_begins(self) -> list[Hold]:
        """Returns settled holds whose jobs somebody has taken again; a record knows its last token only."""
        settled = [hold for hold in self.holds if hold.settled and hold.token == hold.job.token]
        return [hold for hold in settled if hold.job.state is State.QUEUED and hold.job.due]

    def unsettled(self) -> list[Hold]:
        """Returns what live workers have begun and not settled."""
        return [hold for hold in self.holds if not hold.settled and not hold.dead]

    # -- what holds

    @invariant()
    def agrees(self) -> None:
        """The ledger is sound, and what it holds is what the model holds."""
        self.snapshot = taken = Snapshot.read(self.client)
        on_lists = {job_id for key, ids in taken.lists.items() if key.startswith(keys.ring("")) for job_id in ids}
        self.strays &= on_lists
        self.touched -= {lane for lane in LANES if not any(lane in key for key in taken.lists if "bell" not in key)}
        assert problems(taken, strays=self.strays, touched=self.touched) == []
        assert set(taken.jobs) == set(self.model.jobs)
        for job in self.model.jobs.values():
            self._check_job(job)
        assert taken.idempotency == {key: f"{job.id} {job.content}" for key, job in self.model.keys.items()}
        assert set(taken.batches) == set(self.model.batches)
        for name, batch in self.model.batches.items():
            record = taken.batches[name]
            counted = {state: record.get(state, 0) for state in State}
            assert counted == {state: batch.counts()[state] for state in State}
            assert ("stopped" in record) == (batch.stopped is not None)
            assert (taken.ttl[keys.batch(name)] >= 0) == (batch.closed is not None)
        self.agreed = True

    def _check_job(self, job: Entry) -> None:
        record, shown = self.snapshot.jobs[job.id], self.snapshot.job(job.id)
        due = self.snapshot.due.get(job.id)
        assert record["state"] == job.state
        assert units(None if due is None else due - self.snapshot.now) == self.model.left(job.due)
        assert (record.get("token", ""), shown.attempts) == (job.token, job.attempts)
        assert (shown.state, shown.message_id) == (self.model.visible(job), job.message_id)
        assert ("m0" in record) == (job.state is not State.SENT)
        assert len(self.snapshot.lists.get(keys.wake(job.id), [])) == job.woken
        was, job.stored = job.stored, job.state
        assert was in (None, job.state) or job.state in TRANSITIONS[was], f"{was} became {job.state}"
        was, job.shown = job.shown, shown.state
        assert was not in FINAL or shown.state in (was, State.SENT), f"the end {was} became {shown.state}"


def message_of(job_id: str) -> str:
    """Returns a job's message: longer than a field of the record."""
    return f"the message of {job_id}, Қазақша " * 3


def units(milliseconds: int | None) -> int | None:
    """Returns a time in units; what has passed since the beginning of the unit doesn't count."""
    return None if milliseconds is None else math.ceil(milliseconds / UNIT)
