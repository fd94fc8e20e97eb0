"""Lives of jobs, as sequences of the scripts and of time that passes."""

from collections.abc import Callable

from smsq import ledger
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, RESERVATION, Actor, outcome

Step = Callable[[Actor, str], object]
STEPS: dict[str, Step] = {
    "take": lambda act, _: act.take(),
    "begin": lambda act, job_id: act.begin(job_id),
    "untake": lambda act, job_id: act.run(ledger.untake([job_id])),
    "take_due": lambda act, _: act.take_due(),
    "purge": lambda act, _: act.purge(),
    "cancel": lambda act, job_id: act.cancel(job_id),
    "cancel_batch": lambda act, _: act.run(ledger.cancel_batch("b")),
    "reservation over": lambda act, _: act.pass_time(RESERVATION),
    "lease over": lambda act, _: act.pass_time(LEASE),
    "a day later": lambda act, _: act.pass_time(DAY),
    **{
        f"settle {state}": lambda act, job_id, state=state: act.settle(outcome(job_id, state))  # type: ignore[misc]
        for state in State
        if state not in (State.CANCELLED, State.SENDING)
    },
}
LIVES = {
    "sent": ["take", "begin", "settle sent"],
    "sent at the second try": ["take", "begin", "settle retrying", "a day later", "take_due", "take", "settle sent"],
    "put off": ["take", "begin", "settle scheduled", "a day later", "take_due", "cancel"],
    "handed back at shutdown": ["take", "untake", "take", "untake"],
    "handed back uncalled": ["take", "begin", "settle queued", "take", "cancel"],
    "taken and forgotten": ["take", "reservation over", "take_due", "take", "begin"],
    "lost in mid-call": ["take", "begin", "lease over", "take_due", "settle sent"],
    "expired on its lane": ["a day later", "take", "begin"],
    "expired in due": ["take", "begin", "settle retrying", "a day later", "take_due"],
    "cancelled with its batch": ["cancel_batch", "take"],
    "cancelled with its batch while taken": ["take", "cancel_batch", "begin"],
    "purged": ["purge"],
}
