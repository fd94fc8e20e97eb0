"""Records that no enqueue of this version wrote: failed with a reason, or left alone; the worker goes on."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.job import RECORD_VERSION
from smsq.message import RULES_VERSION
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import at_rest, end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

JOB = "aaaaaaaaaaaaaaaaaaaa"
GOOD = {"recipient": ordinary(1), "text": "Код: 4711"}


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that looks often at what is due."""
    return standing(SMSQ_DISPATCH_INTERVAL="0.05")


def record(message: object, *, without: str = "", **fields: str) -> dict[str, str]:
    """A record of a waiting job, with some fields changed and one left out."""
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    written = {"v": str(RECORD_VERSION), "state": "queued", "lane": "normal", "at": str(int(time.time() * 1000))}
    written |= {"m0": text} | fields
    written.pop(without, None)
    return written


def put_on_lane(client: "redis.Redis", fields: Mapping[str, str] | None, job_id: str = JOB) -> None:
    """Writes a record of this epoch and puts its id on the lane, as a foreign hand would; None writes no record."""
    epoch = wait_until(lambda: client.hget("smsq:epoch", "number"), what="the ledger is in use")
    with client.pipeline() as pipeline:
        if fields:
            fields = {"epoch": str(epoch)} | dict(fields)
            pipeline.hset(keys.job(job_id), items=[part for field in fields.items() for part in field])
        pipeline.rpush(keys.waiting("normal", ""), job_id)
        pipeline.rpush(keys.ring("normal"), "")
        pipeline.rpush("sms.normal", "1")
        pipeline.rpush(keys.bell("normal"), "1")
        pipeline.execute()


def goes_on(queue: SmsQueue) -> bool:
    """Returns whether the worker sends the next job."""
    return end_of(queue, queue.enqueue(Sms(recipient=ordinary(2), text="next")).id).state is State.SENT


BROKEN_MESSAGES: dict[str, tuple[object, dict[str, str]]] = {
    "a number that can't exist": (GOOD | {"recipient": "87010000001"}, {"recipient": "trunk prefix"}),
    "an empty text": (GOOD | {"text": ""}, {"text": "empty"}),
    "no text": ({"recipient": ordinary(1)}, {"text": "is required"}),
    "no number": ({"text": "Код"}, {"recipient": "is required"}),
    "a number that isn't text": (GOOD | {"recipient": 77010000001}, {"recipient": ""}),
    "a parameter nobody knows": (GOOD | {"colour": "red"}, {"colour": "isn't a parameter"}),
    "a validity out of range": (GOOD | {"validity": 9}, {"validity": "60"}),
    "a deferral in words": (GOOD | {"deferredToTs": "tomorrow"}, {"deferredToTs": "Unix seconds"}),
    "several at once": ({"recipient": "1", "text": "", "mclass": 7}, {"recipient": "", "text": "", "mclass": ""}),
    "a list": ([1, 2, 3], {"sms": "isn't a JSON object"}),
    "no JSON": ("recipient=77010000001&text=hello", {"sms": "isn't a JSON object"}),
    "nothing": ("", {"sms": "isn't a JSON object"}),
}


@pytest.mark.parametrize("what", BROKEN_MESSAGES)
def test_a_message_that_breaks_a_rule_has_failed(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox, what: str
) -> None:
    """A job that an older version or a hand wrote is judged by the rules, told which, and not called."""
    message, problems = BROKEN_MESSAGES[what]
    put_on_lane(client, record(message))
    job = end_of(queue, JOB)
    assert (job.state, job.attempts) == (State.FAILED, 0)
    assert job.error
    assert job.error.reason == "the message breaks a rule"
    fields = dict(job.error.fields or {})
    assert fields.keys() == problems.keys()
    for name, words in problems.items():
        assert words in fields[name]
    assert goes_on(queue)
    assert not sandbox.called(ordinary(1))
    assert at_rest(client)


TRUSTED_BUT_BROKEN: dict[str, object] = {
    "a number that isn't text": GOOD | {"recipient": 77010000001},
    "a text that isn't text": GOOD | {"text": ["Код"]},
    "a deferral in words": GOOD | {"deferredToTs": "tomorrow"},
    "a parameter nobody knows": GOOD | {"colour": "red"},
    "no text": {"recipient": ordinary(1)},
    "no JSON": "{",
}


@pytest.mark.parametrize("what", TRUSTED_BUT_BROKEN)
def test_a_record_that_lies_about_its_rules_has_failed(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox, what: str
) -> None:
    """The record says that its message passed the rules; what can't be sent fails with a reason all the same."""
    put_on_lane(client, record(TRUSTED_BUT_BROKEN[what], rules=str(RULES_VERSION)))
    job = end_of(queue, JOB)
    assert job.state is State.FAILED
    assert job.error
    assert goes_on(queue)
    assert not sandbox.called(ordinary(1))


