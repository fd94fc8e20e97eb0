"""What operators see of the ledger, what they hold back, and what they forget."""

from typing import TYPE_CHECKING

import pytest

from smsq import keys, ledger
from smsq.job import JobError
from smsq.lanes import LANES
from smsq.ledger import Heard, Look, Pause
from smsq.scripts import script
from smsq.states import State
from tests.ledger.actor import DAY, LEASE, POLICY, RETENTION, Actor
from tests.ledger.test_damage import same_but_for

if TYPE_CHECKING:
    from smsq.ledger import EndedState

# -- pause


def test_a_resumed_lane_rings(act: Actor) -> None:
    """Nothing is taken off a paused lane; when it goes on, its bell wakes who waits there, and no other lane's."""
    ids = {lane: act.enqueue(lane=lane) for lane in LANES}
    [pause] = act.run(ledger.pause("normal", "maintenance"))
    assert pause == Pause("normal", pause.since, "maintenance")
    assert pause.since is not None
    assert act.take() == [ids["urgent"], ids["bulk"]]
    act.client.delete(*map(keys.bell, LANES))  # who waited has heard them
    assert act.run(ledger.pause("normal", "")) == []
    assert [lane for lane in LANES if act.client.exists(keys.bell(lane))] == ["normal"]
    assert act.take() == [ids["normal"]]


def test_two_pauses_hold_a_lane_until_both_are_over(act: Actor) -> None:
    """A lane's own pause and that of all are two."""
    job_id = act.enqueue(lane="bulk")
    act.run(ledger.pause("bulk", "one"))
    both = act.run(ledger.pause("all", "two"))
    assert {(each.lane, each.reason) for each in both} == {("bulk", "one"), ("all", "two")}
    act.client.delete(keys.bell("bulk"))
    assert [each.lane for each in act.run(ledger.pause("all", ""))] == ["bulk"]
    assert not act.client.exists(keys.bell("bulk"))
    assert act.take() == []
    assert act.run(ledger.pause("bulk", "")) == []
    assert act.take() == [job_id]


def test_another_reason_is_the_same_pause(act: Actor) -> None:
    """It has lasted since it began; once it is over it is remembered, as the last hundred are."""
    [first] = act.run(ledger.pause("bulk", "one"))
    act.pass_time(10_000)
    [second] = act.run(ledger.pause("bulk", "two"))
    assert first.since is not None
    assert second == Pause("bulk", first.since - 10_000, "two")
    for _ in range(120):
        act.run(ledger.pause("bulk", "three"))
        act.run(ledger.pause("bulk", ""))
        act.run(ledger.pause("bulk", ""))
    assert act.client.llen("smsq:pause:past") == 100


def test_f05_a_pause_that_is_something_else_is_set_aside(act: Actor) -> None:
    """A key of another type doesn't keep operators from acting."""
    act.client.set(keys.PAUSE, "x")
    [pause] = act.run(ledger.pause("all", "maintenance"))
    assert (pause.lane, pause.reason) == ("all", "maintenance")
    assert act.client.get(f"smsq:aside:{keys.PAUSE}") == "x"


def test_a_pause_that_a_foreign_hand_wrote_is_read() -> None:
    """Its whole text is the reason, then."""
    assert Pause.read("all", "stop it") == Pause("all", None, "stop it")
    assert Pause.read("all", "12 stop it") == Pause("all", 12, "stop it")


# -- what is seen


def test_the_overview_counts_by_state(act: Actor) -> None:
    """Lanes with their oldest job, `due` by state, gates with their reasons, and the workers."""
    for state in (State.SENDING, State.RETRYING, State.SCHEDULED, State.FAILED, State.UNKNOWN, State.SENT):
        act.in_state(state)
    act.lose(act.enqueue())
    reserved = act.enqueue()
    act.take()
    act.enqueue(batch_id="b")
    act.pass_time(LEASE)
    act.enqueue()
    act.run(ledger.pause("bulk", "maintenance"))
    act.run(ledger.hear(Heard("account", "code 8"), "w"))
    act.run(ledger.hear(Heard("slow", "code 30", 1000), "w"))
    act.client.hset(keys.CIRCUIT, mapping={"since": 5, "reason": "down", "probe_at": 9})
    act.run(ledger.take_due(Look(0, 0, 1, "n", "w", '{"slots":7}'), POLICY))
    found = act.run(ledger.overview())
    states = {"sending": 1, "retrying": 1, "scheduled": 1, "asking": 1, "reserved": 1}
    assert found["due"] == {"entries": 5, "come": 3, "looked": 5, "states": states}
    waiting = found["lanes"]["normal"]
    assert (waiting["waiting"], waiting["batches"]) == (2, 2)
    assert found["now"] - waiting["oldest"] >= LEASE
    assert found["lanes"]["bulk"] == {"waiting": 0, "batches": 0}
    assert (found["ended"], found["parked"]) == ({"failed": 1, "unknown": 1}, 0)
    assert found["pauses"]["bulk"].endswith(" maintenance")
    assert found["circuit"] == {"since": "5", "reason": "down", "probe_at": "9"}
    assert found["pace"]["reason"] == "code 30"
    assert found["workers"]["w"]["said"].endswith(' {"slots":7}')
    assert found["workers"]["w"]["gate"]["reason"] == "code 8"
    assert act.lookup(reserved).state is State.QUEUED


