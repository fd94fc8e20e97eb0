"""What holds jobs back: the circuit, an account's gate, the common pace. Rule 24 is about their probes."""

from dataclasses import replace

import pytest

from smsq import keys, ledger
from smsq.lanes import Lane
from smsq.ledger import Heard, Look
from smsq.scripts import boot_time
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, PATIENCE, POLICY, RETENTION, Actor, outcome, told
from tests.ledger.calls import AFTER, hear, out

FAILING = Heard("failing", "connection refused")
REFUSED = Heard("account", "code 8")
KEYLESS = Heard("keyless", "another key")
#: A closed gate's first pause, and its longest.
PAUSE, LONGEST = 5000, 60_000


def close_circuit(act: Actor, lane: Lane = "normal") -> None:
    """Has several workers fail in a row, with jobs of a lane."""
    calls = [out(act, worker, lane) for worker in "abc"]
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
        assert (taken.jobs, taken.left) == ([], "normal")
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


@pytest.mark.parametrize(("before", "closes"), [(True, False), (False, True)])
def test_calls_that_hang_close_nothing_if_a_later_one_was_answered(act: Actor, before: bool, closes: bool) -> None:
    """A campaign's calls give up together, half a minute after they began; codes were sent meanwhile."""
    began, calls = boot_time() - 1, [out(act) for _ in range(AFTER)]
    hear(act, Heard("well"), out(act))
    for job_id in calls:
        hear(act, replace(FAILING, called_at=began if before else boot_time()), job_id)
    assert act.client.hexists(keys.CIRCUIT, "since") == closes


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


@pytest.mark.parametrize("how", ["in doubt", "cancelled"])
def test_a_probe_that_calls_nobody_gives_its_permit_back(act: Actor, how: str) -> None:
    """It is asked about first, or has ended: the next one passes at once, not after the permit's lease."""
    first = act.enqueue()
    if how == "in doubt":
        act.new_epoch()
    second = act.enqueue(lane="bulk")
    close_circuit(act, lane="urgent")
    act.pass_time(PAUSE)
    assert act.take() == [first]
    if how == "cancelled":
        act.cancel(first)
    assert act.begin(first).word == ("asking" if how == "in doubt" else how)
    assert act.take() == [second]
    assert act.begin(second).word == "begun"


def test_rule_24_nobody_gives_back_the_permit_of_a_probe_whose_call_is_out(act: Actor) -> None:
    """Another worker comes too late for the same job: that doesn't let a second probe pass."""
    close_circuit(act)
    act.enqueue()
    act.pass_time(PAUSE)
    job_id = probe(act)
    act.enqueue()
    assert act.begin(job_id, "another's", worker="b").word == "taken"
    assert act.take(worker="b") == []


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


def test_a_worker_that_lacks_a_key_says_nothing_of_the_gateway(act: Actor) -> None:
    """It is held back alone; failures in a row go on being counted, and the circuit's probe is another's."""
    for _ in range(AFTER - 1):
        hear(act, FAILING, out(act, "b"), worker="b")
    hear(act, KEYLESS, out(act, "a"), worker="a")
    act.enqueue()
    assert act.take(worker="a") == []
    hear(act, FAILING, out(act, "b"), worker="b")
    assert act.client.hexists(keys.CIRCUIT, "since")
    ids = [act.enqueue() for _ in range(2)]
    act.pass_time(PAUSE)
    hear(act, KEYLESS, probe(act, "c"), worker="c")
    assert act.take(worker="d") == ids[1:]


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


def test_what_a_question_comes_to_concerns_those_who_call(act: Actor) -> None:
    """Too many calls hold the pace for all, a refused account closes its worker's gate; the circuit stays as it is."""
    close_circuit(act)
    act.run(ledger.hear(Heard("slow", "code 30", 1000), "a"))
    assert float(act.client.hget(keys.PACE, "hold") or 0) > act.look().now
    act.run(ledger.hear(REFUSED, "a"))
    assert act.client.hget(keys.worker_gate("a"), "reason") == "code 8"
    assert not act.client.exists(keys.worker_gate("b"))
    assert act.client.hexists(keys.CIRCUIT, "since")


def test_who_settles_hears_whether_only_probes_may_go_out(act: Actor) -> None:
    """What it has begun and not called goes back to its lane: the circuit for all, the account for its worker."""

    def held_back(heard: Heard, job_id: str, worker: str) -> bool:
        settlement = replace(outcome(job_id, State.RETRYING, token=job_id), heard=heard, epoch=act.epoch)
        return act.run(ledger.settle([settlement], retention=RETENTION, worker=worker, circuit_after=AFTER)).held_back

    calls = [out(act) for _ in range(AFTER + 3)]
    assert held_back(REFUSED, calls[0], "a")
    assert not held_back(FAILING, calls[1], "b")
    assert [held_back(FAILING, job_id, "b") for job_id in calls[2:AFTER]] == [False] * (AFTER - 2)
    assert held_back(FAILING, calls[AFTER], "b")
    assert not held_back(Heard("well"), calls[AFTER + 1], "b")
