"""What the state machine's rules are made of: each script run as the product runs it, and held against the oracle."""

from typing import TypeVar

from smsq import ledger
from smsq.job import Job
from smsq.lanes import Lane
from smsq.ledger import NewJob, Options, Settlement
from smsq.states import State
from tests.ledger.agreement import Agreement, message_of, units
from tests.ledger.entries import CIRCUIT_AFTER, DELAY, LEASE, RESERVATION, RETENTION, UNIT, Entry
from tests.ledger.holds import Hold
from tests.ledger.snapshot import Snapshot, advance

T = TypeVar("T")

_DIGITS_TO_LETTERS = str.maketrans("0123456789", "abcdefghij")


class LedgerSteps(Agreement):
    """One method for each thing that can happen to the ledger. Moments and times are in units."""

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
        self.model.fresh()
        for each in entries:
            each.expires = None if expires_in is None else self.model.now + expires_in
            if send_at is not None and send_at > 0:
                each.state, each.due = State.SCHEDULED, self.model.now + send_at
            if each.resend:
                self.resending.add(each.id)
        self.enqueued.append((entries, options, self.model.epoch))
        self.check_enqueue(entries, options)

    def check_enqueue(self, entries: list[Entry], options: Options, *, forgotten: bool = False) -> None:
        """Runs an enqueue, for the first time or again.

        Args:
            entries: The jobs.
            options: What they have in common.
            forgotten: Whether their keys were handed over in an earlier epoch.
        """
        new = [NewJob(each.id, message_of(each.id), each.key, each.content) for each in entries]
        if forgotten:
            new = [each._replace(tried=10 * RETENTION * UNIT) if each.key_hash else each for each in new]
        answers = self.ask(ledger.enqueue(new, options, 1))
        assert len(answers) == len(entries) or isinstance(answers[-1], ledger.Conflict), "only a conflict ends it early"
        for each, answer in zip(entries, answers, strict=False):
            word, about = self.model.enqueue(each, forgotten=forgotten)
            if word == "conflict":
                assert answer == ledger.Conflict(about.id)
            else:
                assert isinstance(answer, Job)
                ends = word == "accepted" and about.batch and not self.model.doubt(about)  # rule 22
                stopped = ends and self.model.batches[about.batch].stopped is not None
                assert answer.id == about.id
                assert answer.state == (State.CANCELLED if stopped else self.model.visible(about))

    def new_id(self) -> str:
        """Makes an id of the documented form."""
        return f"{next(self.numbers):020d}".translate(_DIGITS_TO_LETTERS)

    # -- workers

    def take(self, worker: str, count: int, lanes: list[Lane]) -> None:
        """Takes ids: as many as there are, the first lane's first, each batch's in their order."""
        before = self.snapshot
        call = ledger.take(
            count,
            lanes,
            reservation=RESERVATION * UNIT,
            retention=RETENTION * UNIT,
            lease=LEASE * UNIT,
            worker=worker,
            interval=0,
        )
        taken = self.ask(call)
        after = Snapshot.read(self.client)
        room, back = self.model.room(worker, count)
        self._met_on_lanes(after, lanes)
        for job_id, lane, moment in taken.jobs:
            job = self.model.jobs[job_id]
            assert moment == 0
            assert lane in lanes
            assert lane == job.lane or job_id in self.strays
            if job.final:
                assert job.state in (State.EXPIRED, State.CANCELLED)
            else:
                assert not job.batch or self.model.end(job) is None, "it ends without anyone being handed its id"
                self.model.reserve(job_id)
        ids = [job.id for job in taken.jobs]
        if ids:
            self.model.permit(worker, ids[0])
        assert units(taken.come_back) == back
        open_lanes = [lane for lane in lanes if not self.model.paused & {"all", lane}]
        assert {job.lane for job in taken.jobs} <= set(open_lanes)
        reserved = [job_id for job_id in ids if not self.model.jobs[job_id].final and job_id not in self.strays]
        assert len(reserved) <= room
        self._check_order(before, ids)
        assert taken.left == next((lane for lane in open_lanes if after.ring(lane)), None)
        if len(ids) < room:
            assert not [job.id for job in self.model.jobs.values() if job.on_lane and job.lane in open_lanes]
        waited, waits = ([lane for lane in open_lanes if look.ring(lane)] for look in (before, after))
        self.model.passed.check(room, lanes, waited, waits, [job.lane for job in taken.jobs])
        self.hints[worker] += ids

    def _met_on_lanes(self, after: Snapshot, lanes: list[Lane]) -> None:
        """Jobs that waited and have ended: whoever met them wrote that down, or has the gateway asked."""
        for job in [job for job in self.model.jobs.values() if job.on_lane]:
            if after.jobs[job.id]["state"] != State.QUEUED:
                assert self.model.end(job), "ended in the middle of its life"
                assert job.lane in lanes or job.id in self.strays
                self.model.finish_as_ended(job)

    def _check_order(self, before: Snapshot, taken: list[str]) -> None:
        order = [job_id for job_id in taken if job_id not in self.strays]
        for ids in before.lists.values():
            assert [each for each in ids if each in order] == [each for each in order if each in ids]

    def begin(self, worker: str, job_ids: list[str]) -> None:
        """Begins jobs under a new nonce; once more, if the ledger's epoch is another than was known."""
        self.hints[worker] = [each for each in self.hints[worker] if each not in job_ids]
        while job_ids:
            nonce, epoch = f"nonce{next(self.numbers)}", self.model.epoch
            self.nonces.append((worker, job_ids, nonce, epoch))
            for job in self.check_begin(worker, job_ids, nonce, epoch):
                self.holds.append(Hold.of(worker, job, epoch, self.epochs[epoch], self.model.now))
            if epoch == self.model.epoch:
                return

    def check_begin(self, worker: str, job_ids: list[str], nonce: str, epoch: int) -> list[Entry]:
        """Runs a begin, for the first time or again; returns the jobs that are begun."""
        self.model.fresh()
        expected = [self.model.begin(job_id, nonce, epoch, worker) for job_id in job_ids]
        call = ledger.begin(
            job_ids,
            nonce,
            epoch=self.epochs[epoch],
            lease=LEASE * UNIT,
            retention=RETENTION * UNIT,
            worker=worker,
        )
        begun: list[Entry] = []
        answers = self.ask(call)
        for (word, job), answer in zip(expected, answers, strict=True):
            assert answer.word == word
            if word == "begun":
                assert job is not None
                assert answer.message.decode() == message_of(job.id)
                assert (answer.lane, answer.attempts) == (job.lane, job.attempts)
                assert units(answer.lease_left) == self.model.left(job.due)
                assert units(answer.expires_left) == (job.expires and max(0, job.expires - self.model.now))
                assert answer.on_unknown == ("resend" if job.resend else "resent" if job.resent else "ask")
                assert answer.unsettled == (job.ask is not None)
                begun.append(job)
        return begun

    def call(self, hold: Hold, outcome: str, delay: int = 0) -> None:
        """Calls the gateway. That's what everything is about: it must not get a message twice.

        Args:
            hold: For what.
            outcome: What it comes to.
            delay: Units until the gateway's list shows the message.
        """
        # A caller who prefers two messages to none gets one more call, and no second one.
        before = self.gateway.has(hold.job_id)
        assert before <= int(hold.job_id in self.resending), "the gateway gets a message twice"
        hold.calls.append(outcome)
        message_id = self.gateway.call(hold.job_id, outcome, delay, self.model.now)
        if outcome == "accepted":
            hold.message_id = message_id

    def settle(self, hold: Hold, settlement: Settlement, in_units: int = 0) -> None:
        """Settles a job that this hold has begun."""
        hold.settled, hold.in_units = settlement, in_units
        self.check_settle(hold.worker, settlement, hold.epoch, in_units)

    def check_settle(self, worker: str, settlement: Settlement, epoch: int, in_units: int = 0) -> None:
        """Runs a settle, for the first time or again."""
        call = ledger.settle(
            [settlement],
            retention=RETENTION * UNIT,
            worker=worker,
            circuit_after=CIRCUIT_AFTER,
            list_delay=DELAY * UNIT,
        )
        [word] = self.ask(call).words
        assert word == self.model.settle(settlement, epoch=epoch, worker=worker, in_units=in_units)

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

    def asking(self) -> bool:
        """Returns whether the gateway is being asked about any job."""
        return any(job.asking for job in self.model.jobs.values())

    def callable(self) -> list[Hold]:
        """Returns what may be called for."""
        return [hold for hold in self.holds if hold.may_call(self.model.now)]

    def late_begins(self) -> list[Hold]:
        """Returns settled holds whose jobs somebody has taken again; a record knows its last token only."""
        taken = {job.id: job.token for job in self.model.jobs.values() if job.state is State.QUEUED and job.due}
        return [hold for hold in self.holds if hold.settled and taken.get(hold.job_id) == hold.token]

    def unsettled(self) -> list[Hold]:
        """Returns what live workers have begun and not settled."""
        return [hold for hold in self.holds if not hold.settled and not hold.dead]
