"""What the oracle of the state machine keeps: jobs, batches, gates; and the times that it works with.

Time is counted in units far longer than an example takes, so that the real clock's progress never decides anything.
What the scripts put off for seconds comes a unit later.
"""

from collections import Counter
from dataclasses import dataclass, field

from smsq.lanes import Lane
from smsq.ledger import Policy
from smsq.states import FINAL, State

#: Milliseconds of a unit of time.
UNIT = 1_000_000
#: In units: a reservation, a lease, the retention.
RESERVATION, LEASE, RETENTION = 2, 3, 20
#: In units: how late the gateway accepts, how late its list shows a message, when an absence counts, how long is asked,
#: how long an answer may take, the age at which absence means failure.
BOUND, DELAY, SETTLING, LIMIT, PATIENCE, GIVE_UP = 2, 2, 4, 16, 2, 30
#: Workers that may die during a job's call; failures in a row that close the circuit.
LOSSES, CIRCUIT_AFTER = 2, 2
POLICY = Policy(
    retention=RETENTION * UNIT,
    lease=LEASE * UNIT,
    settling=SETTLING * UNIT,
    bound=BOUND * UNIT,
    limit=LIMIT * UNIT,
    losses=LOSSES,
    give_up=GIVE_UP * UNIT,
    tokens=True,
)

WAITING = (State.SCHEDULED, State.QUEUED, State.RETRYING)
OPEN = (*WAITING, State.SENDING)


@dataclass
class Ask:
    """Calls of a job that aren't settled, and the questions about them. Moments are in units.

    Attributes:
        first: When the earliest was made.
        last: When the latest was made, or had ended.
        becomes: What the job is if the gateway surely doesn't have it.
        since: Since when it is being asked about, or None.
        token: The last question's.
        counts: Whether that one's "absent" is evidence.
        absent: When the first such answer came.
        empty: Whether only a newer canary is missing.
        said: What the settle said that began it.
    """

    first: int
    last: int
    becomes: State = State.QUEUED
    since: int | None = None
    token: str = ""
    counts: bool = False
    absent: int | None = None
    empty: bool = False
    said: State | None = None


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
        resent: Whether it was, once.
        at: When it was accepted.
        epoch: In which it was written, or in which the gateway was last asked about it.
        ask: Calls that aren't settled.
        losses: Workers that died during its call.
        put_off: Since when the gateway puts it off, or None.
        expires: When its time is over, or None.
        due: When someone must look at it, or None: then it is on its lane, or final.
        token: The last begin's nonce.
        attempts: Calls that the record counts.
        message_id: The gateway's, once sent.
        ended: When it became final (or was said to be sent), or None.
        waiters: Who waits for its end.
        woken: Entries that its end put on the list they wait on.
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
    at: int = 0
    epoch: int = 0
    ask: Ask | None = None
    losses: int = 0
    put_off: int | None = None
    expires: int | None = None
    due: int | None = None
    token: str = ""
    attempts: int = 0
    message_id: int | None = None
    ended: int | None = None
    waiters: int = 0
    woken: int = 0
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

    @property
    def asking(self) -> bool:
        """Whether the gateway is being asked about it."""
        return self.state is State.SENDING and self.ask is not None and self.ask.since is not None


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
        return sum(number for state, number in self.counts().items() if state in WAITING)
