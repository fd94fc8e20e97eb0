"""The rules that the ledger's protocol keeps, one by one (`smsq/lua` names them by the same numbers).

Rules 12 to 14, 16 to 20 and 23 to 25 are about asking, epochs and pauses.
"""

import time
from dataclasses import replace
from typing import Any

import pytest

from smsq import keys, ledger
from smsq.lanes import queue_name
from smsq.ledger import Settlement
from smsq.states import FINAL, State
from tasks.hold import MARGIN, Hold
from tests.ledger.actor import DAY, IDS, LEASE, RESERVATION, RETENTION, Actor, outcome
from tests.ledger.lives import LIVES, STEPS
from tests.ledger.snapshot import Snapshot

OPEN = [state for state in State if not state.final]
ENDS_OF_A_CALL = [State.SENT, State.FAILED, State.UNKNOWN, State.EXPIRED]


@pytest.mark.parametrize("life", LIVES)
def test_rule_1_a_job_that_is_not_final_is_on_its_lane_once_or_in_due_once(act: Actor, life: str) -> None:
    """After each script of a job's life, whichever it is."""
    expires_in = DAY if life.startswith("expired") else None
    job_id = act.enqueue(batch_id="b", key="k", expires_in=expires_in)
    act.look()
    for step in LIVES[life]:
        STEPS[step](act, job_id)
        act.look()


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_rule_2_take_drops_ids_of_jobs_that_are_not_queued(act: Actor, state: State) -> None:
    """Another copy of an id on a lane reserves nothing and moves nothing; Celery may hear of an early end."""
    job_id = act.in_state(state)
    act.take()
    before = act.look()
    act.client.rpush(keys.waiting("normal", ""), job_id)
    act.client.rpush(keys.ring("normal"), "")
    assert act.take() == ([job_id] if state in (State.CANCELLED, State.EXPIRED) else [])
    after = act.look()
    assert (after.jobs, after.due) == (before.jobs, before.due)


def test_rule_2_take_never_moves_a_reservation(act: Actor) -> None:
    """A second copy of a taken id doesn't make the first one's reservation last longer."""
    job_id = act.enqueue()
    act.take()
    before = act.look()
    act.client.rpush(keys.waiting("normal", ""), job_id)
    act.client.rpush(keys.ring("normal"), "")
    assert act.take() == []
    assert act.look().due == before.due


@pytest.mark.parametrize("state", [state for state in State if not state.final])
def test_rule_2_purge_ends_only_what_waits_on_the_lane(act: Actor, state: State) -> None:
    """A copy of an id whose job was taken, begun or put off leaves the lane, and nothing else happens."""
    job_id = act.in_state(state)
    act.take()
    before = act.look()
    act.client.rpush(keys.waiting("normal", ""), job_id)
    act.client.rpush(keys.ring("normal"), "")
    assert act.purge() == ledger.Purged(1, 0)
    after = act.look()
    assert (after.jobs, after.due) == (before.jobs, before.due)


def test_rule_3_begin_refuses_a_job_that_is_on_a_lane(act: Actor) -> None:
    """Not taken yet, or back already: whoever holds an old hint gets nothing, and nothing changes."""
    job_id = act.enqueue()
    before = act.look()
    assert act.begin(job_id).word == "waiting"
    act.take()
    act.pass_time(RESERVATION)
    act.take_due()
    assert act.begin(job_id).word == "waiting"
    after = act.look()
    assert (after.lists, after.due) == (before.lists, before.due)
    assert after.jobs[job_id]["state"] == State.QUEUED


@pytest.mark.parametrize("state", State)
def test_rule_4_only_a_reserved_job_is_handed_back(act: Actor, state: State) -> None:
    """Handing back changes nothing of a job that waits on its lane, was begun, is scheduled or has ended."""
    job_id = act.in_state(state)
    before = act.look()
    assert act.run(ledger.untake([job_id, act.new_id()])) == 0
    after = act.look()
    assert (after.jobs, after.due, after.lists) == (before.jobs, before.due, before.lists)


