"""F05: records that a foreign hand has damaged.

No script ends half way: a damaged job is refused, failed or parked as the script's contract says, everything else stays
as it was, and jobs in the same call go on.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smsq import keys, ledger
from smsq.job import Job, JobError
from smsq.lanes import queue_name
from smsq.ledger import Begun, NewJob, Options
from smsq.states import State
from tests.ledger.actor import DAY, IDS, LEASE, NONCE, POLICY, RESERVATION, Actor, message, outcome, told
from tests.ledger.snapshot import Snapshot

if TYPE_CHECKING:
    import redis

Damage = Callable[["redis.Redis", str], object]


def without(field: str) -> Damage:
    """Removes a field."""
    return lambda client, key: client.hdel(key, field)


def with_(field: str, value: str) -> Damage:
    """Sets a field."""
    return lambda client, key: client.hset(key, field, value)


IN_A_HASH: dict[str, Damage] = {
    **{f"no {field}": without(field) for field in ("v", "state", "lane", "at")},
    **{
        f"{field} is abc": with_(field, "abc")
        for field in ("v", "state", "lane", "at", "expires", "attempts", "waiters", "losses", "ask")
    },
    "ask is half": with_("ask", '{"first":1}'),
    "ask is a list": with_("ask", "[]"),
    **{
        f"{field} is empty": with_(field, "")
        for field in ("v", "state", "lane", "at", "expires", "attempts", "waiters", "losses", "ask")
    },
    **{f"{field} is negative": with_(field, "-5") for field in ("v", "at", "expires", "attempts", "waiters", "losses")},
    "one field is left": lambda client, key: client.eval(
        "redis.call('DEL', KEYS[1]); redis.call('HSET', KEYS[1], 'm0', 'x')", 1, key
    ),
}
UNUSABLE: dict[str, Damage] = IN_A_HASH | {"a string": lambda client, key: client.set(key, "x")}
GONE: dict[str, Damage] = {"gone": lambda client, key: client.delete(key)}
ALL = UNUSABLE | GONE

unusable = pytest.mark.parametrize("damage", UNUSABLE)
damaged = pytest.mark.parametrize("damage", ALL)


def break_it(act: Actor, job_id: str, damage: str) -> Snapshot:
    """Damages a job's record and returns the ledger as it is then."""
    ALL[damage](act.client, keys.job(job_id))
    return Snapshot.read(act.client)


def same_but_for(before: Snapshot, after: Snapshot, *ids: str) -> bool:
    """Returns whether nothing has changed in the records and in `due`, those of some jobs aside."""

    def rest(taken: Snapshot) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
        jobs = {job_id: record for job_id, record in taken.jobs.items() if job_id not in ids}
        return jobs, {job_id: at for job_id, at in taken.due.items() if job_id not in ids}

    return rest(before) == rest(after)


def failed(act: Actor, job_id: str, damage: str) -> bool:
    """Returns whether a job has ended as failed, or was parked because it is no hash."""
    taken = Snapshot.read(act.client)
    job = act.lookup(job_id)
    assert (job.state, job.error) == (State.FAILED, JobError("malformed record"))
    if damage in IN_A_HASH:
        return taken.jobs[job_id]["state"] == "failed" and taken.ttl[keys.job(job_id)] > 0
    return bool(act.client.hget(keys.PARKED, job_id))


@damaged
def test_take_begin(act: Actor, damage: str) -> None:
    """An id without a record is dropped; one whose record can't be used is taken, and begin ends it, saying so."""
    job_id, other = act.enqueue(key="k", batch_id="b"), act.enqueue()
    break_it(act, job_id, damage)
    assert set(act.take()) == {other} | (set() if damage in GONE else {job_id})
    call = act.begin_call([job_id, other])
    first, second = act.run(call)
    assert (first, second.word) == (Begun("gone" if damage in GONE else "malformed"), "begun")
    assert damage in GONE or failed(act, job_id, damage)
    taken = Snapshot.read(act.client)
    assert set(taken.due) == {other}
    if damage in IN_A_HASH and damage != "one field is left":
        assert taken.ttl[keys.idempotency("k")] > 0
        assert taken.batches["b"]["failed"] == 1


