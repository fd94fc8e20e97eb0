"""What operators decide about jobs that failed, or are unknown: they are called again, or marked as sent."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from smsq import keys, ledger
from smsq.connection import SyncRunner
from smsq.ledger import Marked, RetryWord
from smsq.settings import Settings
from smsq.states import State
from tests.ledger.actor import DAY, IDS, LEASE, NONCE, POLICY, RETENTION, Actor, outcome, told
from tests.ledger.snapshot import Snapshot
from tests.ledger.test_damage import GONE, break_it, damaged, same_but_for
from tests.support.server import Server

if TYPE_CHECKING:
    from smsq.ledger import EndedState
    from smsq.scripts import Call

FAILED_OR_UNKNOWN = pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])


def retry(act: Actor, job_id: str, state: "EndedState" = "failed", nonce: str = "n") -> RetryWord:
    """Retries a job."""
    [word] = act.run(ledger.retry([job_id], state, nonce))
    return word


def mark_sent(act: Actor, job_id: str, message_id: int = 77) -> Marked:
    """Marks a job as sent."""
    return act.run(ledger.mark_sent(job_id, message_id=message_id, campaign_id=88, status=2, retention=RETENTION))


def as_ended(state: State) -> "EndedState":
    """The same state, as operators' scripts name it."""
    return "failed" if state is State.FAILED else "unknown"


# -- retry


@FAILED_OR_UNKNOWN
def test_rule_1_and_21_a_retried_job_is_queued_as_any_other(act: Actor, state: State) -> None:
    """It is on its lane once, its record, key and batch are kept without limit, and it is sent like any other."""
    job_id = act.in_state(state, batch_id="b", key="k")
    act.pass_time(DAY)
    assert act.look().ttl[keys.batch("b")] > 0
    assert retry(act, job_id, as_ended(state)) == "queued"
    taken = act.look()
    assert taken.waiting("normal") == {"b": [job_id]}
    assert [taken.ttl[key] for key in (keys.job(job_id), keys.idempotency("k"), keys.batch("b"))] == [-1, -1, -1]
    assert (taken.batches["b"]["queued"], taken.batches["b"][state]) == (1, 0)
    assert taken.ended[state] == set()
    job = act.lookup(job_id)
    assert (job.state, job.attempts, job.done_at) == (State.QUEUED, 1, None)
    act.start(job_id, "second")
    assert act.settle(outcome(job_id, State.SENT, token="second")) == "settled"
    assert act.lookup(job_id).attempts == 2
    assert act.look().ttl[keys.job(job_id)] > 0


def test_rule_10_a_token_that_was_settled_begins_no_retried_job(act: Actor) -> None:
    """A begin that was on its way since before the retry calls nobody."""
    job_id = act.in_state(State.FAILED)
    assert retry(act, job_id) == "queued"
    act.take()
    assert act.begin(job_id, NONCE).word == "taken"


@FAILED_OR_UNKNOWN
def test_a_repeat_retries_once(act: Actor, state: State) -> None:
    """Sent again by a runner whose connection broke, it answers the same and calls nobody again."""
    job_id = act.in_state(state)
    assert retry(act, job_id, as_ended(state)) == "queued"
    assert retry(act, job_id, as_ended(state)) == "queued"
    assert act.look().waiting("normal") == {"": [job_id]}
    act.start(job_id, "second")
    assert act.settle(outcome(job_id, state, token="second")) == "settled"
    before = act.look()
    assert retry(act, job_id, as_ended(state)) == "queued"
    assert same_but_for(before, act.look())
    assert retry(act, job_id, as_ended(state), "another") == "queued"


@FAILED_OR_UNKNOWN
@pytest.mark.parametrize("refused", ["expired", "cancelled", "other"])
def test_what_cannot_be_retried_stays_as_it_is(
    act: Actor, state: State, refused: Literal["expired", "cancelled", "other"]
) -> None:
    """A job whose time is over, whose batch was cancelled or that has moved on is left alone, by name."""
    job_id = act.in_state(state, batch_id="b")
    if refused == "expired":
        act.client.hset(keys.job(job_id), "expires", 1)
    elif refused == "cancelled":
        act.run(ledger.cancel_batch("b"))
    seen = {State.FAILED: State.UNKNOWN, State.UNKNOWN: State.FAILED}[state] if refused == "other" else state
    before = act.look()
    assert retry(act, job_id, as_ended(seen)) == refused
    after = act.look()
    assert (before.jobs, before.due, before.lists, before.ended) == (after.jobs, after.due, after.lists, after.ended)