def test_a_crash_ends_the_job_at_once(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """What the code didn't expect, here a sender that is a number, isn't left to the lease; the worker goes on."""
    put_on_lane(client, record(GOOD | {"from": 5}, rules=str(RULES_VERSION)))
    job = end_of(queue, JOB, timeout=5)
    assert job.state in (State.FAILED, State.UNKNOWN)
    assert job.error
    assert goes_on(queue)
    assert not sandbox.called(ordinary(1))
    assert at_rest(client)


def test_a_record_of_older_rules_that_keeps_todays_is_sent(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """An older version's job, with its version's number and without that of the rules, goes out once."""
    put_on_lane(client, record(GOOD, v="0", colour="a field of the future or the past"))
    assert end_of(queue, JOB).state is State.SENT
    assert sandbox.counts()[ordinary(1)] == 1


BROKEN_RECORDS: dict[str, dict[str, str]] = {
    "no version": record(GOOD, without="v"),
    "a version in words": record(GOOD, v="one"),
    "no state": record(GOOD, without="state"),
    "a state nobody knows": record(GOOD, state="asleep"),
    "no lane": record(GOOD, without="lane"),
    "a lane nobody knows": record(GOOD, lane="vip"),
    "an expiry in words": record(GOOD, expires="soon"),
    "attempts in words": record(GOOD, attempts="many"),
    "a moment in words": record(GOOD, at="yesterday"),
    "a negative moment": record(GOOD, at="-5"),
    "one field": {"m0": json.dumps(GOOD)},
}


@pytest.mark.parametrize("what", BROKEN_RECORDS)
def test_a_record_that_can_not_be_used_has_failed(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox, what: str
) -> None:
    """It ends as a malformed record; nobody is called, and nothing of it stays on the lane."""
    put_on_lane(client, BROKEN_RECORDS[what])
    wait_until(lambda: client.hget(keys.job(JOB), "state") == "failed", what="the job has failed")
    job = queue.lookup(JOB)
    assert job
    assert job.state is State.FAILED
    assert job.error
    assert job.error.reason == "malformed record"
    assert goes_on(queue)
    assert not sandbox.called(ordinary(1))
    assert at_rest(client)
    wait_until(lambda: any(line["job_id"] == JOB for line in worker_up.lines("job.malformed")), what="its line")


def test_a_key_that_is_no_record_is_put_aside(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """Nobody can write a reason into it, so it is parked for a person, and reads as failed."""
    client.set(keys.job(JOB), "overwritten")
    put_on_lane(client, None)
    wait_until(lambda: client.hget(keys.PARKED, JOB), what="the job is parked")
    job = queue.lookup(JOB)
    assert job
    assert job.state is State.FAILED
    assert goes_on(queue)
    assert at_rest(client)


def test_ids_that_nobody_knows_are_dropped_and_counted(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """F31: thousands of ids of jobs long gone cost no line each, park nothing, and don't hold up the next job."""
    unknown = [f"{number:020}" for number in range(5000)]
    with client.pipeline() as pipeline:
        pipeline.rpush(keys.waiting("normal", ""), *unknown)
        pipeline.rpush(keys.ring("normal"), "")
        pipeline.rpush("sms.normal", *["1"] * len(unknown))
        pipeline.execute()
    assert goes_on(queue)
    wait_until(lambda: at_rest(client), what="the ids are gone")
    assert client.hget(keys.COUNTERS, "dropped_gone") == "5000"
    assert not client.exists(keys.PARKED)
    assert not {line.get("job_id") for line in worker_up.lines()} & set(unknown)
    assert len(sandbox.calls()) == 1


def test_any_number_of_copies_of_an_id_is_one_call(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """F30: an id that is on a lane fifty times, before, during and after its call, is sent once."""
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(n), text="Код") for n in range(20))]
    for _ in range(50):
        for job_id in jobs:
            client.rpush(keys.waiting("normal", ""), job_id)
        client.rpush(keys.ring("normal"), "")
        client.rpush(keys.bell("normal"), "1")
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    wait_until(lambda: at_rest(client), what="the copies are gone")
    assert sandbox.counts() == {ordinary(number): 1 for number in range(20)}
    assert len(sandbox.calls()) == 20


def test_a_newer_record_is_left_for_a_newer_worker(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", sandbox: Sandbox
) -> None:
    """F36: it is neither failed nor sent nor lost: it waits, and is looked at again and again."""
    newer = record({"to": ordinary(1), "words": "Код"}, v=str(RECORD_VERSION + 1), state="paused")
    put_on_lane(client, newer)
    wait_until(lambda: client.zscore(keys.DUE, JOB), what="the record waits for another look")
    client.zadd(keys.DUE, {JOB: 1})
    wait_until(lambda: client.zscore(keys.DUE, JOB) != 1, what="it was looked at again")
    assert client.zscore(keys.DUE, JOB)
    assert client.hgetall(keys.job(JOB)).items() >= newer.items()
    assert goes_on(queue)
    job = queue.lookup(JOB)
    assert job
    assert not job.state.final
    assert not sandbox.called(ordinary(1))
