"""Lives of jobs, as sequences of the scripts and of time that passes."""

from collections.abc import Callable

from smsq import ledger
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, RESERVATION, Actor, outcome, told

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
    "a minute later": lambda act, _: act.pass_time(60_000),
    "a day later": lambda act, _: act.pass_time(DAY),
    **{
        f"answer {word}": lambda act, job_id, word=word: act.answer(told(job_id, word))  # type: ignore[misc]
        for word in ("found", "absent", "cant_tell")
    },
    "another epoch": lambda act, _: act.new_epoch(),
    **{
        f"settle {state}": lambda act, job_id, state=state: act.settle(outcome(job_id, state))  # type: ignore[misc]
        for state in State
        if state is not State.CANCELLED
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
    "lost and asked about": ["take", "begin", "lease over", "take_due", "a minute later", "take_due", "answer found"],
    "its answer lost": ["take", "begin", "settle sending", "a minute later", "take_due", "answer absent", "cancel"],
    "asked in vain": ["take", "begin", "settle sending", "a day later", "take_due", "answer cant_tell", "settle sent"],
    "in doubt": ["another epoch", "take", "begin", "a minute later", "take_due", "answer cant_tell", "answer found"],
    "in doubt while it is being sent": ["take", "begin", "another epoch", "settle failed", "lease over", "take_due"],
    "expired in doubt": ["a day later", "another epoch", "take", "begin", "take_due"],
    "purged in doubt": ["another epoch", "purge", "a minute later", "take_due", "answer found"],
    "expired on its lane": ["a day later", "take", "begin"],
    "expired in due": ["take", "begin", "settle retrying", "a day later", "take_due"],
    "cancelled with its batch": ["cancel_batch", "take"],
    "cancelled with its batch while taken": ["take", "cancel_batch", "begin"],
    "purged": ["purge"],
}
