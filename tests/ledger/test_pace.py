"""The common pace of all workers: `SMSQ_RATE_LIMIT`, and what the gateway's "too many calls" makes of it."""

import itertools

import pytest

from smsq import keys, ledger
from smsq.ledger import Heard, Look
from smsq.ledger.holding import Share
from tests.ledger.actor import PATIENCE, POLICY, Actor
from tests.ledger.calls import hear, out


def moments(act: Actor, count: int, interval: float) -> list[float]:
    """Takes ids under a rate; returns when each call's moment is, in Redis's time."""
    taken = act.run(act.take_call(count, interval=interval))
    now = act.look().now
    return [now + job.moment for job in taken.jobs]


def test_each_id_comes_with_a_moment_of_its_own(act: Actor) -> None:
    """One interval apart, a tenth of a second ahead at most; what is left waits on its lane."""
    ids = [act.enqueue() for _ in range(10)]
    taken = act.run(act.take_call(10, interval=40))
    assert [job.id for job in taken.jobs] == ids[:3]
    assert [job.moment for job in taken.jobs] == [0, 40, 80]
    assert taken.left == "normal"
    again = act.run(act.take_call(10, interval=40))
    assert len(again.jobs) <= 1
    assert again.jobs or again.come_back


def test_no_two_workers_share_a_moment(act: Actor) -> None:
    """However they alternate, with what is reserved for questions in between: never more than the rate allows."""
    for _ in range(60):
        act.enqueue()
    interval, times = 20.0, list[float]()
    for worker in itertools.islice(itertools.cycle("abc"), 12):
        taken = act.run(act.take_call(3, worker=worker, interval=interval))
        now = act.run(act.begin_call([taken.jobs[0].id], taken.jobs[0].id))[0].now if taken.jobs else 0
        times += [now + job.moment for job in taken.jobs]
        reserved = act.run(ledger.reserve(2, interval=interval, ahead=100))
        act.pass_time(50)
        times = [each - 50 for each in times]
        assert reserved.many in (0, 1, 2)
    times.sort()
    assert len(times) > 10
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(apart) >= interval - 10, "a few ms pass between a take and the begin that tells the time"


def test_moments_that_nobody_needed_are_given_back(act: Actor) -> None:
    """One job and room for ten: the next caller's moment is the next one."""
    act.enqueue()
    assert len(act.run(act.take_call(10, interval=10)).jobs) == 1
    reserved = act.run(ledger.reserve(1, interval=10, ahead=100))
    assert reserved.many == 1
    assert reserved.first <= 10


def test_reserve_tells_when_to_come_back(act: Actor) -> None:
    """Moments are given out for the near future only: who comes later must not find them all taken."""
    first = act.run(ledger.reserve(100, interval=50, ahead=500))
    assert (first.many, first.first, first.spacing) == (11, 0, 50)
    none = act.run(ledger.reserve(1, interval=50, ahead=100))
    assert none.many == 0
    assert 0 < none.first <= 450
    act.pass_time(none.first)
    assert act.run(ledger.reserve(1, interval=50, ahead=100)).many == 1


def test_without_a_rate_everything_may_go_at_once(act: Actor) -> None:
    """No moments, and nothing is stored."""
    assert act.run(ledger.reserve(100, interval=0, ahead=100)) == ledger.holding.Reserved(100, 0, 0)
    ids = [act.enqueue() for _ in range(10)]
    assert [job.moment for job in act.run(act.take_call(10)).jobs] == [0] * len(ids)
    assert not act.client.exists(keys.PACE)


def test_a_share_is_one_for_all_workers(act: Actor) -> None:
    """Each tenth call at most is one of it, whoever asks and however many there are; other calls go on beside it."""
    of_it = Share("following", 10)
    given, began = 0, act.look().now
    for _ in range(200):
        given += act.run(ledger.reserve(1, interval=10, ahead=100, share=of_it)).many
        assert act.run(ledger.reserve(1, interval=10, ahead=100)).many == 1
        act.pass_time(20)
    passed = 200 * 20 + act.look().now - began
    assert 20 <= given <= passed / 100 + 2
    refused = act.run(ledger.reserve(1, interval=10, ahead=100, share=of_it))
    assert refused.many == 1 or 0 < refused.first <= 200
    assert act.run(ledger.reserve(1, interval=10, ahead=100, share=Share("asking", 5))).many == 1, "it has its own"


