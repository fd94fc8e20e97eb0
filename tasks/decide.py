"""What becomes of a job after its calls: a table of outcomes, and nothing that waits or writes."""

from collections.abc import Mapping
from dataclasses import replace

from smsq.gateway.answers import Kind, Outcome
from smsq.job import JobError
from smsq.ledger import Settlement
from smsq.sms import Sms
from smsq.states import State
from tasks.calling import wait_after
from tasks.hold import Hold

#: Seconds of the first wait in the schedule, and of the longest.
FIRST_DELAY = 5.0
LONGEST_DELAY = 600.0


def decide(hold: Hold, sms: Sms, outcome: Outcome, calls: int, *, give_up_after: float) -> Settlement:
    """Decides what becomes of a job.

    Args:
        hold: The begun job.
        sms: Its message.
        outcome: What its last call came to.
        calls: How many calls were made.
        give_up_after: Seconds after which a job that is put off again and again fails.

    Returns:
        The settlement to write.
    """

    def to(state: State, *, delay: float = 0, error: JobError | None = None) -> Settlement:
        return Settlement(hold.job_id, hold.token, state, calls, error=error, delay=int(delay * 1000))

    begun = hold.begun
    # Refused now, but nobody knows what became of the call before (rule 15).
    failed = State.UNKNOWN if begun.on_unknown == "resent" else State.FAILED
    error = JobError(outcome.reason, outcome.code, _fields(outcome.detail))
    match outcome.kind:
        case Kind.ACCEPTED:
            ids = (outcome.message_id or 0, outcome.campaign_id or 0, outcome.campaign_status or 0)
            return Settlement(hold.job_id, hold.token, State.SENT, calls, ids=ids, recipient=sms.recipient)
        case Kind.NOT_CALLED:
            return to(State.QUEUED)
        case Kind.REFUSED | Kind.ACCOUNT:
            return to(failed, error=error)
        case Kind.TRY_AGAIN:
            delay = wait_after(outcome, begun.attempts, first=FIRST_DELAY, longest=LONGEST_DELAY)
            if begun.age / 1000 + delay > give_up_after:
                return to(failed, error=JobError(f"given up: {error.reason}", error.code, error.fields))
            return to(State.RETRYING, delay=delay, error=error)
        case Kind.UNKNOWN if begun.on_unknown == "resend":
            # "Two rather than none" is two: the ledger then forgets the wish, or a gateway that loses every answer
            # would be paid for call after call.
            return replace(to(State.RETRYING, error=error), resends=True)
        case Kind.UNKNOWN:
            return to(State.UNKNOWN, error=error)


def _fields(detail: Mapping[str, str] | str) -> Mapping[str, str] | None:
    if isinstance(detail, str):
        return {"detail": detail} if detail else None
    return detail or None
