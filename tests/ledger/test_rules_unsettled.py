"""Rules 15 and 16: what doesn't settle a call whose answer was lost; and campaign names without tokens."""

from dataclasses import replace
from typing import Any

import pytest

from smsq import ledger
from smsq.ledger import Told
from smsq.states import State
from tests.ledger.actor import (
    APART,
    DAY,
    IDS,
    LEASE,
    LIMIT,
    POLICY,
    SETTLING,
    Actor,
    outcome,
    told,
)  # fmt: skip

# -- rule 15


def test_rule_15_what_may_have_been_sent_is_not_ended_by_others(act: Actor) -> None:
    """Neither its expiry nor its batch's cancellation nor a cancel ends a job that is being sent."""
    job_id = act.start(act.enqueue(batch_id="b", expires_in=1000))
    act.pass_time(2000)
    act.run(ledger.cancel_batch("b"))
    assert act.cancel(job_id) == "late"
    act.take_due()
    assert act.lookup(job_id).state is State.SENDING
    assert act.settle(outcome(job_id, State.SENT)) == "settled"
    act.look()


def resent(act: Actor, how: str, **options: Any) -> str:  # noqa: ANN401 - of `Actor.enqueue`
    """Makes a job whose first call may have been accepted and that waits to be called again."""
    job_id = act.start(act.enqueue(on_unknown="resend", **options))
    if how == "the answer was lost":
        assert act.settle(replace(outcome(job_id, State.RETRYING), resends=True)) == "settled"
    else:
        act.pass_time(LEASE)
        assert act.take_due().events == [(job_id, "resend")]
    return job_id


hows = pytest.mark.parametrize("how", ["the answer was lost", "the worker was lost"])
outs = pytest.mark.parametrize("found", [True, False])


@hows
def test_a_resent_job_is_called_once_more_and_no_third_time(act: Actor, how: str) -> None:
    """Two, for those who prefer them to none: after the second the gateway is asked."""
    job_id = resent(act, how)
    act.pass_time(DAY)
    act.take_due()
    act.take()
    begun = act.begin(job_id, "second")
    assert (begun.word, begun.on_unknown, begun.unsettled) == ("begun", "resent", True)
    act.pass_time(LEASE)
    assert act.take_due().events == [(job_id, "lost")]
    assert act.lookup(job_id).state is State.SENDING
    act.look()


@hows
@outs
def test_rule_15_an_expired_resent_job_is_asked_about(act: Actor, how: str, found: bool) -> None:
    """Its first call isn't settled: nobody sees it expired before the gateway has said that it doesn't have it."""
    job_id = resent(act, how, expires_in=LEASE + 1000)
    act.pass_time(DAY)
    assert not act.lookup(job_id).state.final
    act.take_due()
    act.take()
    act.begin(job_id, "second")
    assert act.lookup(job_id).state is State.SENDING
    if found:
        act.question(job_id)
        assert act.answer(told(job_id, "found")) == "sent"
    else:
        assert act.surely_absent(job_id) == "expired"
    act.look()


@hows
@outs
def test_rule_15_a_refusal_of_the_second_call_says_nothing_of_the_first(act: Actor, how: str, found: bool) -> None:
    """Asked first; absent, it failed for the reason that the second was given."""
    job_id = resent(act, how)
    act.pass_time(DAY)
    act.take_due()
    act.take()
    assert act.begin(job_id, "second").word == "begun"
    for _ in range(2):
        assert act.settle(outcome(job_id, State.FAILED, token="second")) == "settled"
    job = act.lookup(job_id)
    assert (job.state, job.attempts) == (State.SENDING, 2)
    if found:
        act.question(job_id)
        assert act.answer(told(job_id, "found")) == "sent"
        return
    assert act.surely_absent(job_id) == "failed"
    job = act.lookup(job_id)
    assert job.error is not None
    assert (job.state, job.error.code) == (State.FAILED, 1)
    act.look()


@hows
@outs
def test_rules_15_and_22_a_cancelled_resent_job_is_asked_about(act: Actor, how: str, found: bool) -> None:
    """Nobody is told that it was cancelled; it is, if the gateway surely doesn't have it."""
    job_id = resent(act, how, batch_id="b")
    assert act.cancel(job_id) == "late"
    assert act.lookup(job_id).state is State.SENDING
    if found:
        act.question(job_id)
        assert act.answer(told(job_id, "found")) == "sent"
    else:
        assert act.surely_absent(job_id) == "cancelled"
    act.take()
    act.look()


@hows
def test_rules_15_and_22_a_cancelled_batchs_resent_job_is_asked_about(act: Actor, how: str) -> None:
    """As others see it, and as it is written by whoever meets it."""
    job_id = resent(act, how, batch_id="b")
    act.run(ledger.cancel_batch("b"))
    assert not act.lookup(job_id).state.final
    act.pass_time(DAY)
    act.take_due()
    act.take()
    assert act.lookup(job_id).state is State.SENDING
    assert act.surely_absent(job_id) == "cancelled"


# -- rule 16


def found(job_id: str, *message_ids: int) -> Told:
    """The gateway shows messages of a job's number and text."""
    return replace(told(job_id, "found"), ids=tuple((each, each, 2) for each in message_ids))