def questions(act: Actor, worker: str, *, room: int = 100, paced: bool = True) -> int:
    """Has a worker look at what is due, all of which has come; returns how many questions it is given."""
    act.client.zadd(keys.DUE, dict.fromkeys(act.look().due, 0), xx=True)
    look = Look(500, room, PATIENCE, worker, worker, "{}", paced)
    return len(act.run(ledger.take_due(look, POLICY)).questions)


def test_under_a_rate_one_worker_at_a_time_asks(act: Actor) -> None:
    """Until its round is over, which its next look with room for questions tells; then others may come first."""
    for _ in range(3):
        act.lose(act.enqueue())
    assert questions(act, "a") == 3
    assert [questions(act, each, room=room) for each, room in (("b", 100), ("a", 0), ("b", 100))] == [0, 0, 0]
    assert [questions(act, each) for each in "abab"] == [0, 3, 0, 0]
    assert [questions(act, each) for each in "aba"] == [3, 0, 0]
    assert [questions(act, each) for each in "aa"] == [3, 0], "nobody else came"


def test_who_dies_while_asking_holds_no_one_back_for_good(act: Actor) -> None:
    """His round is over when its time is."""
    act.lose(act.enqueue())
    assert questions(act, "a") == 1
    act.pass_time(PATIENCE - 1000)
    assert questions(act, "b") == 0
    act.pass_time(1000)
    assert questions(act, "b") == 1


def test_without_a_rate_all_may_ask(act: Actor) -> None:
    """There is nothing to share."""
    act.lose(act.enqueue())
    assert [questions(act, each, paced=False) for each in "abab"] == [1, 1, 1, 1]
    assert not act.client.exists(keys.PACE)


def test_a_share_of_no_limit_is_none(act: Actor) -> None:
    """Without a rate they may all go; a gateway that wants fewer calls holds them too."""
    ask = ledger.reserve(1, interval=0, ahead=100, share=Share("following", 10))
    assert [act.run(ask).many for _ in range(3)] == [1, 1, 1]
    hear(act, Heard("slow", "code 30", 7000), out(act))
    assert act.run(ask).many == 0


def test_a_share_outlives_a_clock_that_jumped(act: Actor) -> None:
    """Its moment lies in a future that is far away now: who asks doesn't wait for it."""
    ask = ledger.reserve(1, interval=10, ahead=100, share=Share("following", 10))
    act.client.hset(keys.PACE, "share:following", act.look().now + 86_400_000)
    assert act.run(ask).many == 1
    assert act.run(ask).many == 0


@pytest.mark.parametrize("interval", [0.0, 10.0])
def test_too_many_calls_hold_everyone_back(act: Actor, interval: float) -> None:
    """Code 30 or HTTP 429: for as long as the gateway asks, nobody takes and nobody asks; also without a rate."""
    hear(act, Heard("slow", "code 30", 7000), out(act))
    act.enqueue()
    for worker in "ab":
        taken = act.run(act.take_call(worker=worker, interval=interval))
        assert taken.jobs == []
        assert taken.come_back is not None
        assert 6000 < taken.come_back <= 7000
    reserved = act.run(ledger.reserve(1, interval=interval, ahead=100))
    assert reserved.many == 0
    assert 6000 < reserved.first <= 7000
    act.pass_time(7000)
    assert len(act.run(act.take_call(interval=interval)).jobs) == 1


def test_too_many_calls_halve_the_pace_for_a_minute(act: Actor) -> None:
    """For all workers; again and again down to an eighth; those that were out together say it once."""
    spacings = []
    for _ in range(5):
        calls = [out(act), out(act)]
        for job_id in calls:
            hear(act, Heard("slow", "code 30", 1000), job_id)
        act.pass_time(1000)
        spacings.append(act.run(ledger.reserve(1, interval=10, ahead=100)).spacing)
        act.pass_time(1000)
    assert spacings == [20, 40, 80, 80, 80]
    act.pass_time(60_000)
    assert act.run(ledger.reserve(1, interval=10, ahead=100)).spacing == 10
