"""`smsq failed`, `unknown`, `pause`, `resume`, `queues` and `parked`: what they show and do, and their exit codes."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from smsq import Job, Sms, SmsQueue, State, keys
from smsq.job import JobError
from tests.cli.conftest import NUMBER, TEXT, Command, Ended
from tests.cli.stand_in import StandIn

if TYPE_CHECKING:
    import redis

SMS = Sms(recipient=NUMBER, text=TEXT)


def results(ended: Ended) -> list[dict[str, Any]]:
    """The lines of JSON on standard output."""
    return [json.loads(line) for line in ended.out.splitlines()]


def ids(ended: Ended) -> list[str]:
    """The jobs that are listed, by the first word of each line."""
    return [line.split()[0] for line in ended.out.splitlines()]


def state_of(queue: SmsQueue, job_id: str) -> State:
    """The state that a job is in."""
    job = queue.lookup(job_id)
    assert job is not None
    return job.state


@pytest.fixture
def three(queue: SmsQueue, stand_in: StandIn, client: "redis.Redis") -> list[str]:
    """Three failed jobs, the first of a batch; newest first, none in the same millisecond as another."""
    queue.enqueue(SMS, batch_id="autumn")
    found = [stand_in.refuse(State.FAILED, JobError("no money", 5))]
    for reason in ("Bad sender", "bad text"):
        queue.enqueue(SMS)
        found.append(stand_in.refuse(State.FAILED, JobError(reason, 1)))
    for place, job_id in enumerate(found):
        client.zincrby("smsq:ended:failed", place, job_id)
    return found[::-1]


# -- failed and unknown


def test_failed_jobs_are_listed(smsq: Command, queue: SmsQueue, three: list[str]) -> None:
    """A line each, newest first, with the reason; as JSON the job as every command shows it."""
    listed, as_json = smsq.each([("failed",), ("failed", "--json")])
    assert (listed.code, listed.err, ids(listed)) == (0, "", three)
    assert listed.out.splitlines()[2].endswith("  1 attempt  batch autumn  code 5: no money")
    expected = [queue.lookup(job_id) for job_id in three]
    assert results(as_json) == [job.as_dict() for job in expected if job]


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_each_list_has_its_own(smsq: Command, queue: SmsQueue, stand_in: StandIn, state: State) -> None:
    """What failed isn't among what is unknown, nor the other way round."""
    queue.enqueue(SMS)
    job_id = stand_in.refuse(state, JobError("a reason"))
    failed, unknown = smsq.each([("failed",), ("unknown",)])
    assert (ids(failed), ids(unknown)) == (([job_id], []) if state is State.FAILED else ([], [job_id]))
    assert (failed.code, unknown.code, failed.err + unknown.err) == (0, 0, "")


def test_lists_are_filtered(smsq: Command, three: list[str]) -> None:
    """By a part of the reason or the code, by batch, by age, by all of them; and cut by a limit."""
    expected = {
        ("--reason", "bad"): three[:2],
        ("--reason", "CODE 5"): three[2:],
        ("--batch", "autumn"): three[2:],
        ("--batch", "autumn", "--reason", "bad"): [],
        ("--newer-than", "2h"): three,
        ("--older-than", "90s"): [],
        ("--older-than", "0", "--limit", "2"): three[:2],
        ("--limit", "2"): three[:2],
        ("--all",): three,
    }
    for (given, found), ended in zip(expected.items(), smsq.each(("failed", *each) for each in expected), strict=True):
        assert (ended.code, ended.err, ids(ended)) == (0, "", found), given


