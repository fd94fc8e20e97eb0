"""Rules 12 to 14: what settles a call whose answer was lost."""

from dataclasses import replace
from typing import Literal

import pytest

from smsq import keys, ledger
from smsq.ledger import Told
from smsq.states import State
from tests.ledger.actor import (
    APART,
    BOUND,
    DAY,
    IDS,
    LEASE,
    LIMIT,
    PATIENCE,
    POLICY,
    SETTLING,
    Actor,
    outcome,
    told,
)  # fmt: skip

# -- how it goes


@pytest.mark.parametrize("how", ["the answer was lost", "the worker was lost"])
def test_the_first_question_is_put_within_five_seconds(act: Actor, how: str) -> None:
    """Found settles at once: the gateway's ids are the job's, whatever had been said of it."""
    job_id = act.enqueue()
    if how == "the answer was lost":
        act.lose(job_id)
    else:
        act.start(job_id)
        act.pass_time(LEASE)
        assert act.take_due().events == [(job_id, "lost")]
    taken = act.look()
    assert taken.due[job_id] - taken.now <= 5000
    act.pass_time(5000)
    [question] = act.take_due().questions
    assert (question.job_id, question.attempts, question.counts) == (job_id, 1, False)
    assert act.answer(told(job_id, "found")) == "sent"
    job = act.lookup(job_id)
    assert (job.state, job.message_id, job.campaign_id, job.campaign_status, job.error) == (State.SENT, *IDS, None)
    assert act.run(ledger.lookup("message", str(IDS[0]))) == job
    act.look()


def test_a_question_shows_the_message_and_the_earliest_call(act: Actor) -> None:
    """What an asker needs: the text and number, and from when on to look."""
    before = act.look().now
    job_id = act.enqueue(text="once")
    act.start(job_id)
    act.pass_time(1000)
    act.settle(replace(outcome(job_id, State.SENDING), took=1000))
    question = act.question(job_id)
    assert question is not None
    assert b"once" in question.message
    assert before - 1000 <= question.first <= act.look().now - 1000


def test_surely_absent_is_called_again(act: Actor) -> None:
    """On its lane, in front, with nothing left of the doubt; the next token begins it, and counts one call more."""
    first = act.lose(act.enqueue())
    second = act.enqueue()
    assert act.surely_absent(first) == "again"
    taken = act.look()
    assert taken.lists[keys.waiting("normal", "")] == [first, second]
    assert "ask" not in taken.jobs[first]
    act.take()
    begun = act.begin(first, "again")
    assert (begun.word, begun.attempts, begun.unsettled) == ("begun", 2, False)


@pytest.mark.parametrize("end", [State.EXPIRED, State.CANCELLED])
def test_surely_absent_and_over_ends_uncalled(act: Actor, end: State) -> None:
    """Its time ran out, or its batch was cancelled, while the gateway was being asked."""
    job_id = act.lose(act.enqueue(batch_id="b", expires_in=SETTLING))
    if end is State.CANCELLED:
        act.run(ledger.cancel_batch("b"))
    assert act.lookup(job_id).state is State.SENDING, "until the gateway has said so"
    assert act.surely_absent(job_id) == end
    assert act.lookup(job_id).state is end
    act.look()


def test_the_pauses_grow_until_absence_would_count(act: Actor) -> None:
    """Twice as long each time, and never past the moment at which the settling time is over."""
    job_id = act.lose(act.enqueue())
    pauses = []
    for _ in range(5):
        assert act.absent(job_id) == "later"
        taken = act.look()
        pauses.append(taken.due[job_id] - taken.now)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 8 * pauses[0]
    act.pass_time(SETTLING - 30_000)
    assert act.absent(job_id) == "later"
    taken = act.look()
    assert taken.due[job_id] - taken.now <= 30_000


@pytest.mark.parametrize("answer", ["cant_tell", "absent"])
def test_asking_gives_up_after_the_limit(act: Actor, answer: Literal["cant_tell", "absent"]) -> None:
    """A gateway that can't be asked, or an account that sends nothing else: a person must decide, and sees why."""
    job_id = act.lose(act.enqueue())
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, answer)) == "later"
    act.pass_time(SETTLING)
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, answer)) == "later"
    act.pass_time(LIMIT)
    assert act.question(job_id) is not None
    assert act.answer(replace(told(job_id, answer), reason="no answer")) == "unknown"
    job = act.lookup(job_id)
    assert job.state is State.UNKNOWN
    assert job.error is not None
    assert "no answer" in job.error.reason
    assert act.look().ended["unknown"] == {job_id}


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_job_that_kills_its_workers_is_put_aside(act: Actor, times: int) -> None:
    """F18: after `SMSQ_MAX_LOSSES` workers that died during its call it isn't called again, and people find it."""
    job_id = act.enqueue()
    for number in range(times):
        act.start(job_id, f"nonce{number}")
        act.pass_time(LEASE)
        act.take_due()
        word = act.surely_absent(job_id)
        assert word == ("failed" if number + 1 == POLICY.losses else "again")
    assert act.client.hexists(keys.PARKED, job_id) == (times == POLICY.losses)
    assert (act.lookup(job_id).state is State.FAILED) == (times == POLICY.losses)
    act.look()


