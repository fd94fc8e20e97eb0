"""What a worker has begun, and what it then says of it, keeping to the rules."""

from dataclasses import dataclass, field

from smsq.job import JobError
from smsq.ledger import Settlement
from smsq.states import State
from tests.ledger.model import UNIT, Entry


@dataclass
class Hold:
    """A job that a worker has begun, and what it has done with it.

    Attributes:
        worker: Who.
        job: The job.
        token: The nonce it was begun with.
        deadline: When the lease runs out, in units.
        calls: What each of its calls came to.
        message_id: What the gateway called the message, if it took it.
        settled: What it said became of the job.
        in_units: When that is to be looked at again.
        dead: Whether its worker has died.
    """

    worker: str
    job: Entry
    token: str
    deadline: int
    calls: list[str] = field(default_factory=list)
    message_id: int = 0
    settled: Settlement | None = None
    in_units: int = 0
    dead: bool = False

    def may_call(self, now: int) -> bool:
        """Returns whether a worker that keeps to the rules calls the gateway: it looks at the lease and the expiry."""
        in_time = now < self.deadline and (self.job.expires is None or now < self.job.expires)
        return not self.dead and not self.settled and in_time and (not self.calls or self.calls[-1] == "try_again")

    def sent(self, token: str | None = None) -> Settlement:
        """Returns what a worker that has the gateway's ids says."""
        ids = (self.message_id, self.message_id * 10, 2)
        return Settlement(
            self.job.id, token or self.token, State.SENT, len(self.calls), ids=ids, recipient="77010000001"
        )


def settlement_for(hold: Hold, choice: int, now: int) -> tuple[Settlement, int]:
    """Returns what a worker says of a job, and in how many units it is to be looked at.

    Args:
        hold: The job, begun.
        choice: Picks among what fits the last call's outcome.
        now: Redis's time, ms.
    """
    job_id, token, calls, in_units = hold.job.id, hold.token, len(hold.calls), choice % 4
    error = JobError("a reason")
    last = hold.calls[-1] if hold.calls else "none"
    if last == "accepted":
        return hold.sent(), 0
    resends = last.startswith("lost") and hold.job.resend
    if last.startswith("lost"):
        to = State.RETRYING if resends else State.UNKNOWN
    else:
        by_outcome = {
            "none": [State.QUEUED, State.SCHEDULED, State.FAILED, State.EXPIRED],
            "refused": [State.FAILED],
            "try_again": [State.RETRYING, State.RETRYING, State.FAILED],
        }[last]
        to = by_outcome[choice % len(by_outcome)]
    return (
        Settlement(
            job_id, token, to, calls, error=error, delay=in_units * UNIT, at=now + in_units * UNIT, resends=resends
        ),
        in_units,
    )
