"""What a worker has begun, and what it then says of it, keeping to the rules; and what an asker has been asked."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from smsq.job import JobError
from smsq.ledger import Heard, Settlement, Told
from smsq.states import State
from tests.ledger.entries import UNIT, Entry


@dataclass
class Hold:
    """A job that a worker has begun, and what it has done with it.

    Attributes:
        worker: Who.
        job_id: The job.
        token: The nonce it was begun with.
        epoch: In which it was begun, by the model's count.
        number: The same, as the ledger numbers it.
        begun_at: When it was begun, in units.
        deadline: When the lease runs out, in units.
        expires: When the job's time is over, in units, or None.
        resend: Whether a lost answer is called again.
        calls: What each of its calls came to.
        message_id: What the gateway called the message, if it took it and said so.
        settled: What it said became of the job.
        in_units: When that is to be looked at again.
        dead: Whether its worker has died.
    """

    worker: str
    job_id: str
    token: str
    epoch: int
    number: int
    begun_at: int
    deadline: int
    expires: int | None
    resend: bool
    calls: list[str] = field(default_factory=list)
    message_id: int = 0
    settled: Settlement | None = None
    in_units: int = 0
    dead: bool = False

    @classmethod
    def of(cls, worker: str, job: Entry, epoch: int, number: int, now: int) -> "Hold":
        """What a worker has of a job that it has just begun."""
        assert job.due is not None
        return cls(worker, job.id, job.token, epoch, number, now, job.due, job.expires, job.resend)

    def may_call(self, now: int) -> bool:
        """Returns whether a worker that keeps to the rules calls the gateway: it looks at the lease and the expiry.

        Whether the ledger's epoch is still its own it may not know yet.
        """
        in_time = now < self.deadline and (self.expires is None or now < self.expires)
        return not self.dead and not self.settled and in_time and (not self.calls or self.calls[-1] == "try_again")

    def settlement(self, to: State, now: int, at: int = 0, delay: int = 0, heard: Heard | None = None) -> Settlement:
        """Returns a settlement in the worker's name.

        Args:
            to: What becomes of the job.
            now: The moment, in units.
            at: When it is to be looked at again, in Redis's time, ms.
            delay: The same, ms from now.
            heard: What the last call said of the gateway.
        """
        return Settlement(
            self.job_id,
            self.token,
            to,
            len(self.calls),
            self.number,
            (now - self.begun_at) * UNIT,
            ids=(self.message_id, self.message_id * 10, 2) if to is State.SENT else None,
            recipient="77010000001",
            error=None if to is State.SENT else JobError("a reason"),
            delay=delay,
            at=at,
            resends=to is State.RETRYING and self.calls[-1].startswith("lost"),
            heard=heard,
        )


#: What a worker makes of a call's outcome, and what it tells the gates.
_BECOMES = {
    "none": [State.QUEUED, State.SCHEDULED, State.FAILED, State.EXPIRED],
    "accepted": [State.SENT],
    "refused": [State.FAILED],
    "try_again": [State.RETRYING, State.RETRYING, State.FAILED],
    "lost": [State.SENDING],
    "resend": [State.RETRYING],
}
_HEARD: dict[str, list[Heard | None]] = {
    "none": [None],
    "accepted": [Heard("well")],
    "refused": [Heard("well")],
    "try_again": [Heard("failing", "down"), None, Heard("slow", "too many", UNIT), Heard("account", "refused")],
    "lost": [Heard("failing", "no answer"), None],
    "resend": [None],
}


def settlement_for(hold: Hold, choice: int, now: int, redis_now: int) -> tuple[Settlement, int]:
    """Returns what a worker says of a job, and in how many units it is to be looked at.

    Args:
        hold: The job, begun.
        choice: Picks among what fits the last call's outcome.
        now: The moment, in units.
        redis_now: The same, in Redis's time, ms.
    """
    outcome = hold.calls[-1] if hold.calls else "none"
    if outcome.startswith("lost"):
        outcome = "resend" if hold.resend else "lost"
    becomes, heard = _BECOMES[outcome], _HEARD[outcome]
    to, delay = becomes[choice % len(becomes)], choice % 4 * UNIT
    return hold.settlement(to, now, redis_now + delay, delay, heard[choice % len(heard)]), choice % 4


@dataclass
class Inquiry:
    """A question that an asker was given.

    Attributes:
        job_id: About which job.
        token: The question's.
        epoch: In which it was given, by the model's count.
        number: The same, as the ledger numbers it.
        counts: Whether "absent" will be evidence.
        canary: The messageId of the canary that was given with it, or None.
        told: What the gateway answered.
    """

    job_id: str
    token: str
    epoch: int
    number: int
    counts: bool
    canary: int | None
    told: Told | None = None

    def put(self, listed: list[int], shows: Callable[[int], bool], *, answers: bool) -> Told:
        """Puts the question to the gateway.

        Args:
            listed: The job's messages that the gateway's list shows.
            shows: Whether it shows a message.
            answers: Whether the gateway answers at all.
        """
        proved = self.canary is not None and shows(self.canary)
        told = Told(self.job_id, self.token, self.number, "cant_tell", "no answer")
        if answers and listed:
            ids = tuple((message_id, message_id * 10, 2) for message_id in listed)
            told = replace(told, word="found", ids=ids, recipient="77010000001")
        elif answers:
            told = replace(told, word="absent" if proved else "empty")
        self.told = told
        return told