def test_a_long_list_says_that_it_is_cut(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """A hundred are shown if nothing else is said, and a note that there are more; an action takes all."""
    newest_first: list[str] = []
    for _ in queue.enqueue_many([SMS] * 501):
        newest_first.insert(0, stand_in.refuse(State.FAILED, JobError("a reason")))
    cut, whole, retried = smsq.each([("failed",), ("failed", "--limit", "501"), ("failed", "--all", "--retry")])
    assert (len(ids(cut)), cut.errors) == (100, ["note: there are more than 100; --limit shows as many as it says"])
    assert (whole.err, sorted(ids(whole)), ids(whole)[:100]) == ("", sorted(newest_first), ids(cut))
    assert (retried.code, retried.err, ids(retried)) == (0, "", ids(whole))
    assert smsq("failed").out == ""


def test_retry_what_a_filter_finds(smsq: Command, queue: SmsQueue, three: list[str]) -> None:
    """Those that it finds are on their lane again, with their attempts; the others stay."""
    ended = smsq("failed", "--reason", "bad", "--retry", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert results(ended) == [{"id": job_id, "retried": True, "became": "queued"} for job_id in three[:2]]
    assert [state_of(queue, job_id) for job_id in three] == [State.QUEUED, State.QUEUED, State.FAILED]
    ended = smsq("failed", "--all", "--retry")
    assert (ended.code, ended.err, ended.out) == (0, "", f"{three[2]}  is on its lane again\n")
    assert smsq("failed", "--all", "--retry") == Ended(0, "", "")
    batch = queue.batch("autumn")
    assert batch is not None
    assert (batch.counts[State.QUEUED], batch.counts[State.FAILED]) == (1, 0)


def test_retry_at_most(smsq: Command, queue: SmsQueue, three: list[str]) -> None:
    """A limit holds for an action too, and those that ended last come first."""
    assert ids(smsq("failed", "--all", "--retry", "--limit", "1")) == three[:1]
    assert [state_of(queue, job_id) for job_id in three] == [State.QUEUED, State.FAILED, State.FAILED]


def test_retry_one(smsq: Command, queue: SmsQueue, stand_in: StandIn, three: list[str]) -> None:
    """A job that is named is retried alone, once, and sent."""
    ended = smsq("failed", three[1], "--retry")
    assert (ended.code, ended.err, ids(ended)) == (0, "", [three[1]])
    assert [state_of(queue, job_id) for job_id in three] == [State.FAILED, State.QUEUED, State.FAILED]
    again = smsq("failed", three[1], "--retry", "--json")
    assert (again.code, again.errors) == (1, ["1 job was left alone: it is in another state by now"])
    assert again.result == {"id": three[1], "retried": False, "became": "other"}
    assert stand_in.send(501, 601, 1) == three[1]
    job = queue.lookup(three[1])
    assert job is not None
    assert (job.state, job.attempts) == (State.SENT, 2)


def test_what_is_not_retried_is_said(smsq: Command, queue: SmsQueue, client: "redis.Redis", three: list[str]) -> None:
    """Jobs whose time is over, whose batch was cancelled, that aren't known: counted, each with why; the rest goes."""
    client.hset(keys.job(three[0]), "expires", 1)
    queue.cancel(batch_id="autumn")
    ended = smsq("failed", "--all", "--retry")
    assert (ended.code, ids(ended)) == (1, [three[1]])
    assert ended.errors == [
        "1 job was left alone: its time is over (expires_in)",
        "1 job was left alone: its batch was cancelled",
    ]
    unknown = smsq("failed", "nosuchjob", "--retry")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.errors == [
        "1 job was left alone: it isn't known: it never was, or is older than SMSQ_RETENTION_DAYS"
    ]


def test_a_job_in_doubt_is_asked_about_first(
    smsq: Command, queue: SmsQueue, client: "redis.Redis", three: list[str]
) -> None:
    """Rule 18: Redis may have forgotten a call, and no operator's word changes that."""
    client.hset(keys.job(three[0]), "epoch", 1)
    ended = smsq("failed", three[0], "--retry")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{three[0]}  is asked about first: Redis may have forgotten a call\n"
    assert state_of(queue, three[0]) is State.SENDING


def test_one_job_of_a_list(smsq: Command, queue: SmsQueue, three: list[str]) -> None:
    """It is shown, unless it is in another state, or isn't known."""
    waiting = queue.enqueue(SMS)
    shown, other, missing = smsq.each([("failed", three[0]), ("unknown", waiting.id), ("failed", "nosuchjob")])
    assert (shown.code, shown.rows["error"]) == (0, "code 1: bad text")
    assert (other.code, other.out, other.errors) == (1, "", ["the job isn't unknown: queued"])
    assert (missing.code, missing.out) == (1, "")


def an_unknown_job(queue: SmsQueue, stand_in: StandIn) -> Job:
    """A job that the gateway may have."""
    job = queue.enqueue(SMS, batch_id="spring")
    stand_in.refuse(State.UNKNOWN, JobError("no answer"))
    return job


def test_mark_sent(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """An unknown job that a person has found at the gateway is sent, under these ids, for everyone who looks."""
    job = an_unknown_job(queue, stand_in)
    ended = smsq("unknown", job.id, "--mark-sent", "501", "--campaign-id", "601")
    assert (ended.code, ended.err) == (0, "")
    assert (ended.rows["state"], ended.rows["messageId"], ended.rows["campaignId"]) == ("sent", "501", "601")
    assert smsq("unknown", job.id, "--mark-sent=501", "--campaign-id=601") == ended
    found = queue.lookup(message_id=501)
    assert found is not None
    assert (found.id, found.state, found.error) == (job.id, State.SENT, None)
    assert smsq("unknown").out == ""


def test_mark_sent_refused(smsq: Command, queue: SmsQueue, stand_in: StandIn, three: list[str]) -> None:
    """Rule 11: not with a message that another job owns; and only what is unknown."""
    owner = queue.enqueue(SMS)
    stand_in.send(501, 601, 1)
    job = an_unknown_job(queue, stand_in)
    marks = ("--mark-sent", "501", "--campaign-id", "601")
    owned, failed, missing = smsq.each(("unknown", each, *marks) for each in (job.id, three[0], "nosuchjob"))
    assert (owned.code, owned.out, owned.errors) == (
        1,
        "",
        [f"the job was left alone: the message is job {owner.id}'s"],
    )
    assert (failed.code, failed.out, failed.errors) == (1, "", ["the job was left alone: it is failed"])
    assert (missing.code, missing.out) == (1, "")
    assert missing.errors == ["the job isn't known: it never was, or is older than SMSQ_RETENTION_DAYS"]
    assert [state_of(queue, each) for each in (job.id, three[0])] == [State.UNKNOWN, State.FAILED]


def test_unknown_jobs_are_retried(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """A person's word that it may be sent again is enough, and is called again; cancelling it isn't "uncalled"."""
    job = an_unknown_job(queue, stand_in)
    assert ids(smsq("unknown", "--batch", "spring", "--retry")) == [job.id]
    assert state_of(queue, job.id) is State.QUEUED
    assert not queue.cancel(job.id)


# -- pause and resume


def test_pause_and_resume(smsq: Command, queue: SmsQueue) -> None:
    """A paused lane is shown as such, with the reason, until it is resumed; numbers in the reason are masked."""
    ended = smsq("pause", "bulk", "--reason", f"wrong price, ask {NUMBER}")
    assert (ended.code, ended.out, ended.err) == (0, "bulk is paused: wrong price, ask [number]\n", "")
    queues = smsq("queues", "--json").result
    assert queues["lanes"]["bulk"]["paused"] == "wrong price, ask [number]"
    assert queues["lanes"]["urgent"]["paused"] is None
    assert queues["paused"] is None
    assert list(queues["pauses"]) == ["bulk"]
    ended = smsq("resume", "bulk")
    assert (ended.code, ended.out, ended.err) == (0, "bulk is resumed\n", "")
    assert smsq("queues", "--json").result["pauses"] == {}
    assert smsq("resume", "bulk", "--json").result == {"lane": "bulk", "paused": None}


def test_a_pause_of_all(smsq: Command) -> None:
    """It is the queue's; what each lane is paused for besides outlives it, and is said."""
    bulk, everything, part, rest = smsq.each(
        [
            ("pause", "bulk", "--reason", "one"),
            ("pause", "--all", "--reason", "two", "--json"),
            ("resume", "bulk"),
            ("resume", "--all"),
        ]
    )
    assert bulk.code == everything.code == 0
    assert everything.result == {"lane": "all", "paused": "two"}
    assert (part.code, part.errors) == (0, ["note: all lanes are still paused: two"])
    assert part.out == "the pause of bulk is over\n"
    assert (rest.code, rest.out, rest.err) == (0, "all lanes are resumed\n", "")
    smsq("pause", "bulk", "--reason", "one")
    only = smsq("resume", "--all")
    assert (only.out, only.errors) == ("the pause of all lanes together is over\n", ["note: bulk is still paused: one"])
    smsq("pause", "--all", "--reason", "two")
    assert smsq("queues").rows["paused"] == "operators: two"
    assert smsq("resume", "--all").errors == ["note: bulk is still paused: one"]


# -- queues


def test_queues(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """Lanes with their oldest job, what is due, what has ended: as rows and as one line of JSON."""
    assert len(list(queue.enqueue_many([SMS] * 3, lane="bulk", batch_id="autumn"))) == 3
    job = queue.enqueue(SMS, lane="urgent")
    stand_in.begin()
    shown, as_json = smsq.each([("queues",), ("queues", "--json")])
    assert (shown.code, shown.err, as_json.code) == (0, "", 0)
    assert [line.split()[:3] for line in shown.out.splitlines()[:4]] == [
        ["lane", "waiting", "batches"], ["urgent", "0", "0"], ["normal", "0", "0"], ["bulk", "3", "1"],
    ]  # fmt: skip
    assert shown.rows["due"] == "1, 0 of them overdue: 1 sending"
    assert shown.rows["workers"] == "0 live"
    result = as_json.result
    assert result["lanes"]["bulk"]["waiting"] == 3
    assert result["lanes"]["bulk"]["oldestAt"] <= job.accepted_at.isoformat(timespec="milliseconds")
    assert result["due"] == {"total": 1, "overdue": 0, "looked": 1, "states": {"sending": 1}}
    assert (result["failed"], result["unknown"], result["parked"], result["workers"]) == (0, 0, 0, [])


def test_what_was_counted_in_queues(smsq: Command, client: "redis.Redis") -> None:
    """What was dropped from lanes, or put back, is shown once there is any."""
    client.hset(keys.COUNTERS, mapping={"repaired": 2, "dropped_stale": 1, "x": "y"})
    shown, as_json = smsq.each([("queues",), ("queues", "--json")])
    assert shown.rows["counted"] == "1 dropped_stale, 2 repaired"
    assert as_json.result["counters"] == {"dropped_stale": 1, "repaired": 2}


def test_gates_and_workers_in_queues(smsq: Command, client: "redis.Redis") -> None:
    """A closed gate has its reason; when every live worker's is closed, the queue is paused; the dead don't count."""
    now = client.time()[0] * 1000
    said = json.dumps({"slots": 100, "in_use": 3, "reserved": 1, "lanes": ["urgent"], "name": "x", "stalled": 40.0})
    client.hset(keys.WORKERS, mapping={"a@here": f"{now} {said}", "b@here": f"{now - 60_000} {said}", "c@here": "x"})
    open_ = smsq("queues", "--json").result
    assert open_["paused"] is None
    assert [(each["name"], each["live"]) for each in open_["workers"]] == [("a@here", True), ("b@here", False)]
    assert open_["inFlight"] == 3
    client.hset(keys.worker_gate("a@here"), mapping={"since": now, "reason": "code 8: key", "probe_at": now + 5000})
    closed, shown = smsq.each([("queues", "--json"), ("queues",)])
    assert closed.result["paused"] == "the account of every live worker is refused: code 8: key"
    assert shown.rows["workers"] == "1 live"
    [live, dead] = [line for line in shown.out.splitlines() if "@here" in line]
    assert live.split("  ")[1:5] == [
        "a@here", "3 of 100 calls, 1 reserved", "urgent", "has done nothing for 40 s though it should",
    ]  # fmt: skip
    assert "  its account is refused, closed for " in live
    assert dead.startswith("  b@here  not heard of for 1")
    client.hset(keys.CIRCUIT, mapping={"failures": 20, "since": now, "reason": "timeout", "probe_at": now + 5000})
    later = now + 60_000
    client.hset(keys.PACE, mapping={"hold": 0, "factor": 2, "factor_until": later, "reason": "code 30"})
    result = smsq("queues", "--json").result
    assert result["paused"] == "the gateway fails: timeout"
    assert result["circuit"]["reason"] == "timeout"
    assert (result["pace"]["slowerBy"], result["pace"]["reason"]) == (2.0, "code 30")
    assert smsq("queues").rows["circuit"].startswith("closed for ")


# -- parked


def test_parked(smsq: Command, client: "redis.Redis") -> None:
    """What was put aside is listed with its reason, and forgotten on demand."""
    client.hset(keys.PARKED, mapping={"a": "malformed", "message 12": "5 bytes on sms.bulk"})
    listed, as_json, cut = smsq.each([("parked",), ("parked", "--json"), ("parked", "--limit", "1")])
    assert (listed.code, listed.err) == (0, "")
    assert sorted(listed.out.splitlines()) == ["a  malformed", "message 12  5 bytes on sms.bulk"]
    assert {"id": "a", "reason": "malformed"} in results(as_json)
    assert (len(ids(cut)), cut.errors) == (1, ["note: there are more than 1; --limit shows as many as it says"])
    assert smsq("parked", "--forget", "message 12") == Ended(0, "forgotten\n", "")
    assert smsq("parked", "--forget", "a", "--json").result == {"id": "a", "forgotten": True}
    assert smsq("parked") == Ended(0, "", "")
    assert smsq("parked", "--forget", "a") == Ended(1, "", "nothing was put aside under this id\n")


# -- what foreign hands wrote


def test_values_that_foreign_hands_wrote_are_shown_or_left_out(
    smsq: Command, queue: SmsQueue, client: "redis.Redis"
) -> None:
    """No command ends in a traceback by them."""
    job = queue.enqueue(SMS)
    client.hset(keys.WORKERS, "w2", "inf {}")
    client.hset(keys.PAUSE, "bulk", "9" * 30 + " for ever")
    client.hset(keys.PACE, mapping={"hold": "1e400", "factor": "slow", "factor_until": str(2**53)})
    client.hset(keys.job(job.id), "log", "999999999999999 retrying x\n99999999999999 retrying y")
    client.hset(keys.job(job.id), "error", json.dumps({"reason": "x", "fields": [1]}))
    looks = [("queues",), ("queues", "--json"), ("why", job.id), ("why", job.id, "--json"), ("status", job.id)]
    for ended in smsq.each(looks):
        assert (ended.code, ended.err) == (0, ""), ended
    client.hset(keys.job(job.id), "attempts", "9" * 20)
    (broken,) = smsq.each([("status", job.id)])
    assert "malformed record" in broken.out


def test_a_number_in_a_reason_is_masked_however_it_is_written(smsq: Command) -> None:
    """It is shown to everyone who looks at the queues."""
    (paused,) = smsq.each([("pause", "bulk", "--reason", "call +7 701 000 00 01 until 2026-12-01 10:00")])
    assert paused.out == "bulk is paused: call [number] until 2026-12-01 10:00\n"


def test_resuming_a_lane_that_is_held_with_all_says_so(smsq: Command) -> None:
    """JSON too tells what holds it."""
    smsq.each([("pause", "--all", "--reason", "stop"), ("pause", "urgent", "--reason", "this too")])
    (resumed,) = smsq.each([("resume", "urgent", "--json")])
    assert results(resumed) == [{"lane": "urgent", "paused": "stop"}]
