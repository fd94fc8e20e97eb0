"""What the ledger should do, in Python: the oracle that the state machine compares the scripts with.

Here what producers, workers and operators do; `tests.ledger.asking_model` adds what is due and the questions.
"""

from dataclasses import dataclass, field

from smsq.ledger import Settlement
from smsq.states import FINAL, State
from tests.ledger.entries import (
    DELAY,
    LEASE,
    OPEN,
    RESERVATION,
    RETENTION,
    UNIT,
    WAITING,
    Ask,
    BatchEntry,
    Entry,
)  # fmt: skip
from tests.ledger.gates_model import Gates
from tests.ledger.turns_model import Turns


@dataclass
class Model(Gates):
    """The ledger as it should be.

    Attributes:
        epoch: The ledger's epoch, counted from 1.
        started: When it started.
        changed: Whether the next script that writes will start another.
        canary: When the message was begun that lists must show, in this epoch.
        next_canary: The same of the one that will be it, and when that was settled.
    """

    epoch: int = 0
    started: int = 0
    changed: bool = True
    canary: int | None = None
    next_canary: tuple[int, int] | None = None
    jobs: dict[str, Entry] = field(default_factory=dict)
    batches: dict[str, BatchEntry] = field(default_factory=dict)
    keys: dict[str, Entry] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    passed: Turns = field(default_factory=Turns)

    # -- looking

    def doubt(self, job: Entry) -> bool:
        """Returns whether the ledger may have forgotten what was done with a job."""
        return self.changed or job.epoch != self.epoch

    def uncertain(self, job: Entry) -> bool:
        """Returns whether nobody may say that the gateway has no message of a job."""
        return self.doubt(job) or job.ask is not None

    def end(self, job: Entry) -> State | None:
        """Returns how a waiting job has ended that nobody has written: what came first, its batch's end or its own."""
        batch = self.batches.get(job.batch)
        stopped = batch.stopped if batch else None
        if job.expires is not None and job.expires <= (self.now if stopped is None else stopped):
            return State.EXPIRED
        return None if stopped is None else State.CANCELLED

    def visible(self, job: Entry) -> State:
        """Returns the state that a lookup shows."""
        waits = job.state in WAITING and not self.uncertain(job)
        return (self.end(job) or job.state) if waits else job.state

    def left(self, moment: int | None) -> int | None:
        """Returns the units until a moment."""
        return None if moment is None else moment - self.now

    @property
    def next_epoch(self) -> int:
        """The epoch in which the next script that writes will find itself."""
        return self.epoch + self.changed

    # -- moving

    def fresh(self) -> None:
        """What each script does first that writes: it starts an epoch, if this isn't the ledger that was known."""
        if self.changed:
            self.epoch, self.started, self.changed = self.epoch + 1, self.now, False
            self.canary = self.next_canary = None

    def move(self, job: Entry, state: State, due: int | None) -> None:
        """Brings a job into a state."""
        if state is not State.SENT:
            assert not job.final, "only 'sent' follows a final state"
        job.state, job.due = state, due
        batch = self.batches.get(job.batch)
        if state in FINAL:
            job.ended, job.ask = self.now, None
            job.woken, job.waiters = job.woken + job.waiters, 0
            if batch and not any(each.state in OPEN for each in batch.members):
                batch.closed = self.now

    def unsettle(self, job: Entry, first: int, last: int) -> Ask:
        """Notes calls that aren't settled."""
        if job.ask is None:
            job.ask = Ask(first, last)
        job.ask.first, job.ask.last = min(first, job.ask.first), max(last, job.ask.last)
        return job.ask

    def start_asking(self, job: Entry, first: int, last: int, becomes: State) -> None:
        """Has the gateway asked about a job."""
        ask = self.unsettle(job, first, last)
        ask.becomes, ask.since, ask.token, ask.counts, ask.absent, ask.empty = becomes, self.now, "", False, None, False
        self.move(job, State.SENDING, self.now + 1)

    def end_uncalled(self, job: Entry, how: State) -> None:
        """Ends a job that hasn't been called, or has the gateway asked about it, if that isn't certain."""
        if self.uncertain(job):
            last = self.now if self.doubt(job) or job.ask is None else job.ask.last
            self.start_asking(job, job.at, last, how)
        else:
            self.move(job, how, None)

    def finish_as_ended(self, job: Entry) -> None:
        """Writes down that a waiting job has ended, or was purged, as those do who meet it."""
        self.end_uncalled(job, self.end(job) or State.CANCELLED)

    # -- producers

    def enqueue(self, job: Entry, *, forgotten: bool = False) -> tuple[str, Entry]:
        """Accepts a job; returns the script's word and the job that it is about.

        Args:
            job: The job.
            forgotten: Whether its key was handed over in an earlier epoch.
        """
        owner = self.keys.get(job.key) if job.key else None
        if owner and owner.content != job.content:
            return "conflict", owner
        if owner or job.id in self.jobs:
            return "known", owner or self.jobs[job.id]
        job.at, job.epoch = self.now, 0 if forgotten else self.epoch
        self.jobs[job.id] = job
        if job.key:
            self.keys[job.key] = job
        if job.batch:
            batch = self.batches.setdefault(job.batch, BatchEntry())
            batch.members.append(job)
            batch.closed = None
        return "accepted", job

    def cancel(self, job_id: str) -> str:
        """Cancels a job; returns the script's word."""
        job = self.jobs.get(job_id)
        if not job:
            return "gone"
        if job.state is State.CANCELLED:
            return "cancelled"
        if job.final or job.state is State.SENDING:
            return "late"
        how = self.end(job)
        self.finish_as_ended(job)
        return "late" if job.asking or how is State.EXPIRED else "cancelled"

    def cancel_batch(self, name: str) -> int:
        """Cancels a batch; returns how many jobs waited when it was cancelled first."""
        batch = self.batches.get(name)
        if not batch:
            return -1
        if batch.stopped is None:
            batch.stopped, batch.stopped_jobs = self.now, batch.waiting()
        return batch.stopped_jobs

    def watch(self, job_id: str) -> bool:
        """Registers a waiter; returns whether there is anything to wait for."""
        job = self.jobs.get(job_id)
        uncalled = job and job.state is not State.SENDING and not self.uncertain(job)
        if not job or job.final or (uncalled and self.end(job)):
            return False
        job.waiters += 1
        return True

    # -- workers

    def reserve(self, job_id: str) -> None:
        """Takes a job off its lane."""
        job = self.jobs[job_id]
        assert job.state is State.QUEUED, f"{job_id} was taken in state {job.state}"
        assert job.due is None, f"{job_id} was taken twice"
        job.due = self.now + RESERVATION

    def begin(self, job_id: str, nonce: str, epoch: int, worker: str) -> tuple[str, Entry | None]:
        """Begins a job; returns the script's word. A probe that calls nobody gives its permit back."""
        word, job = self._begin(job_id, nonce, epoch, worker)
        if word not in ("begun", "epoch", "taken"):
            self.give_back(job_id, worker)
        return word, job

    def _begin(self, job_id: str, nonce: str, epoch: int, worker: str) -> tuple[str, Entry | None]:
        job = self.jobs.get(job_id)
        if epoch != self.epoch:
            return "epoch", job
        if not job:
            return "gone", None
        if job.final:
            return (str(job.state) if job.state in (State.EXPIRED, State.CANCELLED) else "final"), job
        if job.due is None:
            return "waiting", job
        if job.state is State.SENDING and job.token == nonce and not job.asking:
            return "begun", job
        if job.state is not State.QUEUED or job.token == nonce:
            return "taken", job
        if end := self.end(job):
            self.end_uncalled(job, end)
            return ("asking" if job.asking else str(end)), job
        if self.doubt(job):
            self.start_asking(job, job.at, self.now, State.QUEUED)
            return "asking", job
        if self.held_back(job, worker):
            job.due = None
            return "paused", job
        self.move(job, State.SENDING, self.now + LEASE)
        job.token, job.attempts = nonce, job.attempts + 1
        return "begun", job

    def renew(self, job_id: str, token: str, epoch: int) -> bool:
        """Renews a lease; returns whether it was the caller's."""
        job = self.jobs.get(job_id)
        if not job or epoch != self.epoch or job.due is None or job.due <= self.now:
            return False
        if job.state is not State.SENDING or job.asking or job.token != token:
            return False
        job.due = self.now + LEASE
        return True

    def settle(self, settlement: Settlement, *, epoch: int, worker: str, in_units: int = 0) -> str:
        """Settles a job; ``in_units`` is when it is due, for what waits. Returns the script's word."""
        job = self.jobs.get(settlement.job_id)
        if not job:
            return "gone"
        if settlement.to is State.SENT:
            assert settlement.ids is not None
            return self._sent(job, settlement, settlement.ids[0], epoch, worker)
        if job.token != settlement.token or epoch != self.epoch:
            return "stale"
        if job.state is not State.SENDING or job.asking:
            said = job.ask.said if job.ask and job.asking else None
            return "settled" if settlement.to in (job.state, said) else "stale"
        self._settle(job, settlement, in_units)
        self.hear(settlement, worker)
        return "settled"

    def _settle(self, job: Entry, settlement: Settlement, in_units: int) -> None:
        begun = self.now - settlement.took // UNIT
        job.attempts += settlement.calls - 1
        if settlement.resends:
            job.resend, job.resent = False, True
            self.unsettle(job, begun, self.now)
        if settlement.to is State.SENDING:
            self.unsettle(job, begun, self.now).said = settlement.to
            self.start_asking(job, begun, self.now, State.QUEUED)
        elif settlement.to in FINAL and settlement.to is not State.UNKNOWN:
            if job.ask:
                job.ask.said = settlement.to
            self.end_uncalled(job, settlement.to)
        else:
            if job.put_off is None and (
                settlement.to is State.RETRYING or (settlement.to is State.QUEUED and settlement.error)
            ):
                job.put_off = self.now
            waits = settlement.to in (State.RETRYING, State.SCHEDULED)
            self.move(job, settlement.to, self.now + in_units if waits else None)

    def _sent(self, job: Entry, settlement: Settlement, message_id: int, epoch: int, worker: str) -> str:
        was = job.state
        attempts = job.attempts
        if job.state is State.SENDING and job.token == settlement.token:
            attempts += settlement.calls - 1
        word = self.accept(job, message_id, attempts)
        if word == "settled" and was is not State.SENT:
            if epoch == self.epoch:
                self._new_canary(self.now - settlement.took // UNIT)
            self.hear(settlement, worker)
        return word

    @property
    def ripe(self) -> bool:
        """Whether the next canary is so old that lists must show it."""
        return self.next_canary is not None and self.now - self.next_canary[1] >= DELAY

    def _new_canary(self, called: int) -> None:
        if self.next_canary is None or self.ripe:
            self.canary = self.next_canary[0] if self.next_canary else self.canary
            self.next_canary = called, self.now

    def accept(self, job: Entry, message_id: int, attempts: int) -> str:
        """Ends a job as sent; returns the script's word."""
        if self.owners.get(message_id, job.id) != job.id:
            return "owned"
        if job.state is State.SENT:
            return "settled" if job.message_id == message_id else "twice"
        self.owners[message_id] = job.id
        self.written[message_id // 100] = self.now
        job.message_id, job.expires, job.attempts = message_id, None, attempts
        self.move(job, State.SENT, None)
        return "settled"

    def untake(self, job_ids: list[str]) -> int:
        """Hands jobs back; returns how many went."""
        back = 0
        for job_id in job_ids:
            job = self.jobs.get(job_id)
            if job and job.state is State.QUEUED and job.due is not None:
                job.due = None
                back += 1
        return back

    def advance(self, units: int) -> None:
        """Lets time pass: what ended longer ago than the retention is gone."""
        self.now += units
        for job in list(self.jobs.values()):
            job.woken *= not units  # these lists are kept for a minute
            if job.ended is not None and job.ended + RETENTION <= self.now:
                del self.jobs[job.id]
                if self.keys.get(job.key) is job:
                    del self.keys[job.key]
        for message_id in list(self.owners):
            if self.written[message_id // 100] + RETENTION <= self.now:  # a hundred ids share a key
                del self.owners[message_id]
        for name, batch in list(self.batches.items()):
            if batch.closed is not None and batch.closed + RETENTION <= self.now:
                del self.batches[name]
        self.forget_gates()