@damaged
@FAILED_OR_UNKNOWN
def test_f05_retry_and_mark_sent_of_a_damaged_record(act: Actor, damage: str, state: State) -> None:
    """Refused by name, and nothing changes; jobs of the same call are retried."""
    job_id, other = act.in_state(state), act.in_state(state)
    before = break_it(act, job_id, damage)
    expected = "gone" if damage in GONE else "malformed"
    assert mark_sent(act, job_id).word == expected
    assert act.run(ledger.retry([job_id, other], as_ended(state), "n")) == [expected, "queued"]
    assert same_but_for(before, Snapshot.read(act.client), other)


def test_f05_a_job_without_a_message_is_not_retried(act: Actor) -> None:
    """There is nothing to send, and nobody to mark it for."""
    job_id = act.in_state(State.UNKNOWN)
    act.client.hdel(keys.job(job_id), "m0")
    before = act.look()
    assert retry(act, job_id, "unknown") == "malformed"
    assert mark_sent(act, job_id).word == "malformed"
    assert same_but_for(before, act.look())


def test_rule_22_who_retries_an_unknown_job_does_not_make_it_uncalled(act: Actor) -> None:
    """A cancel of it isn't told as done: the gateway may have been called before the retry. It is asked about."""
    job_id = act.in_state(State.UNKNOWN)
    assert retry(act, job_id, "unknown") == "queued"
    assert act.cancel(job_id) == "late"
    assert act.lookup(job_id).state is State.SENDING
    act.look()


def test_rule_15_a_refusal_after_an_unknown_call_is_asked_about(act: Actor) -> None:
    """What the later try is told doesn't settle the call that the person couldn't find."""
    job_id = act.in_state(State.UNKNOWN)
    assert retry(act, job_id, "unknown") == "queued"
    act.take()
    assert act.begin(job_id, "second").unsettled
    assert act.settle(outcome(job_id, State.FAILED, token="second")) == "settled"
    assert act.lookup(job_id).state is State.SENDING
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, "found")) == "sent"
    act.look()


def test_a_failed_job_that_is_retried_is_certainly_uncalled(act: Actor) -> None:
    """The gateway had refused it: a cancel of it is told as done."""
    job_id = act.in_state(State.FAILED)
    assert retry(act, job_id) == "queued"
    assert act.cancel(job_id) == "cancelled"


@FAILED_OR_UNKNOWN
def test_rule_18_a_retry_ends_no_doubt(act: Actor, state: State) -> None:
    """A job of an earlier epoch is asked about, and called only when the gateway surely doesn't have it."""
    job_id = act.in_state(state, batch_id="b", key="k")
    act.new_epoch()
    assert retry(act, job_id, as_ended(state)) == "asking"
    taken = act.look()
    assert taken.ttl[keys.job(job_id)] == taken.ttl[keys.idempotency("k")] == -1
    assert taken.waiting("normal") == {}
    assert retry(act, job_id, as_ended(state)) == "asking"
    assert act.surely_absent(job_id) == "again"
    act.take()
    assert act.begin(job_id, "second").word == "begun"


def test_rule_16_a_retried_unknown_job_stays_a_twin(act: Actor) -> None:
    """Without tokens nothing is decided about another job of its content: what is found may be its first call."""
    unknown, other = act.enqueue(), act.enqueue()
    act.start(unknown, tokens=False)
    assert act.settle(outcome(unknown, State.UNKNOWN)) == "settled"
    act.take()
    assert act.begin(other, NONCE, tokens=False).word == "begun"
    assert act.settle(outcome(other, State.SENDING)) == "settled"
    assert retry(act, unknown, "unknown") == "queued"
    assert act.question(other) is not None
    assert act.answer(told(other, "found")) == "later"


def test_rule_16_a_failed_job_in_doubt_is_a_twin_again(act: Actor) -> None:
    """Its end had freed others of it; asked about, it counts for them as before."""
    failed, other = act.enqueue(), act.enqueue()
    act.take()
    for job_id in (failed, other):
        assert act.begin(job_id, NONCE, tokens=False).word == "begun"
    assert act.settle(outcome(failed, State.FAILED)) == "settled"
    assert act.settle(outcome(other, State.SENDING)) == "settled"
    act.client.hset(keys.job(failed), "epoch", 1)
    assert retry(act, failed) == "asking"
    assert act.question(other) is not None
    assert act.answer(told(other, "found")) == "later"


def test_who_lost_too_many_workers_gets_them_again(act: Actor) -> None:
    """A retry forgives the workers that died during the call, and takes the job off what is parked."""
    job_id = act.enqueue()
    act.start(job_id)
    act.client.hset(keys.job(job_id), "losses", POLICY.losses - 1)
    act.pass_time(LEASE)
    assert act.take_due().events == [(job_id, "lost")]
    assert act.surely_absent(job_id) == "failed"
    assert act.client.hexists(keys.PARKED, job_id)
    assert retry(act, job_id) == "queued"
    assert not act.client.hexists(keys.PARKED, job_id)
    assert "losses" not in act.look().jobs[job_id]


