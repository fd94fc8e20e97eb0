"""What `smsq why` tells: a job's life of its record and its lines, bounded, and what it waits for."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from smsq import keys, ledger
from smsq.job import JobError
from smsq.ledger import Heard, Look, Settlement
from smsq.operate import Operator, Timeline
from smsq.settings import Settings
from smsq.states import State
from tests.ledger.actor import IDS, LEASE, NONCE, POLICY, Actor, outcome, told
from tests.support.server import Server

LOST = JobError("no answer", 999)


@pytest.fixture
def operator(server: Server) -> Iterator[Operator]:
    """An operator of the shared server's ledger."""
    made = Operator(Settings.load(redis_url=server.url))
    yield made
    made.close()


def why(operator: Operator, job_id: str) -> Timeline:
    """A job's timeline, with what holds for each: in order, its JSON is JSON, and no number or text is in it."""
    found = operator.why(job_id)
    assert found is not None
    assert [each.at for each in found.events] == sorted(each.at for each in found.events)
    shown = json.dumps([each.as_dict() for each in found.events], ensure_ascii=False) + str(found.waits_for)
    assert "77010000001" not in shown
    assert "Қазақстан" not in shown
    return found


def told_of(timeline: Timeline) -> list[str]:
    """What happened, a line each."""
    return [f"{each.name}: {each.detail}" if each.detail else each.name for each in timeline.events]


def send(act: Actor, job_id: str, nonce: str, **given: object) -> None:
    """Has a waiting job sent."""
    act.start(job_id, nonce)
    assert act.settle(replace(outcome(job_id, State.SENT, token=nonce), **given)) == "settled"  # type: ignore[arg-type] # as given


# -- what happened


def test_a_job_that_was_sent_at_once(act: Actor, operator: Operator) -> None:
    """Accepted, its one attempt with its duration, its ids; all of it of fields that every job has."""
    job_id = act.enqueue(batch_id="b")
    send(act, job_id, NONCE, took=431)
    timeline = why(operator, job_id)
    assert told_of(timeline) == [
        "accepted: lane normal, batch b", "attempt: sent", f"sent: messageId {IDS[0]}, campaignId {IDS[1]}",
    ]  # fmt: skip
    attempt = timeline.events[1]
    assert (attempt.calls, attempt.took, attempt.waited_for) == (1, 431, "its turn")
    assert timeline.waits_for is None
    assert "log" not in act.look().jobs[job_id]


def test_each_attempt_has_its_outcome_and_duration(act: Actor, operator: Operator) -> None:
    """Several calls in place are one attempt; what the gateway said comes with its code."""
    job_id = act.enqueue()
    act.start(job_id)
    retried = Settlement(job_id, NONCE, State.RETRYING, 3, took=5400, error=JobError("in trouble", 3), delay=1000)
    assert act.settle(retried) == "settled"
    act.pass_time(10_000)
    act.take_due()
    send(act, job_id, "second", took=210, calls=2)
    timeline = why(operator, job_id)
    assert told_of(timeline)[1:3] == ["attempt: retrying: code 3: in trouble", "attempt: sent"]
    first, second = timeline.events[1:3]
    assert (first.calls, first.took) == (3, 5400)
    assert (second.calls, second.took, second.waited_for) == (2, 210, "its next try")
    assert second.waited is not None
    assert second.waited >= 9_000


def test_what_the_gateway_was_asked_and_answered(act: Actor, operator: Operator) -> None:
    """A lost answer, each question with its answer, and what they came to."""
    job_id = act.enqueue()
    act.start(job_id)
    assert act.settle(Settlement(job_id, NONCE, State.SENDING, 1, took=30_000, error=LOST)) == "settled"
    assert act.question(job_id) is not None
    assert act.answer(replace(told(job_id, "cant_tell"), reason="HTTP 502")) == "later"
    assert act.question(job_id) is not None
    assert act.answer(told(job_id, "found")) == "sent"
    assert told_of(why(operator, job_id))[1:] == [
        "attempt: unsettled: code 999: no answer",
        "asked: HTTP 502",
        "found: the gateway has it",
        f"sent: messageId {IDS[0]}, campaignId {IDS[1]}",
    ]