def test_a_job_whose_answers_are_all_lost_fails_in_the_end(act: Actor) -> None:
    """`SMSQ_GIVE_UP_AFTER` holds for it too, from the first time that it is called again."""
    job_id, policy = act.lose(act.enqueue()), replace(POLICY, give_up=SETTLING)
    for nonce, expected in (("second", "again"), ("third", "failed")):
        act.pass_time(LEASE + SETTLING)
        act.send_another()
        assert act.absent(job_id, policy=policy) == "later"
        act.pass_time(APART)
        assert act.absent(job_id, policy=policy) == expected
        if expected == "again":
            act.start(job_id, nonce)
            act.settle(outcome(job_id, State.SENDING, token=nonce))
    error = act.lookup(job_id).error
    assert error is not None
    assert error.reason.startswith("given up")


@pytest.mark.parametrize("doubt", [False, True])
def test_what_waited_long_is_not_given_up_at_its_first_try(act: Actor, doubt: bool) -> None:
    """For its moment, or for an operator: only what the gateway puts off counts. Nor does Redis's restart end it."""
    job_id, policy = act.enqueue(), replace(POLICY, give_up=SETTLING)
    act.pass_time(10 * SETTLING)
    if doubt:
        act.new_epoch()
        act.take()
        assert act.begin(job_id).word == "asking"
        act.pass_time(LEASE + SETTLING)
        act.send_another()
        assert act.absent(job_id, policy=policy) == "later"
        act.pass_time(APART)
        assert act.absent(job_id, policy=policy) == "again"
    act.take()
    begun = act.begin(job_id, "new")
    assert begun.word == "begun"
    assert begun.put_off < SETTLING
    act.settle(outcome(job_id, State.RETRYING, token="new"))
    act.pass_time(DAY)
    act.take_due()
    act.take()
    assert act.begin(job_id, "third").put_off >= DAY


def test_urgent_jobs_questions_come_first_and_no_more_than_there_is_room_for(act: Actor) -> None:
    """F93: whoever finds no room is asked about a moment later."""
    ids = [act.lose(act.enqueue(lane=lane), f"nonce {lane}") for lane in ("bulk", "normal", "urgent")]
    act.pass_time(5000)
    assert [each.job_id for each in act.take_due(questions=2).questions] == ids[:0:-1]
    act.pass_time(1000)
    assert [each.job_id for each in act.take_due(questions=2).questions] == ids[:1]


# -- rule 12


def test_rule_12_of_two_askers_one_decides(act: Actor) -> None:
    """The earlier one's question isn't the job's any more, once it was put again: its answers write nothing."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    act.send_another()
    assert act.question(job_id, "first") is not None
    act.pass_time(PATIENCE)
    assert act.question(job_id, "second") is not None
    before = act.look()
    for word in ("absent", "cant_tell"):
        assert act.answer(Told(job_id, "first", act.epoch, word)) == "stale"
    assert (act.look().jobs, act.look().due) == (before.jobs, before.due)
    assert act.answer(told(job_id, "absent", token="second")) == "later"


def test_rule_12_an_answer_counts_once(act: Actor) -> None:
    """A repeat of it isn't the second answer that absence takes, however late it comes."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    act.pass_time(APART)
    assert act.answer(told(job_id, "absent")) == "stale"
    assert act.absent(job_id) == "again"
    assert act.answer(told(job_id, "absent")) == "stale"


def test_rule_12_found_is_believed_from_any_asker(act: Actor) -> None:
    """The gateway has shown the message: it doesn't matter whose question that was, nor in which epoch."""
    job_id = act.lose(act.enqueue())
    assert act.question(job_id, "first") is not None
    act.new_epoch()
    assert act.answer(replace(told(job_id, "found", token="a stranger's"), epoch=1)) == "sent"
    assert act.answer(told(job_id, "found")) == "stale", "said before"
    assert act.lookup(job_id).message_id == IDS[0]


