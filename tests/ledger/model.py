"""What the ledger should do, in Python: the oracle that the state machine compares the scripts with.

Time is counted in units far longer than an example takes, so that the real clock's progress never decides anything.
"""

from collections import Counter
from dataclasses import dataclass, field

from smsq.lanes import Lane
from smsq.ledger import Settlement
from smsq.states import FINAL, State

#: Milliseconds of a unit of time.
UNIT = 1_000_000
#: In units: a reservation, a lease, the retention.
RESERVATION, LEASE, RETENTION = 2, 3, 20

_WAITING = (State.SCHEDULED, State.QUEUED, State.RETRYING)
_OPEN = (*_WAITING, State.SENDING)


@dataclass
class Entry:
    """A job. Moments are in units since the example began.

    Attributes:
        id: Its id.
        state: As its record has it.
        lane: Its lane.
        batch: Its batch, or ''.
        key: Its idempotency key's hash, or ''.
        content: Its content's hash, or ''.
        resend: Whether a lost answer is called again.
        resent: Whether it was, once: from then on nobody knows what the gateway has.
        expires: When its time is over, or None.
        due: When someone must look at it, or None: then it is on its lane, or final.
        token: The last begin's nonce.
        attempts: Calls that the record counts.
        message_id: The gateway's, once sent.
        ended: When it became final (or was said to be sent), or None.
        waiters: Who waits for its end.
        woken: Entries that its end put on the list they wait on.
        calls: What each call to the gateway came to.
        stored: The state that its record was last seen in.
        shown: The state that a lookup last showed.
    """

    id: str
    state: State
    lane: Lane
    batch: str = ""
    key: str = ""
    content: str = ""
    resend: bool = False
    resent: bool = False
    expires: int | None = None
    due: int | None = None
    token: str = ""
    attempts: int = 0
    message_id: int | None = None
    ended: int | None = None
    waiters: int = 0
    woken: int = 0
    calls: list[str] = field(default_factory=list)
    stored: State | None = None
    shown: State | None = None

    @property
    def final(self) -> bool:
        """Whether its record is in a final state."""
        return self.state in FINAL

    @property
    def on_lane(self) -> bool:
        """Whether it waits on its lane."""
        return not self.final and self.due is None


@dataclass
class BatchEntry:
    """A batch: all jobs it ever had, when it was cancelled, and when its last open job ended."""

    members: list[Entry] = field(default_factory=list)
    stopped: int | None = None
    stopped_jobs: int = 0
    closed: int | None = None

    def counts(self) -> Counter[State]:
        """Returns its jobs by state, also those whose records are gone."""
        return Counter(each.state for each in self.members)

    def waiting(self) -> int:
        """Returns how many of its jobs wait."""
        return sum(number for state, number in self.counts().items() if state in _WAITING)


def ending(job: Entry, state: State) -> State:
    """What an end comes to: nobody knows what became of the call before a resend."""
    return State.UNKNOWN if job.resent and state in FINAL and state is not State.SENT else state


