"""What concerns every message holds the jobs back, with one probe at a time; nothing fails, and nothing is lost."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue
from smsq.states import State
from tests.support.jobs import end_of, in_state
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import redis

JOBS = 30


@pytest.fixture
def own_sandbox() -> Iterator[Sandbox]:
    """A gateway of the test's own, which it may stop."""
    made = Sandbox()
    yield made
    made.process.send_signal(signal.SIGCONT)
    made.stop()


@pytest.fixture
def start(server: Server, own_sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers that call it."""
    made: list[Worker] = []

    def run(name: str = "worker", **settings: str) -> Worker:
        env = environment(server.url, own_sandbox.url, SMSQ_RETRY_WINDOW="0", SMSQ_DISPATCH_INTERVAL="0.1", **settings)
        made.append(Worker(tmp_path / f"{name}.log", env, "-n", f"{name}@test", "--concurrency", "10"))
        return made[-1].wait_ready()

    yield run
    for each in made:
        each.kill()


def enqueue(queue: SmsQueue, count: int) -> list[str]:
    """Enqueues messages and returns the jobs' ids."""
    return [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(n), text="Код") for n in range(count))]


def waiting(queue: SmsQueue, jobs: list[str]) -> int:
    """Returns how many of the jobs wait."""
    return sum(in_state(queue, job_id, State.QUEUED) or in_state(queue, job_id, State.RETRYING) for job_id in jobs)


def test_an_error_of_the_account_has_jobs_wait_and_one_probe_tells_when_it_is_over(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Item 5 of the promise: a wrong key costs no job; the reason is visible; it resumes by itself."""
    own_sandbox.post("/sandbox/fail", **{"next": 1000, "as": "code-8"})
    running = start()
    jobs = enqueue(queue, JOBS)
    reason = running.wait_lines("gate.closed")[0]
    assert (reason["gate"], reason["reason"]) == ("account", "code 8: the API key is wrong or expired")
    wait_until(lambda: waiting(queue, jobs) == JOBS, what="every job waits")
    called = len(own_sandbox.calls())
    assert called <= 20, "what was out when the first refusal came, and no more"
    gate = client.hgetall("smsq:gate:worker:worker@test")
    assert gate["reason"] == reason["reason"]
    own_sandbox.post("/sandbox/fail", **{"next": 0, "as": "code-8"})
    client.hset("smsq:gate:worker:worker@test", "probe_at", 0)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    running.wait_lines("gate.open")
    assert not client.exists("smsq:gate:worker:worker@test")
    assert set(own_sandbox.counts().values()) == {1}


def test_a_probe_that_fails_is_one_call(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Rule 24: while the gate is closed one job passes; refused again, it waits twice as long."""
    own_sandbox.post("/sandbox/fail", **{"next": 1000, "as": "code-14"})
    start()
    jobs = enqueue(queue, JOBS)
    wait_until(lambda: waiting(queue, jobs) == JOBS and client.exists("smsq:gate:worker:worker@test"), what="waits")
    called = len(own_sandbox.calls())
    client.hset("smsq:gate:worker:worker@test", "probe_at", 0)
    wait_until(lambda: client.hget("smsq:gate:worker:worker@test", "pause") == "10000", what="the probe was refused")
    assert len(own_sandbox.calls()) == called + 1
    assert waiting(queue, jobs) == JOBS


def test_the_other_workers_go_on(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Keys are bound to addresses: what one worker's account is refused, another sends."""
    client.hset("smsq:gate:worker:barred@test", mapping={"since": 1, "reason": "code 8", "pause": 60000})
    client.hset("smsq:gate:worker:barred@test", "probe_at", 4_000_000_000_000)
    barred, well = start("barred"), start("well")
    jobs = enqueue(queue, JOBS)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    well.wait_lines("job.sent", JOBS)
    assert not barred.lines("job.sent")


def test_a_gateway_that_is_down_is_not_hammered(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F93: after some failures in a row only probes go out; when it answers again all is sent, once."""
    own_sandbox.post("/sandbox/fail", **{"next": 1000, "as": "reset-twice"})
    own_sandbox.stop()
    running = start(SMSQ_CIRCUIT_AFTER="5")
    jobs = enqueue(queue, JOBS)
    wait_until(lambda: client.hget("smsq:gate:circuit", "since"), what="the circuit is closed")
    assert running.wait_lines("gate.closed")[0]["reason"] == "no connection to the gateway"
    wait_until(lambda: waiting(queue, jobs) == JOBS, what="every job waits")
    own_sandbox.start()
    for job_id in jobs:
        if client.zscore("smsq:due", job_id):
            client.zadd("smsq:due", {job_id: 0}, xx=True)
    client.hset("smsq:gate:circuit", "probe_at", 0)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    assert set(own_sandbox.counts().values()) == {1}


def test_calls_that_hang_close_nothing_while_others_are_answered(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F44: every call of a campaign gives up at the same moment; codes were sent meanwhile, and go on being sent."""
    running = start(SMSQ_CIRCUIT_AFTER="5", SMSQ_CALL_TIMEOUT="5")
    number = own_sandbox.recipient("hang")
    list(queue.enqueue_many((Sms(recipient=number, text=f"Код {n}") for n in range(10)), lane="bulk"))
    wait_until(lambda: len(own_sandbox.calls()) == 10, what="all of them hang")
    assert end_of(queue, enqueue(queue, 1)[0]).state is State.SENT
    running.wait_lines("job.asking", 10)
    assert not running.lines("gate.closed")
    assert not client.hexists("smsq:gate:circuit", "since")


def test_operators_pause_holds_a_lane_back(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F14: what waits stays on its lane, once; other lanes go on; when it is over, all goes out."""
    client.hset("smsq:pause", "normal", "1 maintenance")
    start()
    jobs = enqueue(queue, JOBS)
    urgent = queue.enqueue(Sms(recipient=ordinary(100), text="Код"), lane="urgent").id
    assert end_of(queue, urgent).state is State.SENT
    assert client.llen("sms.normal") == JOBS
    client.hdel("smsq:pause", "normal")
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}


def test_what_was_begun_before_the_circuit_closed_is_not_called(
    start: Callable[..., Worker], queue: SmsQueue, own_sandbox: Sandbox
) -> None:
    """Item 5: jobs that wait for a slot go back to their lane, and don't hammer a gateway that is down."""
    own_sandbox.post("/sandbox/latency", seconds=0.3)
    own_sandbox.post("/sandbox/fail", **{"next": 1000, "as": "503"})
    running = start(SMSQ_CIRCUIT_AFTER="10")
    jobs = enqueue(queue, JOBS)
    running.wait_lines("gate.closed")

    def sent() -> int:
        return sum(call["method"] == "message/sendsmsmessage" for call in own_sandbox.calls())

    wait_until(lambda: waiting(queue, jobs) + sent() == JOBS, what="the rest waits")
    assert sent() < 20, "those that close it, and those that were out with them"
