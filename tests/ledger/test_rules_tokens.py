"""Rules 6 to 11: tokens and leases, and who is believed."""

from dataclasses import replace

import pytest

from smsq import keys, ledger
from smsq.ledger import Settlement
from smsq.scripts import Known, boot_time
from smsq.states import State
from tasks.hold import MARGIN, Hold
from tests.ledger.actor import DAY, IDS, LEASE, NONCE, RESERVATION, Actor, outcome


def test_rule_6_copies_of_a_hint_in_one_call_are_begun_once(act: Actor) -> None:
    """They share the call's nonce, and only one of them may call the gateway; so does a repeat of the call."""
    first, second = act.enqueue(), act.enqueue()
    act.take()
    for _ in range(2):
        words = [begun.word for begun in act.run(act.begin_call([first, first, second, first]))]
        assert words == ["begun", "taken", "begun", "taken"]


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
    assert act.renew(job_id, "first") == -1
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


def test_rule_7_a_nonce_of_an_older_epoch_begins_nothing(act: Actor) -> None:
    """Chosen before Redis was started again, a nonce may have been used by a call that Redis forgot."""
    first, second = act.enqueue(), act.enqueue()
    act.take()
    assert act.begin(first, "first").word == "begun"
    older = act.epoch
    act.new_epoch()
    before = act.look()
    for job_id, nonce in ((first, "first"), (second, "second")):
        assert act.begin(job_id, nonce, epoch=older).word == "epoch"
    after = act.look()
    assert (after.jobs, after.due, after.lists) == (before.jobs, before.due, before.lists)
    assert act.epoch > older


def held(act: Actor, *, expires_in: int | None = None, known: Known | None = None) -> Hold:
    """Begins a job, and measures what the worker has of it."""
    job_id = act.enqueue(expires_in=expires_in)
    act.take()
    asked_at = boot_time()
    begun = act.begin(job_id)
    known = known or act.runner.known
    return Hold.measure(job_id, NONCE, begun, epoch=act.epoch, asked_at=asked_at, call_timeout=30, known=known)


