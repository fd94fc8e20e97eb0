"""What becomes of a job after its calls: a table of outcomes, and nothing that waits or writes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from smsq.gateway.answers import Kind, Outcome
from smsq.job import JobError
from smsq.ledger import Heard, Settlement
from smsq.sms import Sms
from smsq.states import State
from tasks.calling import wait_after
from tasks.hold import Hold

#: Seconds of the first wait in the schedule, and of the longest.
FIRST_DELAY: Final = 5.0
LONGEST_DELAY: Final = 600.0
#: Codes by which the gateway says that it is in trouble itself.
_IN_TROUBLE: Final = frozenset({3, 999})
_TOO_MANY_CALLS: Final = (30, 429)
_WELL: Final = Heard("well")


def decide(hold: Hold, sms: Sms, outcome: Outcome, calls: int, *, give_up_after: float) -> Settlement:
    """Decides what becomes of a job.

    Args:
        hold: The begun job.
        sms: Its message.
        outcome: What its last call came to.
        calls: How many calls were made.
        give_up_after: Seconds for which a job is put off again and again at most; then it fails.

    Returns:
        The settlement to write.
    """
    heard = hear(outcome, hold.called_at)

    def to(state: State, *, delay: float = 0, error: JobError | None = None, resends: bool = False) -> Settlement:
        return Settlement(
            hold.job_id, hold.token, state, calls, hold.epoch, hold.took(), hold.begun_at,
            error=error, delay=int(delay * 1000), resends=resends, heard=heard,
        )  # fmt: skip

    if outcome.kind is Kind.ACCEPTED:
        ids = (outcome.message_id or 0, outcome.campaign_id or 0, outcome.campaign_status or 0)
        return Settlement(
            hold.job_id, hold.token, State.SENT, calls, hold.epoch, hold.took(), hold.begun_at,
            ids=ids, recipient=sms.recipient, heard=heard,
        )  # fmt: skip
    begun = hold.begun
    quotes = outcome.http_status is not None  # else the detail is a fault's technical name
    error = JobError(outcome.reason, outcome.code, _fields(outcome.detail), quotes)
    match outcome.kind:
        case Kind.NOT_CALLED:
            return to(State.QUEUED)
        case Kind.REFUSED:
            return to(State.FAILED, error=error)  # asked about first, if an earlier call isn't settled (rule 15)
        case Kind.ACCOUNT | Kind.TRY_AGAIN:
            account = outcome.kind is Kind.ACCOUNT  # not the job's fault: it waits with the others
            delay = 0.0 if account else wait_after(outcome, begun.attempts, first=FIRST_DELAY, longest=LONGEST_DELAY)
            if begun.put_off / 1000 + delay > give_up_after:
                return to(State.FAILED, error=replace(error, reason=f"given up: {error.reason}"))
            return to(State.QUEUED if account else State.RETRYING, delay=delay, error=error)
        case Kind.UNKNOWN if begun.on_unknown == "resend":
            # "Two rather than none" is two: the ledger then forgets the wish, or a gateway that loses every answer
            # would be paid for call after call.
            return to(State.RETRYING, error=error, resends=True)
        case Kind.UNKNOWN:
            return to(State.SENDING, error=error)


def hear(outcome: Outcome, called_at: float | None = None) -> Heard | None:
    """Says what a call's outcome means for those who wait at the gates; None if nothing was called.

    Args:
        outcome: The outcome.
        called_at: When the call began, by `boot_time`.
    """
    if outcome.kind is Kind.ACCEPTED:
        return _WELL
    reason = f"code {outcome.code}: {outcome.reason}" if outcome.code is not None else outcome.reason
    match outcome.kind:
        case Kind.NOT_CALLED:
            return None
        case Kind.ACCOUNT:
            return Heard("account", reason)
        case Kind.TRY_AGAIN if outcome.code in _TOO_MANY_CALLS or outcome.http_status in _TOO_MANY_CALLS:
            return Heard("slow", reason, int(wait_after(outcome, 1, first=1.0, longest=1.0) * 1000))
        case Kind.TRY_AGAIN | Kind.UNKNOWN if outcome.code is None or outcome.code in _IN_TROUBLE:
            return Heard("failing", reason, called_at=called_at)
        case _:
            return _WELL


def _fields(detail: Mapping[str, str] | str) -> Mapping[str, str] | None:
    if isinstance(detail, str):
        return {"detail": detail} if detail else None
    return detail or None