@dataclass
class Model:
    """The ledger as it should be."""

    now: int = 0
    jobs: dict[str, Entry] = field(default_factory=dict)
    batches: dict[str, BatchEntry] = field(default_factory=dict)
    keys: dict[str, Entry] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)

    # -- looking

    def end(self, job: Entry) -> State | None:
        """Returns how a waiting job has ended that nobody has written: what came first, its batch's end or its own."""
        batch = self.batches.get(job.batch)
        stopped = batch.stopped if batch else None
        if job.expires is not None and job.expires <= (self.now if stopped is None else stopped):
            return State.EXPIRED
        return None if stopped is None else State.CANCELLED

    def visible(self, job: Entry) -> State:
        """Returns the state that a lookup shows."""
        return ending(job, self.end(job) or job.state) if job.state in _WAITING else job.state

    def left(self, moment: int | None) -> int | None:
        """Returns the units until a moment."""
        return None if moment is None else moment - self.now

    # -- moving

    def _move(self, job: Entry, state: State, due: int | None) -> None:
        if state is not State.SENT:
            assert not job.final, "only 'sent' follows a final state"
        job.state, job.due = ending(job, state), due
        batch = self.batches.get(job.batch)
        if state in FINAL:
            job.ended = self.now
            job.woken, job.waiters = job.woken + job.waiters, 0
            if batch and not any(each.state in _OPEN for each in batch.members):
                batch.closed = self.now

    def finish_as_ended(self, job: Entry) -> None:
        """Writes down that a waiting job has ended, as those do who meet it."""
        self._move(job, self.end(job) or State.CANCELLED, None)

    # -- the scripts

    def enqueue(self, job: Entry) -> tuple[str, Entry]:
        """Accepts a job; returns the script's word and the job that it is about."""
        owner = self.keys.get(job.key) if job.key else None
        if owner and owner.content != job.content:
            return "conflict", owner
        if owner or job.id in self.jobs:
            return "known", owner or self.jobs[job.id]
        self.jobs[job.id] = job
        if job.key:
            self.keys[job.key] = job
        if job.batch:
            batch = self.batches.setdefault(job.batch, BatchEntry())
            batch.members.append(job)
            batch.closed = None
        return "accepted", job

    def reserve(self, job_id: str) -> None:
        """Takes a job off its lane."""
        job = self.jobs[job_id]
        assert job.state is State.QUEUED, f"{job_id} was taken in state {job.state}"
        assert job.due is None, f"{job_id} was taken twice"
        job.due = self.now + RESERVATION

    def begin(self, job_id: str, nonce: str) -> tuple[str, Entry | None]:
        """Begins a job; returns the script's word."""
        job = self.jobs.get(job_id)
        if not job:
            return "gone", None
        if job.final:
            return (str(job.state) if job.state in (State.EXPIRED, State.CANCELLED) else "final"), job
        if job.due is None:
            return "waiting", job
        if job.state is State.SENDING and job.token == nonce:
            return "begun", job
        if job.state is not State.QUEUED or job.token == nonce:
            return "taken", job
        if end := self.end(job):
            self.finish_as_ended(job)
            return (str(end) if job.state is end else "final"), job
        self._move(job, State.SENDING, self.now + LEASE)
        job.token, job.attempts = nonce, job.attempts + 1
        return "begun", job

    def settle(self, settlement: Settlement, *, in_units: int = 0) -> str:
        """Settles a job; ``in_units`` is when it is due, for what waits. Returns the script's word."""
        job = self.jobs.get(settlement.job_id)
        if not job:
            return "gone"
        holds = job.token == settlement.token
        if settlement.to is State.SENT:
            assert settlement.ids is not None
            return self._sent(job, settlement, settlement.ids[0])
        if not holds:
            return "stale"
        if job.state is not State.SENDING:
            return "settled" if job.state is ending(job, settlement.to) else "stale"
        job.attempts += settlement.calls - 1
        if settlement.resends:
            job.resend, job.resent = False, True
        waits = settlement.to in (State.RETRYING, State.SCHEDULED)
        self._move(job, settlement.to, self.now + in_units if waits else None)
        return "settled"

    def _sent(self, job: Entry, settlement: Settlement, message_id: int) -> str:
        if self.owners.get(message_id, job.id) != job.id:
            return "owned"
        if job.state is State.SENT:
            return "settled" if job.message_id == message_id else "twice"
        if job.state is State.SENDING and job.token == settlement.token:
            job.attempts += settlement.calls - 1
        self.owners[message_id] = job.id
        self.written[message_id // 100] = self.now
        job.message_id, job.expires = message_id, None
        self._move(job, State.SENT, None)
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

    def cancel(self, job_id: str) -> str:
        """Cancels a job; returns the script's word."""
        job = self.jobs.get(job_id)
        if not job:
            return "gone"
        if job.state is State.CANCELLED:
            return "cancelled"
        if job.final or job.state is State.SENDING or job.resent:
            return "late"
        self.finish_as_ended(job)
        return "late" if job.state is State.EXPIRED else "cancelled"

    def cancel_batch(self, name: str) -> int:
        """Cancels a batch; returns how many jobs waited when it was cancelled first."""
        batch = self.batches.get(name)
        if not batch:
            return -1
        if batch.stopped is None:
            batch.stopped, batch.stopped_jobs = self.now, batch.waiting()
        return batch.stopped_jobs

    def look(self, job_id: str) -> str | None:
        """Puts a due job where it belongs; returns what a person may want to hear of it."""
        job = self.jobs[job_id]
        assert job.due is not None
        assert job.due <= self.now, f"{job_id} was looked at before its time"
        if job.state is State.SENDING:
            if job.resend and not self.end(job):
                job.resend, job.resent = False, True
                self._move(job, State.QUEUED, None)
                return "resend"
            self._move(job, State.UNKNOWN, None)
            return "unknown"
        if self.end(job):
            self.finish_as_ended(job)
        else:
            self._move(job, State.QUEUED, None)
        return None

    def watch(self, job_id: str) -> bool:
        """Registers a waiter; returns whether there is anything to wait for."""
        job = self.jobs.get(job_id)
        if not job or job.final or self.end(job):
            return False
        job.waiters += 1
        return True

    def advance(self, units: int) -> None:
        """Lets time pass: what ended longer ago than the retention is gone."""
        self.now += units
        for job in list(self.jobs.values()):
            job.woken = 0  # these lists are kept for a minute
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