@pytest.mark.parametrize("expires_in", [None, LEASE // 4, 10 * LEASE])
def test_rule_8_a_call_must_start_while_lease_and_expiry_last(act: Actor, expires_in: int | None) -> None:
    """Measured from before the begin was sent: the lease must cover the call's whole time, the expiry its start."""
    before = boot_time()
    hold = held(act, expires_in=expires_in)
    assert before <= hold.begun_at <= boot_time()
    lease = hold.begun.lease_left / 1000 - 30 - MARGIN
    assert hold.begun.lease_left == LEASE
    expiry = lease if expires_in is None else (hold.begun.expires_left or 0) / 1000
    assert hold.start_by() == hold.begun_at + min(lease, expiry)
    taken = act.look()
    assert RESERVATION < taken.due[hold.job_id] - taken.now <= LEASE


def test_rule_8_no_call_starts_once_a_newer_epoch_is_known(act: Actor) -> None:
    """Whoever in the process hears of it, and without asking Redis again: the last moment was never."""
    hold = held(act)
    assert hold.start_by() > hold.begun_at
    act.new_epoch()
    act.take()
    assert hold.start_by() == float("-inf")


def test_rule_8_a_lease_that_was_not_renewed_starts_no_call(act: Actor) -> None:
    """What a repeat of the begin finds left doesn't cover a call any more: its moment is over already."""
    job_id = act.start(act.enqueue())
    act.pass_time(LEASE - 20_000)
    asked_at = boot_time()
    known = act.runner.known
    late = Hold.measure(
        job_id, NONCE, act.begin(job_id), epoch=act.epoch, asked_at=asked_at, call_timeout=30, known=known
    )
    assert late.start_by() < asked_at


def test_rule_9_a_lease_that_ran_out_is_not_renewed(act: Actor) -> None:
    """Neither before nor after the dispatcher has seen it does its token renew or begin anything."""
    job_id = act.start(act.enqueue())
    due = act.look().due[job_id]
    act.pass_time(LEASE)
    assert act.begin(job_id).lease_left <= 0
    assert act.renew(job_id) == -1
    assert act.look().due[job_id] == due - LEASE
    act.take_due()
    assert act.begin(job_id).word == "taken"
    assert act.renew(job_id) == -1


def test_rule_9_a_lease_is_renewed_while_it_runs(act: Actor) -> None:
    """As often as its holder likes; a stranger's token renews nothing."""
    job_id = act.start(act.enqueue())
    for _ in range(3):
        act.pass_time(LEASE - 1000)
        assert act.renew(job_id, "a stranger's") == -1
        assert act.renew(job_id) == LEASE
        taken = act.look()
        assert LEASE - 1000 < taken.due[job_id] - taken.now <= LEASE


def test_rule_9_a_token_renews_in_its_own_epoch_only(act: Actor) -> None:
    """Its lease still runs; but a ledger that may have gone back can't tell whose it is."""
    job_id = act.start(act.enqueue())
    older = act.epoch
    act.new_epoch()
    before = act.look()
    assert act.renew(job_id, epoch=older) == -1
    assert act.look().due == before.due


@pytest.mark.parametrize("state", [state for state in State if state is not State.SENDING])
def test_rule_9_only_what_is_being_sent_has_a_lease(act: Actor, state: State) -> None:
    """A reservation, a schedule or a question isn't moved by the last holder's token."""
    job_id = act.in_state(state)
    act.take()
    before = act.look()
    assert act.renew(job_id) == -1
    assert act.look().due == before.due


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


def test_rule_10_a_token_that_had_the_gateway_asked_begins_nothing_again(act: Actor) -> None:
    """While it is asked about, and when it is called again: the earlier token is used up."""
    job_id = act.start(act.enqueue(), "first")
    assert act.settle(outcome(job_id, State.SENDING, token="first")) == "settled"
    assert act.begin(job_id, "first").word == "taken"
    assert act.renew(job_id, "first") == -1
    assert act.settle(outcome(job_id, State.RETRYING, token="first")) == "stale"
    assert act.lookup(job_id).state is State.SENDING


@pytest.mark.parametrize("state", State)
def test_rule_11_sent_is_believed_whoever_says_it(act: Actor, state: State) -> None:
    """With whatever token, in whatever state: the ids are the truth."""
    job_id = act.in_state(state)
    assert act.settle(outcome(job_id, State.SENT, token="a stranger's")) == "settled"
    job = act.lookup(job_id)
    assert (job.state, job.message_id, job.campaign_id, job.campaign_status) == (State.SENT, *IDS)
    act.look()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    "to", [State.FAILED, State.UNKNOWN, State.EXPIRED, State.RETRYING, State.QUEUED, State.SENDING]
)
def test_rule_11_not_sent_is_believed_from_the_holder_only(act: Actor, state: State, to: State) -> None:
    """Anybody else changes nothing, whatever the job's state."""
    job_id = act.in_state(state)
    before = act.look()
    assert act.settle(outcome(job_id, to, token="a stranger's")) == "stale"
    after = act.look()
    assert (after.jobs, after.due, after.lists) == (before.jobs, before.due, before.lists)


@pytest.mark.parametrize("to", [State.FAILED, State.RETRYING, State.QUEUED, State.SENDING, State.SENT])
def test_rule_11_not_sent_is_believed_in_the_holders_epoch_only(act: Actor, to: State) -> None:
    """A ledger that went back may have given the job to another; that it was sent is true all the same."""
    job_id = act.start(act.enqueue())
    older = act.epoch
    act.new_epoch()
    before = act.look()
    word = act.settle(replace(outcome(job_id, to), epoch=older))
    after = act.look()
    if to is State.SENT:
        assert (word, after.jobs[job_id]["state"]) == ("settled", "sent")
        assert after.canary == ("", 0), "its moment is of another epoch"
    else:
        assert (word, after.jobs, after.due) == ("stale", before.jobs, before.due)


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
