"""Whose turn it is when workers take ids: lanes pass each other by, batches of a lane take turns, ended jobs none."""

import itertools
from collections import Counter
from collections.abc import Iterable

from smsq import keys, ledger
from smsq.lanes import Lane, queue_name
from smsq.states import State
from tests.ledger.actor import Actor

#: Jobs that end in one call, at most; ids of higher lanes after which a lower one has a turn.
ENDS, PASSED = 500, 10


def _enqueue(act: Actor, count: int, lane: Lane, batch_id: str = "", expires_in: int | None = None) -> str:
    """Enqueues jobs, each under an id that begins with its lane and batch, and returns the last one's."""
    prefix = f"{lane}{batch_id}" + ("" if expires_in is None else "late")
    new = [ledger.NewJob(f"{prefix}_{act.new_id()}", "{}", "", "") for _ in range(count)]
    act.run(ledger.enqueue(new, ledger.Options(lane, batch_id, None, expires_in, "ask"), 1))
    return new[-1].id


def _whose(ids: Iterable[str]) -> Counter[str]:
    return Counter(job_id.partition("_")[0] for job_id in ids)


def test_of_ten_that_pass_a_lane_by_an_eleventh_is_its_own(act: Actor) -> None:
    """Higher lanes come first, but no lane waits for ever."""
    _enqueue(act, 100, "urgent")
    _enqueue(act, 10, "bulk")
    assert [_whose(act.take(PASSED)) for _ in range(4)] == [
        {"urgent": 10},
        {"urgent": 9, "bulk": 1},
        {"urgent": 10},
        {"urgent": 9, "bulk": 1},
    ]


def test_a_lane_is_owed_half_at_most_and_what_it_lacks_is_the_others(act: Actor) -> None:
    """However long it was passed by, the higher lanes have the first half; and nothing stays empty."""
    _enqueue(act, 200, "urgent")
    _enqueue(act, 6, "bulk")
    assert _whose(act.take(100)) == {"urgent": 100}
    assert [_whose(act.take(10)) for _ in range(2)] == [{"urgent": 5, "bulk": 5}, {"urgent": 9, "bulk": 1}]


def test_a_paused_lane_is_passed_over_and_owed_nothing(act: Actor) -> None:
    """It isn't behind for what others did meanwhile."""
    _enqueue(act, 100, "urgent")
    _enqueue(act, 10, "bulk")
    act.run(ledger.pause("bulk", "a reason"))
    assert _whose(act.take(60)) == {"urgent": 60}
    act.client.hdel(keys.PAUSE, "bulk")
    assert _whose(act.take(5)) == {"urgent": 5}


def test_batches_of_a_lane_share_what_is_taken_and_take_turns(act: Actor) -> None:
    """One after the other, whatever their sizes, and the odd one out goes round; alone, a batch has all."""
    _enqueue(act, 100, "bulk", "large")
    _enqueue(act, 8, "bulk", "small")
    assert _whose(act.take(4)) == {"bulklarge": 2, "bulksmall": 2}
    assert [_whose(act.take(3))["bulksmall"] for _ in range(2)] == [1, 2]
    assert _whose(act.take(5) + act.take(5)) == {"bulklarge": 7, "bulksmall": 3}
    assert _whose(act.take(10)) == {"bulklarge": 10}


def test_a_cancelled_batch_ends_inside_take_so_many_a_call(act: Actor) -> None:
    """Nobody is handed its ids, other lanes and other batches lose nothing by it, and no call takes long."""
    assert act.cancel(_enqueue(act, 2 * ENDS + 100, "bulk", "gone")) == "cancelled"
    _enqueue(act, 9, "bulk", "stays")
    _enqueue(act, 3, "urgent")
    act.run(ledger.cancel_batch("gone"))
    handed, ended = Counter[str](), [1]
    while act.client.exists(keys.ring("bulk")):
        handed += _whose(act.take(5))
        ended.append(int(act.client.hget(keys.batch("gone"), State.CANCELLED) or 0))
    assert handed == {"urgent": 3, "bulkstays": 9}
    assert ended[-1] == 2 * ENDS + 100
    assert all(later - before <= ENDS for before, later in itertools.pairwise(ended))
    assert act.client.llen(queue_name("bulk")) == 0


def test_a_batch_whose_first_jobs_expired_gives_its_share_and_no_more(act: Actor) -> None:
    """What is over is gone through in the same call, up to what isn't."""
    _enqueue(act, 5, "bulk", "some", expires_in=1000)
    _enqueue(act, 20, "bulk", "some")
    _enqueue(act, 20, "bulk", "other")
    act.pass_time(1000)
    assert _whose(act.take(4)) == {"bulkother": 2, "bulksome": 2}
    assert act.client.llen(queue_name("bulk")) == 36