def test_rule_12_an_answer_of_another_epoch_decides_nothing(act: Actor) -> None:
    """The copy that a replica had may know the same token."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    act.send_another()
    assert act.question(job_id) is not None
    older = act.epoch
    act.new_epoch()
    before = act.look()
    assert act.answer(replace(told(job_id, "absent"), epoch=older)) == "stale"
    assert act.look().jobs == before.jobs


# -- rules 13 and 14


def test_rule_13_the_settling_time_must_be_over_when_the_question_is_put(act: Actor) -> None:
    """F11: put while the call could still act, "absent" is no evidence, even if it is written down long after."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING - 60_000)
    for _ in range(3):
        act.send_another()
        question = act.question(job_id)
        assert question is not None
        assert not question.counts
        act.pass_time(APART)
        act.client.zadd(keys.DUE, {job_id: act.look().now + SETTLING})  # nobody else asks meanwhile
    act.pass_time(SETTLING)
    assert act.answer(told(job_id, "absent")) == "later"
    act.pass_time(APART)
    act.send_another()
    assert act.absent(job_id) == "later", "the first that counts"
    act.pass_time(APART)
    assert act.absent(job_id) == "again"


def test_rule_13_a_dead_workers_call_may_act_from_its_leases_end_on(act: Actor) -> None:
    """It may have called in the last moment: the settling time counts from there."""
    job_id = act.start(act.enqueue())
    act.pass_time(LEASE)
    act.take_due()
    act.pass_time(SETTLING - 1000)
    act.send_another()
    question = act.question(job_id)
    assert question is not None
    assert not question.counts
    act.pass_time(1000)
    question = act.question(job_id)
    assert question is not None
    assert question.counts


@pytest.mark.parametrize("newer", [False, True])
def test_rule_14_the_canary_must_be_newer_than_the_call_could_act(act: Actor, newer: bool) -> None:
    """A list that shows an older message may be older than ours: then nothing counts, and no question is wasted."""
    job_id = act.lose(act.enqueue())
    act.pass_time(BOUND + (0 if newer else -1000))
    message_id = act.send_another()
    act.pass_time(SETTLING)
    question = act.question(job_id)
    assert question is not None
    assert question.counts == newer
    assert act.answer(told(job_id, "absent")) == "later"
    act.pass_time(APART)
    assert act.take_due().canary == (message_id, "77010000001")
    if newer:
        assert act.answer(told(job_id, "absent")) == "again"
        return
    assert act.question(job_id) is None, "only a newer message can change the answer"
    act.send_another()
    assert act.absent(job_id) == "later"
    act.pass_time(APART)
    assert act.absent(job_id) == "again"


def test_rule_14_the_canarys_moment_is_when_its_call_began(act: Actor) -> None:
    """Not when it was settled, which may be long after."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    other = act.start(act.enqueue(), "other")
    slow = replace(outcome(other, State.SENT, token="other"), ids=(7, 7, 2), took=SETTLING - BOUND + 1000)
    assert act.settle(slow) == "settled"
    question = act.question(job_id)
    assert question is not None
    assert not question.counts


def test_rule_14_the_newest_message_is_the_canary(act: Actor) -> None:
    """Settled later but called earlier, a message doesn't take its place; nor one whose record is gone."""
    first = act.start(act.enqueue(), "first")
    act.pass_time(1000)
    newest = act.send_another()
    assert act.settle(replace(outcome(first, State.SENT, token="first"), ids=(7, 7, 2), took=1000)) == "settled"
    assert act.take_due().canary == (newest, "77010000001")
    act.client.delete(keys.job(act.look().canary[0]))
    assert act.take_due().canary is None


def test_rule_14_an_empty_list_that_doesnt_show_the_canary_is_no_evidence(act: Actor) -> None:
    """Its zone or its window may be wrong, or it is a stale one: however often it says so."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    act.send_another()
    for _ in range(4):
        question = act.question(job_id)
        assert question is not None
        assert question.counts
        assert act.answer(told(job_id, "empty")) == "later"
        act.pass_time(APART)
    assert act.lookup(job_id).state is State.SENDING


def test_absence_takes_two_answers_some_seconds_apart(act: Actor) -> None:
    """One list may be a stale one: and whatever can't be told in between begins it anew."""
    job_id = act.lose(act.enqueue())
    act.pass_time(SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    assert act.absent(job_id) == "later", "at once"
    act.pass_time(APART)
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, "cant_tell")) == "later"
    assert act.absent(job_id) == "later", "the first again"
    act.pass_time(APART)
    assert act.absent(job_id) == "again"
