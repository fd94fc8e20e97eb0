"""Remote control: what Celery's users steer and see does what they expect, or is refused with the reason."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from celery import Celery

from smsq import Sms, SmsQueue, keys
from smsq.lanes import TASK_NAME, Lane
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import at_rest, end_of, in_state
from tests.support.monitor import command, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

SLOTS = 4


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker with few slots."""
    return standing("--concurrency", str(SLOTS), SMSQ_DISPATCH_INTERVAL="0.05")


@pytest.fixture
def remote(worker_up: Worker, server: Server) -> Iterator[Celery]:
    """An application that steers the worker, which answers."""
    app = monitor_app(server.url)
    wait_until(lambda: app.control.ping(timeout=1.0, limit=1), what="the worker answers")
    yield app
    app.close()


def enqueue(queue: SmsQueue, count: int, lane: Lane = "normal", first: int = 0) -> list[str]:
    """Enqueues messages for ordinary numbers and returns the jobs' ids."""
    messages = [Sms(recipient=ordinary(first + number), text="Код") for number in range(count)]
    return [job.id for job in queue.enqueue_many(messages, lane=lane)]


def test_what_is_active_and_reserved_can_be_inspected(
    remote: Celery, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Active are the jobs whose calls are out, reserved those that were taken, and the rest is on the lane's list."""
    sandbox.post("/sandbox/latency", seconds=1.5)
    jobs = enqueue(queue, 20)
    wait_until(lambda: len(sandbox.calls()) == SLOTS, what="the slots are full")
    active, reserved = command(remote, "active"), command(remote, "reserved")
    assert len(active) == SLOTS
    assert len(active) + len(reserved) + client.llen("sms.normal") == 20
    for task in active + reserved:
        assert (task["name"], task["args"], task["kwargs"]) == (TASK_NAME, [], {})
        assert task["id"] in jobs
    called = {message["name"].removeprefix("#") for message in sandbox.messages()}
    assert {task["id"] for task in active} == called
    assert command(remote, "stats")["pool"]["slots-in-use"] == SLOTS
    sandbox.post("/sandbox/latency", seconds=0)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    # The pool tells its worker of many at once, later than the ledger: till then the last are reserved, not active.
    wait_until(lambda: not command(remote, "active") + command(remote, "reserved"), what="the worker is through")


def test_the_lanes_are_the_queues_that_a_worker_consumes(remote: Celery) -> None:
    """`inspect active_queues` names the three, and `stats` the pool and its size."""
    assert [each["name"] for each in command(remote, "active_queues")] == ["sms.urgent", "sms.normal", "sms.bulk"]
    stats = command(remote, "stats")
    assert stats["pool"]["max-concurrency"] == SLOTS
    assert stats["pool"]["implementation"] == "worker.pool:TaskPool"


def test_stats_say_what_holds_jobs_back(remote: Celery, client: "redis.Redis") -> None:
    """Flower's page of the worker shows it: an operator's pause and a refused account, each with its reason."""
    assert command(remote, "stats")["held_back"] == "nothing"
    [name] = remote.control.inspect().ping()
    client.hset(keys.worker_gate(name), mapping={"since": 1, "probe_at": 2**50, "reason": "code 8: the key is wrong"})
    client.hset(keys.PAUSE, "bulk", "1 the wrong text")
    expected = "account: code 8: the key is wrong; pause bulk: the wrong text"
    wait_until(lambda: command(remote, "stats")["held_back"] == expected, what="it is seen")
    client.delete(keys.worker_gate(name), keys.PAUSE)
    wait_until(lambda: command(remote, "stats")["held_back"] == "nothing", what="nothing holds jobs back")


def test_a_revoked_job_that_waits_is_cancelled(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """`control revoke` is the ledger's cancel, for a job in the schedule and for one on a lane."""
    command(remote, "cancel_consumer", queue="sms.bulk")
    waiting = enqueue(queue, 2, lane="bulk")
    scheduled = queue.enqueue(Sms(recipient=ordinary(9), text="Код"), send_at=datetime.now(UTC) + timedelta(days=1)).id
    command(remote, "revoke", task_id=[waiting[0], scheduled])
    assert end_of(queue, waiting[0]).state is end_of(queue, scheduled).state is State.CANCELLED
    command(remote, "add_consumer", queue="sms.bulk")
    assert end_of(queue, waiting[1]).state is State.SENT
    assert sandbox.counts() == {ordinary(1): 1}


def test_a_revoked_job_that_was_reserved_is_cancelled(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Taken by a worker, but not called yet: it ends cancelled, and the gateway never hears of it."""
    sandbox.post("/sandbox/latency", seconds=1.5)
    called = enqueue(queue, SLOTS)
    wait_until(lambda: len(sandbox.calls()) == SLOTS, what="the slots are full")
    reserved = enqueue(queue, 2, first=SLOTS)
    wait_until(lambda: len(command(remote, "reserved")) == 2, what="the next two are reserved")
    command(remote, "revoke", task_id=reserved[0])
    assert end_of(queue, reserved[0]).state is State.CANCELLED
    assert {end_of(queue, job_id).state for job_id in (*called, reserved[1])} == {State.SENT}
    assert ordinary(SLOTS) not in sandbox.counts()
    assert len(sandbox.calls()) == SLOTS + 1


def test_a_call_that_is_out_is_not_cut(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Revoking with `terminate` answers why not, and the message goes out once; so does `control terminate`."""
    sandbox.post("/sandbox/latency", seconds=1.0)
    (job_id,) = enqueue(queue, 1)
    wait_until(sandbox.calls, what="the call is out")
    for answer in (
        command(remote, "revoke", task_id=job_id, terminate=True),
        command(remote, "terminate", task_id=job_id, signal="KILL"),
    ):
        assert "its outcome would be unknown" in answer["error"]
    assert end_of(queue, job_id).state is State.SENT
    assert sandbox.counts() == {ordinary(0): 1}


def test_revoking_a_call_that_is_out_changes_nothing(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Without `terminate` Celery only flags it; the job ends as its call does."""
    sandbox.post("/sandbox/latency", seconds=0.5)
    (job_id,) = enqueue(queue, 1)
    wait_until(sandbox.calls, what="the call is out")
    command(remote, "revoke", task_id=job_id)
    assert end_of(queue, job_id).state is State.SENT
    assert sandbox.counts() == {ordinary(0): 1}


def test_a_lane_can_be_left_and_taken_up_again(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """While its consumer is cancelled a lane's jobs wait and the others' flow; afterwards they are sent."""
    command(remote, "cancel_consumer", queue="sms.bulk")
    bulk = enqueue(queue, 10, lane="bulk")
    urgent = enqueue(queue, 10, lane="urgent", first=10)
    assert {end_of(queue, job_id).state for job_id in urgent} == {State.SENT}
    assert all(in_state(queue, job_id, State.QUEUED) for job_id in bulk)
    assert [each["name"] for each in command(remote, "active_queues")] == ["sms.urgent", "sms.normal"]
    command(remote, "add_consumer", queue="sms.bulk")
    assert {end_of(queue, job_id).state for job_id in bulk} == {State.SENT}
    assert set(sandbox.counts().values()) == {1}


def test_slots_are_added_and_taken_away(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """`pool_grow` and `pool_shrink` change how many calls are out at once, while the worker runs."""
    assert command(remote, "pool_grow", n=3) == {"ok": "pool will grow"}
    assert calls_at_once(queue, sandbox, SLOTS + 5) == SLOTS + 3
    assert command(remote, "pool_shrink", n=5) == {"ok": "pool will shrink"}
    assert calls_at_once(queue, sandbox, SLOTS) == SLOTS - 2
    command(remote, "pool_grow", n=2)
    assert command(remote, "stats")["pool"]["max-concurrency"] == SLOTS


def calls_at_once(queue: SmsQueue, sandbox: Sandbox, count: int) -> int:
    """Sends more than there are slots for and returns how many calls were out at once."""
    sandbox.post("/sandbox/reset")
    sandbox.post("/sandbox/latency", seconds=0.7)
    jobs = enqueue(queue, count)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    return sandbox.at_once(0.7)


def test_what_can_not_hold_beside_the_ledger_is_refused(remote: Celery, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The answer says what to use in its place, and the worker sends on as before."""
    answer = command(remote, "rate_limit", task_name=TASK_NAME, rate_limit="1/m")
    assert "SMSQ_RATE_LIMIT" in answer["error"]
    answer = command(remote, "time_limit", task_name=TASK_NAME, soft=1, hard=2)
    assert "SMSQ_CALL_TIMEOUT" in answer["error"]
    jobs = enqueue(queue, 20)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}


def test_other_tasks_keep_celerys_commands(remote: Celery) -> None:
    """A task that a user adds to the worker can be limited as ever."""
    for name, arguments in (("rate_limit", {"rate_limit": "10/s"}), ("time_limit", {"soft": 1, "hard": 2})):
        assert "ok" in command(remote, name, task_name="celery.accumulate", **arguments)
    assert "ok" in command(remote, "rate_limit", task_name="celery.accumulate", rate_limit="0")


def test_nothing_is_left_when_all_is_sent(
    remote: Celery, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """A hundred jobs later no id is on a lane or due, and the window is as wide as before."""
    jobs = enqueue(queue, 100)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    wait_until(lambda: at_rest(client), what="nothing waits")
    wait_until(lambda: not command(remote, "reserved"), what="nothing is reserved")
    assert command(remote, "stats")["pool"]["slots-in-use"] == 0
    assert command(remote, "stats")["prefetch_count"] == 2 * SLOTS
