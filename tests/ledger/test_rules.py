"""The rules that the ledger's protocol keeps, one by one (`smsq/lua` names them by the same numbers).

Here those about lanes and `due`: 1 to 5. The others: `test_rules_tokens` 6 to 11, `test_rules_asking` 12 to 14,
`test_rules_unsettled` 15 and 16, `test_rules_epochs` 17 to 19, `test_rules_keys` 20 and 21, `test_rules_told` 22, 23
and 25, `test_gates` 24.
"""

from dataclasses import replace

import pytest

from smsq import keys, ledger
from smsq.lanes import queue_name
from smsq.states import State
from tests.ledger.actor import DAY, RESERVATION, Actor, outcome
from tests.ledger.lives import LIVES, STEPS


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
        (State.SENDING, State.SENDING),
    ],
)
def test_rule_4_the_dispatcher_moves_entries(act: Actor, state: State, becomes: State) -> None:
    """F12: what falls due goes to its lane or is asked about; it is never only removed."""
    job_id = act.in_state(state)
    act.take()
    act.pass_time(2 * DAY)
    looked = act.take_due()
    taken = act.look()
    asked = becomes is State.SENDING
    assert taken.jobs[job_id]["state"] == becomes
    assert (taken.on_its_lane(job_id), job_id in taken.due) == (int(not asked), asked)
    assert (looked.entries, looked.events) == (1, [(job_id, "lost")] if asked else [])


@pytest.mark.parametrize("refused", [False, True])
def test_rule_5_a_job_that_must_not_be_called_now_goes_back_in_the_same_call(act: Actor, refused: bool) -> None:
    """Settled as queued, it is at the front of its lane at once and counts no call; at the end, if it was refused."""
    first, second = act.enqueue(), act.enqueue()
    act.take(1)
    act.begin(first)
    settlement = outcome(first, State.QUEUED, calls=0)
    assert act.settle(settlement if refused else replace(settlement, error=None)) == "settled"
    taken = act.look()
    assert taken.lists[keys.waiting("normal", "")] == ([second, first] if refused else [first, second])
    assert taken.jobs[first]["attempts"] == "0"
    assert taken.lists[queue_name("normal")] == ["1", "1"]


@pytest.mark.parametrize("what", ["normal", "all"])
def test_rule_5_a_paused_lanes_job_goes_back_in_the_same_call(act: Actor, what: str) -> None:
    """Paused between take and begin: it is on its lane again, in front, and nobody takes it until the pause ends."""
    first, second = act.enqueue(), act.enqueue()
    urgent = act.enqueue(lane="urgent")
    act.take(2)
    act.client.hset(keys.PAUSE, what, "1 a reason")
    words = [begun.word for begun in act.run(act.begin_call([urgent, first]))]
    assert words == ["paused" if what == "all" else "begun", "paused"]
    taken = act.look()
    assert taken.lists[keys.waiting("normal", "")] == [first, second]
    assert first not in taken.due
    assert act.run(act.take_call(lanes=["normal"])) == ledger.Taken([], None, None)
    act.client.delete(keys.PAUSE)
    assert act.take(lanes=["normal"]) == [first, second]
    assert act.begin(first).word == "begun"
