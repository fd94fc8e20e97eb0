"""The trace that a job belongs to: kept from `enqueue` on, and told to those who call or ask for the job."""

import pytest

from smsq import keys, ledger
from smsq.ledger import Begun, NewJob, Options
from smsq.states import State
from tests.ledger.actor import LEASE, RETENTION, WORKER, Actor, message, outcome

TRACE = "link 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _begin(act: Actor, job_id: str, *, traces: bool) -> Begun:
    call = ledger.begin(
        [job_id], "nonce", epoch=act.epoch, lease=LEASE, retention=RETENTION, worker=WORKER, traces=traces
    )
    return act.run(call)[0]


@pytest.mark.parametrize("trace", [TRACE, ""])
def test_who_calls_and_who_asks_hear_of_it(act: Actor, trace: str) -> None:
    """Only if they want to; a job without one has no field for it, and one with it keeps Redis's compact form."""
    job_id = act.new_id()
    act.run(ledger.enqueue([NewJob(job_id, message())], Options("normal", trace=trace), 1))
    assert act.client.hget(keys.job(job_id), "trace") == (trace or None)
    assert act.client.object("encoding", keys.job(job_id)) == "listpack"
    act.take()
    for traces in (True, False, True):  # the second and the third are repeats, which answer as the first did
        begun = _begin(act, job_id, traces=traces)
        assert (begun.word, begun.trace) == ("begun", trace if traces else "")
    assert act.settle(outcome(job_id, State.SENDING, token="nonce")) == "settled"
    question = act.question(job_id)
    assert question is not None
    assert question.trace == trace
