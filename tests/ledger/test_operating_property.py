"""Rule 1 and rule 21 while operators act between all else that may happen to a job, in any order."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsq import keys, ledger
from smsq.states import FINAL, State
from tests.ledger.actor import DAY, LEASE, RESERVATION, RETENTION, Actor, outcome, told

#: What happens: to the ledger, to a job, under the nonce of its last begin.
Step = Callable[[Actor, str, str], object]
BEFORE: dict[str, Step] = {
    "take": lambda act, _job_id, _nonce: act.take(),
    "untake": lambda act, job_id, _: act.run(ledger.untake([job_id])),
    "take_due": lambda act, _job_id, _nonce: act.take_due(),
    "cancel": lambda act, job_id, _: act.cancel(job_id),
    "cancel_batch": lambda act, _job_id, _nonce: act.run(ledger.cancel_batch("b")),
    "purge": lambda act, _job_id, _nonce: act.purge(),
    "reservation over": lambda act, _job_id, _nonce: act.pass_time(RESERVATION),
    "lease over": lambda act, _job_id, _nonce: act.pass_time(LEASE),
    "a day later": lambda act, _job_id, _nonce: act.pass_time(DAY),
    "another epoch": lambda act, _job_id, _nonce: act.new_epoch(),
    "found": lambda act, job_id, _: act.answer(told(job_id, "found")),
    "absent": lambda act, job_id, _: act.answer(told(job_id, "absent")),
    "can't tell": lambda act, job_id, _: act.answer(told(job_id, "cant_tell")),
    **{
        f"settle {state}": lambda act, job_id, nonce, state=state: act.settle(outcome(job_id, state, token=nonce))  # type: ignore[misc] # a default binds it
        for state in (State.SENT, State.FAILED, State.UNKNOWN, State.RETRYING, State.SENDING, State.QUEUED)
    },
}
OPERATORS: dict[str, Step] = {
    "retry failed": lambda act, job_id, nonce: act.run(ledger.retry([job_id], "failed", nonce)),
    "retry unknown": lambda act, job_id, nonce: act.run(ledger.retry([job_id], "unknown", nonce)),
    "mark sent": lambda act, job_id, _: act.run(
        ledger.mark_sent(job_id, message_id=77, campaign_id=88, status=2, retention=RETENTION)
    ),
    "pause": lambda act, _job_id, _nonce: act.run(ledger.pause("all", "a reason")),
    "resume": lambda act, _job_id, _nonce: act.run(ledger.pause("all", "")),
    "forget": lambda act, job_id, _: act.run(ledger.forget(job_id, retention=RETENTION)),
}
#: Half of what happens is a begin, an end that people are asked about, or an operator's doing.
NAMES = st.sampled_from([*BEFORE]) | st.sampled_from(
    ["begin", "begin", "settle failed", "settle unknown", "take", *OPERATORS]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=10, max_size=40))
def test_rule_1_and_21_whatever_operators_do(act: Actor, steps: list[str]) -> None:
    """A job that isn't final waits in one place, without a TTL; only operators, or the truth, lead out of an end."""
    act.client.flushall()
    job_id = act.enqueue(batch_id="b", key="k")
    nonce, state = "none", State.QUEUED
    for number, step in enumerate(steps):
        if step == "begin":
            nonce = f"nonce {number}"
            act.begin(job_id, nonce)
        elif step in OPERATORS:
            OPERATORS[step](act, job_id, f"retry {number}")
        else:
            BEFORE[step](act, job_id, nonce)
        taken = act.look()
        before, state = state, State(taken.jobs[job_id]["state"]) if job_id in taken.jobs else state
        if before in FINAL and state is not before:
            retried = step.startswith("retry") and state in (State.QUEUED, State.SENDING)
            assert retried or state is State.SENT, f"{before} became {state} by {step}"
            assert before is not State.SENT
        if state not in FINAL:
            assert taken.idempotency["k"].startswith(job_id)
            assert keys.job(job_id) in taken.kinds