def test_rule_4_what_is_handed_back_goes_to_the_front_in_its_order(act: Actor) -> None:
    """A shutdown costs nobody their turn."""
    ids = [act.enqueue() for _ in range(4)]
    assert act.take(3) == ids[:3]
    assert act.run(ledger.untake(ids[:3])) == 3
    act.look()
    assert act.take() == ids


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        (State.QUEUED, State.QUEUED),
        (State.SCHEDULED, State.QUEUED),
        (State.RETRYING, State.QUEUED),
        (State.SENDING, State.UNKNOWN),
    ],
)
def test_rule_4_the_dispatcher_moves_entries(act: Actor, state: State, becomes: State) -> None:
    """What falls due goes to its lane or ends; it is never only removed."""
    job_id = act.in_state(state)
    act.take()
    act.pass_time(2 * DAY)
    looked = act.take_due()
    taken = act.look()
    assert taken.jobs[job_id]["state"] == becomes
    assert taken.on_its_lane(job_id) == (0 if becomes.final else 1)
    assert looked == ledger.Looked(None, 1, [(job_id, "unknown")] if becomes.final else [])


def test_rule_5_a_job_that_must_not_be_called_now_goes_back_in_the_same_call(act: Actor) -> None:
    """Settled as queued, a begun job is at the front of its lane at once, and counts no call."""
    first, second = act.enqueue(), act.enqueue()
    act.take(1)
    act.begin(first)
    assert act.settle(outcome(first, State.QUEUED, calls=0)) == "settled"
    taken = act.look()
    assert taken.lists[keys.waiting("normal", "")] == [first, second]
    assert taken.jobs[first]["attempts"] == "0"
    assert taken.lists[queue_name("normal")] == ["1", "1"]


def test_rule_6_a_ledger_that_went_back_in_time_gives_no_token_twice(act: Actor) -> None:
    """The token is the caller's nonce, not a counter that an older ledger would count again."""
    job_id = act.enqueue()
    act.take()
    record, due = act.client.dump(keys.job(job_id)), act.look().due
    assert record
    act.begin(job_id, "first")
    act.client.restore(keys.job(job_id), 0, record, replace=True)
    act.client.zadd(keys.DUE, due)
    assert act.begin(job_id, "second").word == "begun"
    assert act.look().jobs[job_id]["token"] == "second"
    assert act.settle(outcome(job_id, State.FAILED, token="first")) == "stale"
    assert act.settle(outcome(job_id, State.FAILED, token="second")) == "settled"


