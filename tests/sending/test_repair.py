"""Foreign hands: what they purge is found again, what they leave behind is put aside, and the worker goes on."""

import json
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import at_rest, end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that looks often."""
    return standing(SMSQ_DISPATCH_INTERVAL="0.05", SMSQ_SWEEP_INTERVAL="0.2")


def enqueue(queue: SmsQueue, count: int, batch_id: str | None = None) -> list[str]:
    """Enqueues messages and returns the jobs' ids."""
    messages = (Sms(recipient=ordinary(number), text="Код") for number in range(count))
    return [job.id for job in queue.enqueue_many(messages, batch_id=batch_id)]


@pytest.mark.parametrize("lost", ["the ids", "the ring", "everything of the lane", "due"])
def test_jobs_that_nobody_would_look_at_again_are_found(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", lost: str
) -> None:
    """F05: in neither a lane nor `due`, because somebody deleted a list or a set: repaired, said, and sent once."""
    client.hset("smsq:pause", "all", "1 a test")
    jobs = enqueue(queue, 5, batch_id="b")
    if lost == "due":
        client.hset(keys.job(jobs[0]), "state", "retrying")
        client.lrem(keys.waiting("normal", "b"), 0, jobs[0])
    doomed = {
        "the ids": [keys.waiting("normal", "b")],
        "the ring": [keys.ring("normal")],
        "everything of the lane": [keys.waiting("normal", "b"), keys.ring("normal"), "sms.normal", keys.bell("normal")],
        "due": [keys.DUE],
    }[lost]
    client.delete(*doomed)
    client.delete("smsq:pause")
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    assert sandbox.counts() == {ordinary(number): 1 for number in range(5)}
    if lost != "the ring":
        repaired = worker_up.lines  # the worker serves other tests too: their lines say nothing of these jobs
        wait_until(lambda: any(line["job_id"] in jobs for line in repaired("job.repaired")), what="its line")


@pytest.mark.parametrize(
    "key", ["smsq:lane:normal", "smsq:lane:normal:", "sms.normal", "smsq:bell:normal", "smsq:due", "smsq:epoch"]
)
def test_a_key_of_another_type_is_set_aside(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", key: str
) -> None:
    """A lane's key that is a string stops nobody: it is kept under another name, and people can see it."""
    client.delete(key)
    client.set(key, "somebody else's")
    assert end_of(queue, enqueue(queue, 1)[0]).state is State.SENT
    wait_until(lambda: at_rest(client), what="the lane is empty")
    if key != "smsq:epoch":
        worker_up.wait_lines("parked.more")
        assert client.get(f"smsq:aside:{key}") == "somebody else's"
        assert key in client.hkeys("smsq:parked")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"body": "W10=", "headers": {"task": "smsq.send", "id": "a"}, "properties": {}}),
        json.dumps({"task": "other.task", "args": ["77010000001"]}),
        "{",
        "x" * 5_000_000,
        "",
    ],
    ids=["celery", "other", "cut", "huge", "empty"],
)
def test_messages_that_are_none_of_ours_are_noted_and_dropped(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", body: str
) -> None:
    """Published to a lane's queue by name: counted and listed, without what is in them, and nothing stops."""
    client.rpush("sms.normal", body)
    client.lpush("sms.normal", body)
    job = end_of(queue, enqueue(queue, 1)[0])
    assert job.state is State.SENT
    wait_until(lambda: client.hget("smsq:counters", "foreign_messages") == "2", what="both are noted")
    (noted,) = [name for name in client.hkeys("smsq:parked") if str(name).startswith("message ")]
    assert client.hget("smsq:parked", noted) == (
        f"{len(body)} bytes on sms.normal that SmsQueue has not put there: dropped"
    )
    assert client.llen("sms.normal") == 0