def test_rule_16_nothing_is_decided_while_a_twin_is_unsettled(act: Actor) -> None:
    """One message, and two jobs whose it may be: neither is called again or sent; once one is settled, both are."""
    first = act.lose(act.enqueue(), "first", tokens=False)
    second = act.lose(act.enqueue(), "second", tokens=False)
    act.pass_time(SETTLING)
    act.send_another()
    for job_id in (first, second):
        assert act.question(job_id) is not None
        assert act.answer(found(job_id, 7)) == "later"
        assert act.absent(job_id) == "later"
        act.pass_time(APART)
        assert act.absent(job_id) == "later"
    assert act.settle(replace(outcome(first, State.SENT, token="first"), ids=(7, 7, 2))) == "settled"
    assert act.absent(second) == "later"
    act.pass_time(APART)
    assert act.question(second) is not None
    assert act.answer(found(second, 7)) == "again", "the only message is another job's"
    act.look()


def test_rule_16_a_twin_in_unknown_counts_as_unsettled(act: Actor) -> None:
    """The message may be its own, though nobody asks any more."""
    first = act.start(act.enqueue(), "first", tokens=False)
    act.settle(outcome(first, State.UNKNOWN, token="first"))
    second = act.lose(act.enqueue(), "second", tokens=False)
    act.pass_time(SETTLING)
    act.send_another()
    assert act.question(second) is not None
    assert act.answer(found(second, 7)) == "later"
    act.pass_time(LIMIT)
    assert act.question(second) is not None
    assert act.answer(found(second, 7)) == "unknown"


def test_rule_16_of_several_free_messages_none_is_taken(act: Actor) -> None:
    """Which one is ours nobody can tell; a single free one is."""
    job_id = act.lose(act.enqueue(), tokens=False)
    assert act.question(job_id) is not None
    assert act.answer(found(job_id, 7, 8)) == "later"
    act.in_state(State.SENT)
    assert act.question(job_id) is not None
    assert act.answer(found(job_id, IDS[0], 8)) == "sent"
    assert act.lookup(job_id).message_id == 8


def test_rule_16_jobs_of_another_text_are_no_twins(act: Actor) -> None:
    """They can be told apart."""
    act.lose(act.enqueue(text="another"), "first", tokens=False)
    job_id = act.lose(act.enqueue(), "second", tokens=False)
    assert act.question(job_id) is not None
    assert act.answer(found(job_id, 7)) == "sent"


def test_rule_16_a_job_in_doubt_has_twins_too(act: Actor) -> None:
    """A call that Redis forgot may have been for it: the message of an unsettled twin isn't its own for sure."""
    in_doubt = act.enqueue()
    act.new_epoch()
    act.take()
    assert act.begin(in_doubt, tokens=False).word == "asking"
    twin = act.start(act.enqueue(), "twin", tokens=False)
    assert act.question(in_doubt) is not None
    assert act.answer(found(in_doubt, 7)) == "later"
    assert act.settle(replace(outcome(twin, State.SENT, token="twin"), ids=(7, 7, 2))) == "settled"
    assert act.lookup(in_doubt).state is State.SENDING


def test_rule_16_a_job_in_doubt_that_is_cancelled_has_twins_too(act: Actor) -> None:
    """It is asked about without a begin: registered when the question is put."""
    in_doubt = act.enqueue()
    act.new_epoch()
    assert act.cancel(in_doubt) == "late"
    twin = act.start(act.enqueue(), "twin", tokens=False)
    assert act.question(in_doubt, policy=replace(POLICY, tokens=False)) is not None
    assert act.answer(found(in_doubt, 7)) == "later"
    assert act.settle(replace(outcome(twin, State.SENT, token="twin"), ids=(7, 7, 2))) == "settled"
    assert act.lookup(in_doubt).state is State.SENDING


def test_with_tokens_a_message_that_another_job_owns_is_never_absence(act: Actor) -> None:
    """The campaign's name says that it is this job's: somebody has mistaken the other one. A person must decide."""
    act.in_state(State.SENT)
    job_id = act.lose(act.enqueue(), "second")
    act.pass_time(SETTLING)
    act.send_another()
    for _ in range(3):
        question = act.question(job_id)
        assert question is not None
        assert question.counts
        assert act.answer(told(job_id, "found")) == "later"
        act.pass_time(APART)
    act.pass_time(LIMIT)
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, "found")) == "unknown"


def test_rule_16_near_is_absent_only_if_every_such_message_is_another_jobs(act: Actor) -> None:
    """Without tokens a shortened link or another sender leaves messages that may be this one."""
    job_id = act.lose(act.enqueue(), tokens=False)
    act.pass_time(SETTLING)
    act.send_another()
    near = replace(told(job_id, "near"), ids=((7, 7, 2),))
    assert act.question(job_id) is not None
    assert act.answer(near) == "later"
    act.pass_time(APART)
    assert act.question(job_id) is not None
    assert act.answer(near) == "later", "neither taken for it nor absent"
    owner = act.start(act.enqueue(text="another"), "owner")
    assert act.settle(replace(outcome(owner, State.SENT, token="owner"), ids=(7, 7, 2))) == "settled"
    assert act.question(job_id) is not None
    assert act.answer(replace(near, proved=False)) == "later", "the list may have been cut"
    for word in ("later", "again"):
        act.pass_time(APART)
        assert act.question(job_id) is not None
        assert act.answer(near) == word