def test_rule_7_a_begin_that_is_repeated_answers_the_same_and_what_is_left(act: Actor) -> None:
    """The lease isn't given anew, the attempt isn't counted again, and the message comes again."""
    job_id = act.enqueue(expires_in=DAY)
    act.take()
    first = act.begin(job_id)
    before = act.look()
    act.pass_time(LEASE // 4)
    again = act.begin(job_id)
    assert (again.word, again.message, again.attempts) == ("begun", first.message, 1)
    assert again.lease_left <= first.lease_left - LEASE // 4
    assert again.expires_left is not None
    assert first.expires_left is not None
    assert again.expires_left <= first.expires_left - LEASE // 4
    assert act.look().jobs[job_id] == before.jobs[job_id] | {
        name: str(int(before.jobs[job_id][name]) - LEASE // 4) for name in ("at", "expires")
    }


def test_rule_7_a_repeat_after_the_expiry_leaves_no_time_for_a_call(act: Actor) -> None:
    """Time that is over isn't time without end."""
    job_id = act.start(act.enqueue(expires_in=LEASE // 4))
    act.pass_time(LEASE // 2)
    begun = act.begin(job_id)
    assert (begun.word, begun.expires_left) == ("begun", 0)


@pytest.mark.parametrize("expires_in", [None, LEASE // 4, 10 * LEASE])
def test_rule_8_a_call_must_start_while_lease_and_expiry_last(act: Actor, expires_in: int | None) -> None:
    """Measured from before the begin was sent: the lease must cover the call's whole time, the expiry its start."""
    job_id = act.enqueue(expires_in=expires_in)
    act.take()
    asked_at = time.clock_gettime(time.CLOCK_BOOTTIME)
    begun = act.begin(job_id)
    hold = Hold.measure(job_id, "nonce", begun, asked_at=asked_at, call_timeout=30)
    lease = begun.lease_left / 1000 - 30 - MARGIN
    assert begun.lease_left == LEASE
    expiry = lease if expires_in is None else (begun.expires_left or 0) / 1000
    assert hold.start_by == asked_at + min(lease, expiry)
    taken = act.look()
    assert RESERVATION < taken.due[job_id] - taken.now <= LEASE


def test_rule_9_a_lease_that_ran_out_is_not_renewed(act: Actor) -> None:
    """Neither before nor after the dispatcher has seen it does its token begin anything."""
    job_id = act.start(act.enqueue())
    due = act.look().due[job_id]
    act.pass_time(LEASE)
    assert act.begin(job_id).lease_left <= 0
    assert act.look().due[job_id] == due - LEASE
    act.take_due()
    assert act.begin(job_id).word == "final"


@pytest.mark.parametrize("to", [State.QUEUED, State.RETRYING, State.SCHEDULED])
def test_rule_10_a_token_that_has_settled_begins_nothing_again(act: Actor, to: State) -> None:
    """A begin that comes late, after the job was put off and taken again, is refused; the next holder begins."""
    job_id = act.start(act.enqueue(), "first")
    act.settle(outcome(job_id, to, token="first"))
    act.client.zadd(keys.DUE, {job_id: 0}, xx=True)
    act.take_due()
    assert act.take() == [job_id]
    assert act.begin(job_id, "first").word == "taken"
    assert act.begin(job_id, "second").word == "begun"
    act.look()


@pytest.mark.parametrize("state", State)
def test_rule_11_sent_is_believed_whoever_says_it(act: Actor, state: State) -> None:
    """With whatever token, in whatever state: the ids are the truth."""
    job_id = act.in_state(state)
    assert act.settle(outcome(job_id, State.SENT, token="a stranger's")) == "settled"
    job = act.lookup(job_id)
    assert (job.state, job.message_id, job.campaign_id, job.campaign_status) == (State.SENT, *IDS)
    act.look()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("to", [State.FAILED, State.UNKNOWN, State.EXPIRED, State.RETRYING, State.QUEUED])
def test_rule_11_not_sent_is_believed_from_the_holder_only(act: Actor, state: State, to: State) -> None:
    """Anybody else changes nothing, whatever the job's state."""
    job_id = act.in_state(state)
    before = act.look()
    assert act.settle(outcome(job_id, to, token="a stranger's")) == "stale"
    after = act.look()
    assert (after.jobs, after.due, after.lists) == (before.jobs, before.due, before.lists)


def test_rule_11_an_id_belongs_to_one_job(act: Actor) -> None:
    """Sent, but with another job's messageId: nothing is written."""
    act.in_state(State.SENT)
    job_id = act.in_state(State.SENDING)
    before = act.look()
    assert act.settle(outcome(job_id, State.SENT)) == "owned"
    assert act.look().jobs == before.jobs


def test_rule_11_calls_are_counted_once(act: Actor) -> None:
    """Put off after three calls, and said to be sent after all: three calls."""
    job_id = act.start(act.enqueue())
    act.settle(outcome(job_id, State.RETRYING, calls=3))
    act.settle(outcome(job_id, State.SENT, calls=3))
    assert act.lookup(job_id).attempts == 3


def test_rule_11_the_first_ids_stay(act: Actor) -> None:
    """Sent, and said to be sent with other ids: someone must hear of it, and nothing is written."""
    job_id = act.in_state(State.SENT)
    before = act.look()
    assert act.settle(Settlement(job_id, "nonce", State.SENT, 1, ids=(99, 98, 1))) == "twice"
    assert act.look().jobs == before.jobs
    assert act.run(ledger.lookup("message", "99")) is None


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
        assert act.settle(replace(outcome(job_id, State.RETRYING), delay=DAY, resends=True)) == "settled"
    else:
        act.pass_time(LEASE)
        assert act.take_due().events == [(job_id, "resend")]
    return job_id


@pytest.mark.parametrize("how", ["the answer was lost", "the worker was lost"])
def test_rules_15_and_22_a_resent_job_never_counts_as_uncalled(act: Actor, how: str) -> None:
    """Nobody knows what became of its first call: it can't be cancelled, and no end but `sent` says more than that."""
    job_id = resent(act, how, batch_id="b")
    assert act.cancel(job_id) == "late"
    act.run(ledger.cancel_batch("b"))
    assert act.lookup(job_id).state is State.UNKNOWN, "as others see it"
    act.pass_time(DAY)
    act.take_due()
    act.take()
    assert act.lookup(job_id).state is State.UNKNOWN, "as it is written"
    act.look()


@pytest.mark.parametrize("how", ["the answer was lost", "the worker was lost"])
def test_rule_15_a_resent_job_that_expires_or_is_refused_is_unknown(act: Actor, how: str) -> None:
    """Its expiry, and a refusal of the second call, say nothing of the first."""
    expired = resent(act, how, expires_in=LEASE + 1000)
    act.pass_time(DAY)
    assert act.lookup(expired).state is State.UNKNOWN
    refused = resent(act, "the worker was lost")
    act.take()
    assert act.begin(refused, "again").on_unknown == "resent"
    for _ in range(2):
        assert act.settle(outcome(refused, State.FAILED, token="again")) == "settled"
    assert act.lookup(refused).state is State.UNKNOWN
    act.look()


@pytest.mark.parametrize("state", State)
def test_rule_22_cancelled_means_that_the_gateway_was_not_called(act: Actor, state: State) -> None:
    """True for a job that waits, and again for one that was cancelled; False for all that may have been called."""
    job_id = act.in_state(state)
    word = act.cancel(job_id)
    stopped = state in (State.SCHEDULED, State.QUEUED, State.RETRYING, State.CANCELLED)
    assert word == ("cancelled" if stopped else "late")
    job = act.lookup(job_id)
    assert job.state is (State.CANCELLED if stopped else state)
    act.look()


def test_rule_22_a_cancelled_job_is_not_begun(act: Actor) -> None:
    """Cancelled between take and begin, the job ends uncalled, and its worker hears why."""
    job_id = act.enqueue()
    act.take()
    assert act.cancel(job_id) == "cancelled"
    assert act.begin(job_id).word == "cancelled"


def test_rule_22_a_job_whose_time_was_over_is_not_cancelled(act: Actor) -> None:
    """It had ended by itself, and stays expired."""
    job_id = act.enqueue(expires_in=1000)
    act.pass_time(1000)
    assert act.cancel(job_id) == "late"
    assert act.lookup(job_id).state is State.EXPIRED


@pytest.mark.parametrize("state", OPEN)
def test_rule_21_a_key_does_not_age_before_its_job_has_ended(act: Actor, state: State) -> None:
    """However long a job waits, its key still gives it back."""
    act.in_state(state, key="k")
    assert act.client.ttl(keys.idempotency("k")) == -1


@pytest.mark.parametrize("state", sorted(FINAL))
def test_rule_21_a_key_lives_as_long_as_its_ended_job(act: Actor, state: State) -> None:
    """The retention, from the end; and anew from the moment in which a job turns out to be sent."""
    job_id = act.in_state(state, key="k")
    assert ttls(act.look(), job_id) == [RETENTION] * 2
    act.pass_time(DAY)
    assert ttls(act.look(), job_id) == [RETENTION - DAY] * 2
    act.settle(outcome(job_id, State.SENT))
    assert ttls(act.look(), job_id) == [RETENTION - (DAY if state is State.SENT else 0)] * 2


def ttls(taken: Snapshot, job_id: str) -> list[int]:
    """Returns the TTLs of a job's record and of its key, ms; what this test took of them counts as nothing."""
    return [-(-taken.ttl[key] // DAY) * DAY for key in (keys.job(job_id), keys.idempotency("k"))]