def test_a_lost_worker(act: Actor, operator: Operator) -> None:
    """The call that was lost, that the gateway surely doesn't have it, and the attempt after it with its own call."""
    job_id = act.enqueue()
    act.start(job_id)
    act.pass_time(LEASE)
    act.take_due()
    assert act.surely_absent(job_id) == "again"
    send(act, job_id, "second")
    timeline = why(operator, job_id)
    assert told_of(timeline)[1:-1] == [
        "lost: the worker was lost during the call",
        "asked: not found",
        "asked: not found",
        "absent: the gateway surely doesn't have it",
        "attempt: sent",
    ]
    assert timeline.events[-2].calls == 1


def test_a_late_answer_of_a_lost_worker(act: Actor, operator: Operator) -> None:
    """Whose call it was is known, not how many."""
    job_id = act.enqueue()
    act.start(job_id)
    act.pass_time(LEASE)
    act.take_due()
    assert act.settle(outcome(job_id, State.SENT)) == "settled"
    timeline = why(operator, job_id)
    assert told_of(timeline)[1:3] == ["lost: the worker was lost during the call", "attempt: sent"]
    assert timeline.events[2].calls is None


def test_what_operators_did(act: Actor, operator: Operator) -> None:
    """A retry, and a mark, with what they met."""
    job_id = act.in_state(State.FAILED)
    assert list(operator.retry("failed", [job_id])) == [(job_id, "queued")]
    act.start(job_id, "second")
    assert act.settle(outcome(job_id, State.UNKNOWN, token="second")) == "settled"
    assert operator.mark_sent(job_id, message_id=77, campaign_id=88).word == "sent"
    assert told_of(why(operator, job_id))[1:] == [
        "attempt: failed: code 1: a reason",
        "retried: it was failed",
        "attempt: unknown: code 1: a reason",
        "marked: an operator found it at the gateway",
        "sent: messageId 77, campaignId 88",
    ]


@pytest.mark.parametrize("lane", ["normal", "all"])
def test_a_wait_for_operators(act: Actor, operator: Operator, lane: Literal["normal", "all"]) -> None:
    """A pause that is over is what an attempt had to wait for, and an expiry too; a pause of another lane isn't."""
    job_id, expiring = act.enqueue(), act.enqueue(expires_in=100)
    operator.pause("bulk", "another")
    operator.pause(lane, "wrong price")
    operator.resume("bulk")
    operator.resume(lane)
    send(act, job_id, NONCE)
    act.client.hset(keys.job(expiring), "expires", 1)
    assert act.begin(expiring, "second").word == "expired"
    expected = f"operators to resume {'all lanes' if lane == 'all' else lane} (wrong price)"
    assert why(operator, job_id).events[1].waited_for == expected
    assert [(each.name, each.waited_for) for each in why(operator, expiring).events[1:]] == [("expired", expected)]
    late = act.enqueue()
    send(act, late, "third", ids=(1, 2, 2))
    assert why(operator, late).events[1].waited_for == "its turn"


def test_a_deferral_that_came_due(act: Actor, operator: Operator) -> None:
    """Our schedule had it, without a call; the wait was for its moment."""
    job_id = act.enqueue()
    act.start(job_id)
    assert act.settle(Settlement(job_id, NONCE, State.SCHEDULED, 0, at=1)) == "settled"
    act.take_due()
    send(act, job_id, "second")
    timeline = why(operator, job_id)
    assert told_of(timeline)[1] == "scheduled: the gateway takes no moment that is so near"
    assert timeline.events[2].waited_for == "its moment"


def test_a_job_whose_moment_has_come(act: Actor, operator: Operator) -> None:
    """What it waited for until its `send_at` is told apart from the lane; before it there is no such event."""
    job_id = act.enqueue(delay=60_000)
    assert told_of(why(operator, job_id)) == ["accepted: lane normal"]
    act.pass_time(60_000)
    act.take_due()
    send(act, job_id, NONCE)
    due, attempt = why(operator, job_id).events[1:3]
    assert (due.name, due.waited_for) == ("due", "its moment")
    assert due.waited == due.at - why(operator, job_id).events[0].at
    assert (attempt.name, attempt.waited_for) == ("attempt", "its turn")