@pytest.mark.parametrize(
    "key",
    [keys.DUE, keys.PAUSE, keys.PARKED, keys.WORKERS, keys.PACE, keys.CIRCUIT, keys.worker_gate("w"),
     keys.ring("normal"), keys.waiting("normal", ""), "sms.normal", keys.ended("failed")],
)  # fmt: skip
def test_f05_the_overview_shows_the_rest(act: Actor, key: str) -> None:
    """A key that a foreign hand has made something else of hides nothing but itself."""
    act.enqueue()
    act.enqueue(lane="bulk")
    act.run(ledger.take_due(Look(0, 0, 1, "n", "w"), POLICY))
    act.client.set(key, "x")
    found = act.run(ledger.overview())
    assert found["lanes"]["bulk"]["waiting"] == 1


def pages(act: Actor, state: "EndedState", *, count: int = 2, older: int = 0, newer: int | None = None) -> list[str]:
    """Reads all pages of a list; returns its job ids."""
    ids: list[str] = []
    after: tuple[str, str] | None = None
    while True:
        page = act.run(ledger.ended(state, older=older, newer=newer, count=count, after=after))
        assert len(page.jobs) <= count
        ids += [job.id for job in page.jobs]
        if (after := page.after) is None:
            return ids


def test_ended_jobs_come_in_pages(act: Actor) -> None:
    """Each once, those that ended last first: also of the same millisecond, or by a clock that was ahead."""
    ids = [act.in_state(State.FAILED) for _ in range(7)]
    act.in_state(State.UNKNOWN)
    act.client.zadd(keys.ended("failed"), dict.fromkeys(ids[2:6], 5_000_000_000_000), xx=True)
    act.client.zadd(keys.ended("failed"), {ids[6]: 6_000_000_000_000}, xx=True)
    assert pages(act, "failed", count=100) == [ids[6], *sorted(ids[2:6], reverse=True), ids[1], ids[0]]
    assert pages(act, "failed") == pages(act, "failed", count=100)
    assert pages(act, "failed", count=7) == pages(act, "failed", count=100)


def test_ended_jobs_by_age(act: Actor) -> None:
    """Older than, newer than, and both."""
    ids = []
    for _ in range(4):
        ids.append(act.in_state(State.UNKNOWN))
        act.pass_time(10_000)
    assert pages(act, "unknown", older=15_000) == [ids[2], ids[1], ids[0]]
    assert pages(act, "unknown", newer=35_000) == [ids[3], ids[2], ids[1]]
    assert pages(act, "unknown", older=15_000, newer=35_000) == [ids[2], ids[1]]
    assert pages(act, "unknown", older=50_000) == []


def test_a_page_goes_on_where_its_last_job_has_left(act: Actor) -> None:
    """Another operator's retry costs no job its place."""
    ids = [act.in_state(State.FAILED) for _ in range(4)]
    act.client.zadd(keys.ended("failed"), {job_id: 5000 - n for n, job_id in enumerate(ids)}, xx=True)
    page = act.run(ledger.ended("failed", older=0, newer=None, count=2, after=None))
    assert [job.id for job in page.jobs] == ids[:2]
    assert act.run(ledger.retry([ids[1]], "failed", "n")) == ["queued"]
    page = act.run(ledger.ended("failed", older=0, newer=None, count=2, after=page.after))
    assert [job.id for job in page.jobs] == ids[2:]


def test_entries_without_a_record_are_not_shown(act: Actor) -> None:
    """The list is cleared when the next job ends; until then it may name jobs that are older than the retention."""
    gone, broken, there = (act.in_state(State.FAILED) for _ in range(3))
    act.client.delete(keys.job(gone))
    act.client.delete(keys.job(broken))
    act.client.set(keys.job(broken), "x")
    page = act.run(ledger.ended("failed", older=0, newer=None, count=10, after=None))
    assert {job.id: job.error for job in page.jobs} == {
        broken: JobError("malformed record"),
        there: JobError("a reason", 1, {"recipient": "a sentence"}),
    }


def test_parked_entries_are_listed_and_forgotten(act: Actor) -> None:
    """With a record that can't be used, and its entry in `due`; its key ages, so that it can be used anew."""
    job_id = act.in_state(State.RETRYING, batch_id="b", key="k")
    act.client.hset(keys.job(job_id), "at", "abc")
    act.pass_time(2 * DAY)
    assert act.take_due().events == [(job_id, "parked")]
    act.client.zadd(keys.DUE, {job_id: 1})
    assert act.run(ledger.parked("0", 10)) == ([(job_id, "malformed")], "0")
    assert act.run(ledger.forget(job_id, retention=RETENTION))
    taken = act.look()
    assert (taken.jobs, taken.due, taken.ended["failed"]) == ({}, {}, set())
    assert (taken.batches["b"]["retrying"], taken.batches["b"]["failed"]) == (0, 1)
    assert taken.ttl[keys.idempotency("k")] > 0
    assert act.run(ledger.sweep("0", 1000)).events == []
    assert not act.run(ledger.forget(job_id, retention=RETENTION))


