"""The number that a call went to, where it isn't the message's own (`SMSQ_REDIRECT_TO`): the gateway is asked by it."""

from dataclasses import replace

from smsq import keys, ledger
from smsq.ledger import Begun
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, RETENTION, WORKER, Actor, outcome

HERE, THERE = "77010000007", "77010000008"


def _begin(act: Actor, job_id: str, nonce: str, called: str) -> Begun:
    act.take()
    call = ledger.begin(
        [job_id], nonce, epoch=act.epoch, lease=LEASE, retention=RETENTION, worker=WORKER, called=called
    )
    return act.run(call)[0]


def test_an_unsettled_call_is_asked_about_by_its_number(act: Actor) -> None:
    """Before a call to another number, or to the message's own, could make anybody forget whom to ask about."""
    for number, other in ((HERE, THERE), (HERE, ""), ("", HERE)):
        job_id = act.enqueue(on_unknown="resend")
        assert _begin(act, job_id, "first", number).word == "begun"
        lost = replace(outcome(job_id, State.RETRYING, token="first"), resends=True)
        assert act.settle(lost) == "settled"
        act.pass_time(DAY)
        act.take_due()
        assert _begin(act, job_id, "second", other).word == "asking"
        act.pass_time(LEASE)
        [question] = act.take_due().questions
        assert (question.job_id, question.called, question.doubt) == (job_id, number, False)
        act.client.flushall()


def test_a_settled_calls_number_gives_way(act: Actor) -> None:
    """The number is that of the calls that aren't settled; without one the record doesn't name any."""
    job_id = act.enqueue()
    for nonce, number in (("a", HERE), ("b", THERE), ("c", "")):
        assert _begin(act, job_id, nonce, number).word == "begun"
        assert act.client.hget(keys.job(job_id), "called") == (number or None)
        assert act.settle(outcome(job_id, State.RETRYING, token=nonce)) == "settled"
        act.pass_time(DAY)
        act.take_due()
    act.look()