@damaged
def test_begin_of_a_job_that_is_being_sent(act: Actor, damage: str) -> None:
    """Its holder may have called: a repeat begins nothing and fails nothing."""
    job_id, other = act.in_state(State.SENDING), act.enqueue()
    act.take()
    before = break_it(act, job_id, damage)
    call = act.begin_call([job_id, other])
    first, second = act.run(call)
    assert (first.word, second.word) == ("gone" if damage in GONE else "malformed", "begun")
    after = Snapshot.read(act.client)
    if act.client.type(keys.job(job_id)) == "hash" and before.jobs[job_id].get("state") == State.SENDING:
        assert same_but_for(before, after, other)
    else:
        assert same_but_for(before, after, other, job_id)


@damaged
@pytest.mark.parametrize("to", [State.SENT, State.FAILED, State.RETRYING, State.QUEUED])
def test_settle(act: Actor, damage: str, to: State) -> None:
    """What can't be used isn't written; the worker hears of it, and jobs in the same call are settled."""
    job_id, other = act.in_state(State.SENDING), act.in_state(State.SENDING)
    before = break_it(act, job_id, damage)
    settlements = [outcome(job_id, to), replace(outcome(other, State.SENT), ids=(7, 8, 1))]
    assert act.run(act.settle_call(*settlements)) == ["gone", "settled"]
    after = Snapshot.read(act.client)
    assert same_but_for(before, after, other)
    assert act.lookup(other).message_id == 7


@damaged
@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED, State.SENDING])
def test_cancel_and_watch(act: Actor, damage: str, state: State) -> None:
    """Refused by name, and nothing changes."""
    job_id = act.in_state(state)
    before = break_it(act, job_id, damage)
    assert act.cancel(job_id) == ("gone" if damage in GONE else "malformed")
    assert not act.run(ledger.watch(job_id))
    assert same_but_for(before, Snapshot.read(act.client))


@damaged
@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED, State.RETRYING, State.SENDING])
def test_take_due(act: Actor, damage: str, state: State) -> None:
    """What is due and can't be used is parked for a person; the rest goes where it belongs."""
    job_id, other = act.in_state(state), act.in_state(State.RETRYING)
    act.take()
    act.pass_time(2 * DAY)
    before = break_it(act, job_id, damage)
    looked = act.take_due()
    after = Snapshot.read(act.client)
    assert (looked.next_due, looked.entries, looked.events) == (None, 2, [(job_id, "parked")])
    assert act.client.hgetall(keys.PARKED) == {job_id: "gone" if damage in GONE else "malformed"}
    assert same_but_for(before, after, job_id, other)
    assert after.due == {}
    assert after.lists[keys.waiting("normal", "")] == [other]


@damaged
def test_answer(act: Actor, damage: str) -> None:
    """Nothing is written of what can't be used, not even an end; answers in the same call are written down."""
    job_id, other = (act.in_state(State.SENDING) for _ in range(2))
    act.pass_time(LEASE)
    act.take_due()
    act.pass_time(10_000)
    assert [each.job_id for each in act.take_due().questions] == [job_id, other]
    before = break_it(act, job_id, damage)
    answers = [replace(told(job_id, "found"), epoch=act.epoch), replace(told(other, "cant_tell"), epoch=act.epoch)]
    assert act.run(ledger.answer(answers, POLICY)) == ["stale", "later"]
    assert same_but_for(before, Snapshot.read(act.client), other)


@damaged
def test_renew(act: Actor, damage: str) -> None:
    """Whoever holds it hears that the lease is gone; others are renewed."""
    job_id, other = act.in_state(State.SENDING), act.in_state(State.SENDING)
    act.pass_time(1000)
    before = break_it(act, job_id, damage)
    holds = [(job_id, NONCE), (other, NONCE)]
    assert act.run(ledger.renew(holds, epoch=act.epoch, lease=LEASE)) == [-1, LEASE]
    assert same_but_for(before, Snapshot.read(act.client), other)


@damaged
def test_untake(act: Actor, damage: str) -> None:
    """It stays where it is until it is due; the rest goes back."""
    job_id, other = act.enqueue(), act.enqueue()
    act.take()
    before = break_it(act, job_id, damage)
    assert act.run(ledger.untake([job_id, other])) == 1
    after = Snapshot.read(act.client)
    assert same_but_for(before, after, other)
    assert after.lists[keys.waiting("normal", "")] == [other]