def test_a_long_life_is_bounded(act: Actor, operator: Operator) -> None:
    """How it began stays, and the last lines; what lies between goes."""
    job_id = act.lose(act.enqueue())
    for number in range(100):
        assert act.question(job_id) is not None
        assert act.answer(replace(told(job_id, "cant_tell"), reason=f"reason {number} " + "x" * 500)) == "later"
    shown = told_of(why(operator, job_id))
    assert len(shown) == 41
    assert shown[1].startswith("attempt: unsettled")
    assert shown[-1].startswith("asked: reason 99 ")
    assert max(map(len, shown)) < 150


def test_not_known(operator: Operator) -> None:
    """There is no timeline of a job that isn't there."""
    assert operator.why("nosuchjob") is None


# -- what it waits for


def test_what_a_job_in_due_waits_for(act: Actor, operator: Operator) -> None:
    """Its moment, its next try, the end of its call, an answer, the worker that took it: each with when."""
    found = {state: why(operator, act.in_state(state)) for state in (State.SCHEDULED, State.RETRYING, State.SENDING)}
    starts = {
        State.SCHEDULED: "its moment, 20", State.RETRYING: "its next try, 20", State.SENDING: "the end of its call; ",
    }  # fmt: skip
    assert all(str(found[state].waits_for).startswith(start) for state, start in starts.items())
    lost = act.lose(act.enqueue())
    assert str(why(operator, lost).waits_for).startswith("an answer of the gateway about its call; ")
    doubted = act.enqueue()
    act.new_epoch()
    act.take()
    assert act.begin(doubted).word == "asking"
    starts_with = "an answer of the gateway about a call that Redis may have forgotten; "
    assert str(why(operator, doubted).waits_for).startswith(starts_with)
    reserved = act.enqueue()
    act.take()
    assert str(why(operator, reserved).waits_for).startswith("the worker that took it to begin; ")


def test_what_holds_a_job_on_its_lane(act: Actor, operator: Operator) -> None:
    """A pause, a gateway that fails, accounts, too many calls, no worker, a doubt: all that there is."""
    job_id = act.enqueue(lane="bulk")
    assert why(operator, job_id).waits_for == "a worker: none that is live takes bulk jobs"
    heartbeat = json.dumps({"lanes": ["bulk"]})
    act.run(ledger.take_due(Look(0, 0, 1, "n", "w", heartbeat), POLICY))
    assert why(operator, job_id).waits_for == "its turn on the lane"
    act.run(ledger.hear(Heard("account", "code 8: key"), "w"))
    assert why(operator, job_id).waits_for == "the account to be accepted again (code 8: key)"
    act.run(ledger.take_due(Look(0, 0, 1, "n", "x", heartbeat), POLICY))
    assert why(operator, job_id).waits_for == "its turn on the lane"
    act.run(ledger.hear(Heard("slow", "code 30", 60_000), "w"))
    act.client.hset(keys.CIRCUIT, mapping={"since": 5, "reason": "timeout", "probe_at": 9})
    operator.pause("bulk", "wrong price")
    act.client.hset(keys.job(job_id), "epoch", 1)
    assert str(why(operator, job_id).waits_for).split("; ") == [
        "operators to resume bulk (wrong price)",
        "the gateway to be well again (timeout)",
        "the common pace (code 30)",
        "then the gateway is asked first: Redis may have forgotten a call",
    ]
    assert act.lookup(job_id).state is State.QUEUED


def test_f05_the_timeline_of_a_damaged_record(act: Actor, operator: Operator) -> None:
    """It says so, and nothing else."""
    job_id = act.enqueue()
    act.client.hset(keys.job(job_id), mapping={"at": "abc", "log": "x\n1\n2 asked\nnot a line"})
    timeline = operator.why(job_id)
    assert timeline is not None
    assert told_of(timeline)[1:] == ["asked", "failed: malformed record"]