def test_rule_1_an_id_that_has_stayed_on_its_lane_is_not_added(act: Actor) -> None:
    """A job that was cancelled on its lane while in doubt, and ended as unknown, is there once after a retry."""
    job_id = act.enqueue()
    act.client.hset(keys.job(job_id), "epoch", 1)
    assert act.cancel(job_id) == "late"
    act.pass_time(DAY + LEASE)
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, "cant_tell")) == "unknown"
    act.client.hset(keys.job(job_id), "epoch", act.epoch)
    act.client.delete(keys.bell("normal"))  # who waited has heard it, and found nobody
    assert retry(act, job_id, "unknown") == "queued"
    assert act.look().waiting("normal") == {"": [job_id]}
    assert act.take() == [job_id]


def test_f04_operators_act_while_memory_is_full(act: Actor) -> None:
    """A retry, a mark and a pause take nearly nothing, and may be what helps."""
    failed, unknown = act.in_state(State.FAILED), act.in_state(State.UNKNOWN)
    act.client.config_set("maxmemory", 1)
    try:
        assert retry(act, failed) == "queued"
        assert mark_sent(act, unknown).word == "sent"
        assert act.run(ledger.pause("bulk", "full")) != []
        assert act.run(ledger.pause("bulk", "")) == []
    finally:
        act.client.config_set("maxmemory", 0)


def test_a_key_that_another_job_has_stays_as_it_is(act: Actor) -> None:
    """A retry prolongs no TTL but its own job's."""
    job_id = act.in_state(State.FAILED, key="k")
    act.client.set(keys.idempotency("k"), f"{act.new_id()} c", px=DAY)
    assert retry(act, job_id) == "queued"
    assert act.client.pttl(keys.idempotency("k")) > 0


def test_rule_23_a_repeat_writes_something_to_confirm(own_server: Callable[..., Server]) -> None:
    """As the server counts its writes: a WAIT after nothing would confirm at once what nobody else has."""
    server = own_server()
    with server.client() as client:
        act = Actor(client, SyncRunner(Settings.load(redis_url=server.url).address))
        failed, unknown = act.in_state(State.FAILED), act.in_state(State.UNKNOWN)
        calls: list[Call[Any]] = [
            ledger.retry([failed], "failed", "n"),
            ledger.mark_sent(unknown, message_id=77, campaign_id=88, status=2, retention=RETENTION),
        ]
        for call in calls:
            assert call.confirm
            act.run(call)
            before = int(client.info("persistence")["rdb_changes_since_last_save"])
            act.run(call)
            assert int(client.info("persistence")["rdb_changes_since_last_save"]) > before
        act.runner.close()


# -- mark as sent


def test_a_marked_job_is_sent_as_any_other(act: Actor) -> None:
    """Found by its ids, counted by its batch, without its text, kept for the retention, and no twin any more."""
    job_id = act.enqueue(batch_id="b", key="k")
    act.start(job_id, tokens=False)
    assert act.settle(outcome(job_id, State.UNKNOWN)) == "settled"
    assert mark_sent(act, job_id) == Marked("sent", None)
    job = act.run(ledger.lookup("message", "77"))
    assert job == act.run(ledger.lookup("campaign", "88")) == act.lookup(job_id)
    assert job is not None
    assert (job.state, job.message_id, job.campaign_id, job.campaign_status) == (State.SENT, 77, 88, 2)
    assert (job.attempts, job.error) == (1, None)
    taken = act.look()
    assert taken.batches["b"][State.SENT] == 1
    assert taken.jobs[job_id]["recipient"] == "77010000001"
    assert not any(field.startswith("m0") or field == "twin" for field in taken.jobs[job_id])
    assert not any(key.startswith(keys.twins("")) for key in taken.kinds)
    assert taken.ended["unknown"] == set()
    assert mark_sent(act, job_id) == Marked("sent", None)
    assert mark_sent(act, job_id, 78) == Marked("other", None)


def test_rule_11_a_message_of_another_job_is_refused(act: Actor) -> None:
    """Whose it is, is told, and nothing changes."""
    owner, job_id = act.in_state(State.SENT), act.in_state(State.UNKNOWN)
    before = act.look()
    assert mark_sent(act, job_id, IDS[0]) == Marked("owned", owner)
    assert same_but_for(before, act.look())


@pytest.mark.parametrize("state", [each for each in State if each is not State.UNKNOWN])
def test_only_unknown_jobs_are_marked(act: Actor, state: State) -> None:
    """Of all others the ledger knows better."""
    job_id = act.in_state(state)
    before = act.look()
    assert mark_sent(act, job_id) == Marked("other", None)
    assert same_but_for(before, act.look())