@damaged
def test_purge(act: Actor, damage: str) -> None:
    """It leaves the lane, parked unless it is gone; the rest is cancelled."""
    job_id, other = act.enqueue(), act.enqueue()
    before = break_it(act, job_id, damage)
    assert act.purge() == ledger.Purged(2, 1)
    assert act.client.hexists(keys.PARKED, job_id) == (damage not in GONE)
    assert same_but_for(before, Snapshot.read(act.client), other)
    assert act.lookup(other).state is State.CANCELLED


@unusable
@pytest.mark.parametrize("key", ["", "k"])
def test_enqueue_again(act: Actor, damage: str, key: str) -> None:
    """Whoever enqueues it again hears that it has failed, and it isn't written anew; the rest is accepted."""
    new = [NewJob(act.new_id(), message(), key, "c"), NewJob(act.new_id(), message(), key and "k2", "c")]
    act.run(ledger.enqueue(new[:1], Options("normal"), 1))
    before = break_it(act, new[0].id, damage)
    first, second = act.run(ledger.enqueue(new, Options("normal"), 1))
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert (first.id, first.state, first.error) == (new[0].id, State.FAILED, JobError("malformed record"))
    assert second.state is State.QUEUED
    after = Snapshot.read(act.client)
    assert same_but_for(before, after, *(each.id for each in new))
    assert after.lists[keys.waiting("normal", "")] == [each.id for each in new]


@unusable
@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING, State.SENT])
def test_lookup(act: Actor, damage: str, state: State) -> None:
    """A job that no script can use doesn't look like one that waits."""
    job_id = act.in_state(state)
    before = break_it(act, job_id, damage)
    job = act.lookup(job_id)
    assert (job.state, job.error) == (State.FAILED, JobError("malformed record"))
    assert same_but_for(before, Snapshot.read(act.client))


def test_an_enqueue_into_a_batch_that_is_none_writes_nothing(act: Actor) -> None:
    """A script that can't finish doesn't begin."""
    act.client.set(keys.batch("b"), "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        act.enqueue(batch_id="b")
    assert set(act.client.keys("*")) == {keys.batch("b"), keys.EPOCH}


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING])
def test_a_batch_that_was_overwritten_stops_none_of_its_jobs(act: Actor, state: State) -> None:
    """Its counts are lost; its jobs go all the way."""
    job_id = act.in_state(state, batch_id="b")
    act.client.set(keys.batch("b"), "x")
    if state is State.QUEUED:
        act.start(job_id)
    assert act.settle(outcome(job_id, State.RETRYING)) == "settled"
    act.pass_time(2 * DAY)
    act.take_due()
    act.start(job_id, "second")
    assert act.settle(outcome(job_id, State.SENT, token="second")) == "settled"
    assert act.lookup(job_id).state is State.SENT


def test_an_index_that_was_overwritten_costs_no_outcome(act: Actor) -> None:
    """The ids are in the record all the same."""
    job_id = act.in_state(State.SENDING)
    for index in ("message", "campaign"):
        act.client.set(f"smsq:{index}:{IDS[0] // 100 if index == 'message' else IDS[1] // 100}", "x")
    assert act.settle(outcome(job_id, State.SENT)) == "settled"
    assert act.lookup(job_id).message_id == IDS[0]
    assert act.run(ledger.lookup("message", str(IDS[0]))) is None


def test_a_key_that_was_overwritten_is_a_new_key(act: Actor) -> None:
    """Nobody can tell whose it was."""
    act.client.rpush(keys.idempotency("k"), "x")
    job_id = act.enqueue(key="k", content="c")
    assert act.look().idempotency == {"k": f"{job_id} c"}


# -- turns


def test_a_celery_message_on_a_lane_starts_nothing(act: Actor) -> None:
    """Whoever publishes to `sms.normal` by name changes the display, and that only until the lane is empty."""
    act.client.rpush(queue_name("normal"), "{}")
    job_id = act.enqueue()
    assert act.take() == [job_id]
    act.take()
    assert not act.client.exists(queue_name("normal"))
    act.client.rpush(queue_name("normal"), "{}")
    assert act.purge().removed == 0
    assert not act.client.exists(queue_name("normal"))


def test_a_lane_whose_turns_were_deleted_goes_on(act: Actor) -> None:
    """The ids wait elsewhere."""
    ids = [act.enqueue(), act.enqueue()]
    act.client.delete(queue_name("normal"))
    act.pass_time(RESERVATION)
    assert act.take() == ids
