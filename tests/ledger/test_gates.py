"""What holds jobs back: the circuit, an account's gate, the common pace. Rule 24 is about their probes."""

import itertools
from dataclasses import replace

import pytest

from smsq import keys, ledger
from smsq.ledger import Heard, Look
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, PATIENCE, POLICY, Actor, outcome, told

AFTER = 3
FAILING = Heard("failing", "connection refused")
REFUSED = Heard("account", "code 8")
#: A closed gate's first pause, and its longest.
PAUSE, LONGEST = 5000, 60_000


def hear(act: Actor, heard: Heard, job_id: str, *, worker: str = "a") -> None:
    """Settles a job whose call said something of the gateway."""
    to = State.FAILED if heard.what == "well" else State.RETRYING
    settlement = replace(outcome(job_id, to, token=job_id), heard=heard)
    assert act.settle(settlement, worker=worker, circuit_after=AFTER) == "settled"


def out(act: Actor, worker: str = "a") -> str:
    """Begins a job whose call is out."""
    job_id = act.enqueue()
    assert job_id in act.take(worker=worker)
    assert act.begin(job_id, job_id, worker=worker).word == "begun"
    return job_id


def close_circuit(act: Actor) -> None:
    """Has several workers fail in a row."""
    calls = [out(act, worker) for worker in "abc"]
    for worker, job_id in zip("abc", calls, strict=True):
        hear(act, FAILING, job_id, worker=worker)


def probe(act: Actor, worker: str = "a") -> str:
    """Takes the probe that a closed gate lets pass, and begins it."""
    [job_id] = act.take(worker=worker)
    assert act.begin(job_id, job_id, worker=worker).word == "begun"
    return job_id


# -- the circuit


def test_the_circuit_closes_after_failures_in_a_row_of_any_workers(act: Actor) -> None:
    """Then nobody takes anything until the first probe's moment."""
    waiting = [out(act, worker) for worker in "abc"]
    ids = [act.enqueue() for _ in range(2)]
    for number, (worker, job_id) in enumerate(zip("abc", waiting, strict=True), 1):
        hear(act, FAILING, job_id, worker=worker)
        assert act.client.hexists(keys.CIRCUIT, "since") == (number == AFTER)
    for worker in ("a", "d"):
        taken = act.run(act.take_call(worker=worker))
        assert (taken.jobs, taken.left) == ([], True)
        assert taken.come_back is not None
        assert 0 < taken.come_back <= PAUSE
    act.pass_time(PAUSE)
    assert act.take(worker="d") == ids[:1]


@pytest.mark.parametrize("heard", [Heard("well"), Heard("slow", "code 30", 1), REFUSED])
def test_any_answer_of_the_gateway_begins_the_count_anew(act: Actor, heard: Heard) -> None:
    """It isn't down if it refuses."""
    calls = [out(act) for _ in range(2 * AFTER - 1)]
    for number, job_id in enumerate(calls):
        hear(act, heard if number == AFTER - 1 else FAILING, job_id)
    assert not act.client.hexists(keys.CIRCUIT, "since")


def test_a_repeat_of_a_settle_is_heard_once(act: Actor) -> None:
    """Its answer was lost: the failure doesn't count twice."""
    job_id = out(act)
    for _ in range(AFTER + 1):
        hear(act, FAILING, job_id)
    assert act.client.hgetall(keys.CIRCUIT) == {"failures": "1"}


def test_what_was_taken_before_goes_back_to_its_lane(act: Actor) -> None:
    """A closed circuit holds back what is begun too, in the same call (rule 5)."""
    calls = [out(act) for _ in range(AFTER)]
    taken = [act.enqueue(), act.enqueue()]
    assert act.take() == taken
    for job_id in calls:
        hear(act, FAILING, job_id)
    assert [begun.word for begun in act.run(act.begin_call(taken))] == ["paused"] * 2
    assert sorted(act.look().lists[keys.waiting("normal", "")]) == taken


def test_rule_24_one_probe_passes_at_a_time(act: Actor) -> None:
    """Who has its permit; nobody else takes, and nobody else begins."""
    close_circuit(act)
    ids = [act.enqueue() for _ in range(3)]
    act.pass_time(PAUSE)
    assert act.take(worker="b") == ids[:1]
    for worker in ("a", "b"):
        taken = act.run(act.take_call(worker=worker))
        assert taken.jobs == []
        assert taken.come_back is not None
        assert LEASE - 1000 < taken.come_back <= LEASE
    assert act.begin(ids[0], worker="b").word == "begun"
    act.look()


def test_rule_24_a_probes_permit_has_a_lease(act: Actor) -> None:
    """Its worker died: after the lease the next one passes, and the first one's job passes no more."""
    close_circuit(act)
    ids = [act.enqueue() for _ in range(2)]
    act.pass_time(PAUSE)
    assert act.take() == ids[:1]
    act.pass_time(LEASE)
    assert act.take() == ids[1:]
    assert act.begin(ids[0], "first").word == "paused"
    assert act.begin(ids[1], "second").word == "begun"