@pytest.mark.parametrize("state", [State.QUEUED, State.SENT])
def test_a_usable_record_outlives_its_being_forgotten(act: Actor, state: State) -> None:
    """Only the note goes."""
    job_id = act.in_state(state)
    act.client.hset(keys.PARKED, job_id, "its workers died")
    before = act.look()
    assert act.run(ledger.forget(job_id, retention=RETENTION))
    assert same_but_for(before, act.look())
    assert not act.client.exists(keys.PARKED)


def test_a_record_of_another_type_is_forgotten(act: Actor) -> None:
    """It goes, whatever it is."""
    job_id = act.new_id()
    act.client.set(keys.job(job_id), "x")
    act.client.hset(keys.PARKED, job_id, "malformed")
    act.client.zadd(keys.DUE, {job_id: 1})
    assert act.run(ledger.forget(job_id, retention=RETENTION))
    assert not act.client.exists(keys.job(job_id), keys.DUE)


def test_a_repeat_has_forgotten_it_too(act: Actor) -> None:
    """A runner whose connection broke sends it again, and says that it does (`TRIED`)."""
    act.client.hset(keys.PARKED, "x", "a reason")
    assert act.run(ledger.forget("x", retention=RETENTION))
    first, again = (act.client.eval(script("forget").text, 0, act.epoch, tried, "x", RETENTION) for tried in (0, 1))
    assert (first[-1], again[-1]) == (0, 1)


@pytest.mark.parametrize("state", list(State))
def test_a_story_holds_no_personal_data(act: Actor, state: State) -> None:
    """Neither number nor text nor token nor key."""
    job_id = act.in_state(state, key="k")
    found = act.run(ledger.story(job_id))
    assert found is not None
    assert found.job == act.lookup(job_id)
    assert not {"recipient", "token", "key", "m0", "m1", "twin"} & set(found.record)
    assert "77010000001" not in str(found.record)
    assert act.run(ledger.story(act.new_id())) is None


def test_the_story_of_a_job_of_a_cancelled_batch(act: Actor) -> None:
    """It has ended, though nobody has written it yet, as a lookup says."""
    job_id = act.enqueue(batch_id="b")
    act.run(ledger.cancel_batch("b"))
    found = act.run(ledger.story(job_id))
    assert found is not None
    assert found.job == act.lookup(job_id)
    assert found.job.state is State.CANCELLED


def test_f05_the_story_of_a_damaged_record(act: Actor) -> None:
    """It reads as the lookup does."""
    job_id = act.enqueue()
    act.client.delete(keys.job(job_id))
    act.client.set(keys.job(job_id), "x")
    found = act.run(ledger.story(job_id))
    assert found is not None
    assert (found.job.state, found.job.error) == (State.FAILED, JobError("malformed record"))


@pytest.mark.parametrize(
    ("said", "stays"), [('{"pid":7}', False), ('{"pid":8}', True), ("{}", True), ("[]", True), ("{", True)]
)
def test_a_worker_that_leaves_takes_only_its_own_word_along(act: Actor, said: str, stays: bool) -> None:
    """Another process may have the name by now; what a foreign hand wrote there is the sweep's."""
    act.client.hset(keys.WORKERS, mapping={"w": f"{act.look().now} {said}", "x": "1 {}"})
    assert act.run(ledger.leave("w", 7)) is not stays
    assert act.client.hexists(keys.WORKERS, "w") is stays
    assert act.client.hexists(keys.WORKERS, "x")
    assert act.run(ledger.leave("nobody", 7)) is True


def test_workers_that_nobody_hears_of_are_forgotten(act: Actor) -> None:
    """Containers have another name at each start: a round of the sweep begins with those a day old."""
    now = act.look().now
    act.client.hset(keys.WORKERS, "old", f"{now - DAY - 1000} {{}}")
    act.client.hset(keys.WORKERS, "young", f"{now - DAY + 100_000} {{}}")
    act.client.hset(keys.WORKERS, "broken", "{}")
    act.run(ledger.sweep("0", 1000))
    assert act.client.hkeys(keys.WORKERS) == ["young"]


def test_the_sweep_finds_a_purged_lane_whole(act: Actor) -> None:
    """One step brings all of them back, in whatever lists they were, each once; what is on its list stays there."""
    purged = [act.enqueue() for _ in range(30)] + [act.enqueue(lane="bulk", batch_id="b") for _ in range(30)]
    act.client.delete(keys.waiting("normal", ""), keys.ring("normal"), keys.waiting("bulk", "b"), keys.ring("bulk"))
    younger = act.enqueue()
    events = act.run(ledger.sweep("0", 10_000)).events
    assert sorted(events) == sorted((job_id, "repaired") for job_id in purged)
    assert act.run(ledger.sweep("0", 10_000)).events == []
    assert set(act.take(100)) == {*purged, younger}