def test_a_probe_that_fails_keeps_the_circuit_closed_for_longer(act: Actor) -> None:
    """Twice as long each time, a minute at most."""
    close_circuit(act)
    pauses = []
    for _ in range(6):
        act.enqueue()
        taken = act.run(act.take_call())
        assert taken.come_back is not None
        pauses.append(round(taken.come_back, -3))
        act.pass_time(LONGEST)
        hear(act, FAILING, probe(act))
    assert pauses == [min(LONGEST, PAUSE * 2**number) for number in range(6)]


def test_a_probe_that_is_answered_opens_the_circuit(act: Actor) -> None:
    """Everything flows again, and the count begins anew."""
    close_circuit(act)
    ids = [act.enqueue() for _ in range(3)]
    act.pass_time(PAUSE)
    hear(act, Heard("well"), probe(act))
    assert not act.client.exists(keys.CIRCUIT)
    assert act.take() == ids[1:]


def test_a_call_that_was_out_when_the_circuit_closed_is_no_probe(act: Actor) -> None:
    """Its failure keeps nothing closed for longer; its success opens, as any answer does."""
    calls = [out(act) for _ in range(AFTER + 2)]
    for job_id in calls[:AFTER]:
        hear(act, FAILING, job_id)
    before = act.client.hgetall(keys.CIRCUIT)
    hear(act, FAILING, calls[AFTER])
    after = act.client.hgetall(keys.CIRCUIT)
    assert (after["probe_at"], after["pause"]) == (before["probe_at"], before["pause"])
    hear(act, Heard("well"), calls[AFTER + 1])
    assert not act.client.exists(keys.CIRCUIT)


# -- an account's gate


def test_a_refused_account_holds_back_its_worker_alone(act: Actor) -> None:
    """Keys are bound to addresses: the others may be well, and what they hear doesn't open this one's gate."""
    hear(act, REFUSED, out(act, "a"), worker="a")
    act.enqueue()
    assert act.take(worker="a") == []
    hear(act, Heard("well"), out(act, "b"), worker="b")
    act.enqueue()
    assert act.take(worker="a") == []
    assert len(act.take(worker="b")) == 1


def test_a_refused_accounts_probe_tells_when_it_is_over(act: Actor) -> None:
    """One at a time; refused again it is closed for longer, accepted it is open."""
    hear(act, REFUSED, out(act))
    ids = [act.enqueue() for _ in range(3)]
    act.pass_time(PAUSE)
    first = probe(act)
    assert first == ids[0]
    hear(act, REFUSED, first)
    taken = act.run(act.take_call(worker="a"))
    assert taken.come_back is not None
    assert PAUSE < taken.come_back <= 2 * PAUSE
    act.pass_time(2 * PAUSE)
    hear(act, Heard("well"), probe(act))
    assert act.take(worker="a") == ids[2:]


def test_a_probe_must_pass_every_closed_gate(act: Actor) -> None:
    """The circuit and the account's: whichever opens later."""
    calls = [out(act) for _ in range(AFTER + 1)]
    hear(act, REFUSED, calls[0])
    act.pass_time(PAUSE - 1000)
    for job_id in calls[1:]:
        hear(act, FAILING, job_id)
    ids = [act.enqueue() for _ in range(2)]
    act.pass_time(2000)
    assert act.take(worker="a") == []
    act.pass_time(PAUSE)
    assert act.take(worker="a") == ids[:1]
    assert act.begin(ids[0], worker="a").word == "begun"


def test_who_looks_hears_what_holds_jobs_back(act: Actor) -> None:
    """With the reason: the circuit everyone, the account its worker, the pace everyone; and leaves a heartbeat."""
    hear(act, Heard("slow", "code 30", 1000), out(act))
    act.pass_time(1000)
    hear(act, REFUSED, out(act))
    for worker, expected in (("a", {"pace": "code 30", "account": "code 8"}), ("b", {"pace": "code 30"})):
        looked = act.run(ledger.take_due(Look(10, 0, PATIENCE, "n", worker, '{"pid":1}'), POLICY))
        assert looked.held_back == expected
        moment, said = str(act.client.hget(keys.WORKERS, worker)).split(" ", 1)
        assert abs(act.look().now - int(moment)) < 10_000
        assert said == '{"pid":1}'
    act.pass_time(2 * DAY)
    close_circuit(act)
    looked = act.run(ledger.take_due(Look(10, 0, PATIENCE, "n", "b"), POLICY))
    assert looked.held_back == {"circuit": "connection refused"}


# -- the pace


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
    assert taken.left
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


def test_a_probe_keeps_to_the_pace(act: Actor) -> None:
    """Nothing passes a hold, and a probe has its moment."""
    close_circuit(act)
    act.enqueue()
    act.pass_time(PAUSE)
    act.run(ledger.reserve(1000, interval=100, ahead=LEASE))
    taken = act.run(act.take_call(interval=100))
    assert taken.jobs == []
    assert taken.come_back
    assert not act.client.hexists(keys.CIRCUIT, "permit")
    act.pass_time(LEASE + 1000)
    assert len(act.run(act.take_call(10, interval=100)).jobs) == 1


def test_answers_to_questions_open_no_gate(act: Actor) -> None:
    """They are asked by whoever has room, by another method: only a call tells that calls are well again."""
    lost = act.lose(act.enqueue())
    close_circuit(act)
    assert act.question(lost) is not None
    assert act.answer(told(lost, "found")) == "sent"
    assert act.client.hexists(keys.CIRCUIT, "since")
