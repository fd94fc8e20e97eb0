"""An operator's commands that concern whole workers and lanes: inspect, purge, autoscale, shutdown, and a neighbour."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue
from smsq.lanes import LANES, TASK_NAME
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.commands import celery, celery_all
from tests.support.jobs import at_rest, end_of, in_state
from tests.support.monitor import Events, command, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import redis


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that sends events and grows and shrinks by itself."""
    return standing("-E", "--autoscale=10,2", AUTOSCALE_KEEPALIVE="0.3", SMSQ_DISPATCH_INTERVAL="0.05")


def messages(count: int, first: int = 0) -> list[Sms]:
    """Messages for ordinary numbers."""
    return [Sms(recipient=ordinary(first + number), text="Код") for number in range(count)]


def test_a_worker_grows_with_its_work_and_shrinks_without(
    worker_up: Worker, queue: SmsQueue, server: Server, sandbox: Sandbox
) -> None:
    """`--autoscale=10,2`: a burst is sent ten at a time, never more, and afterwards two slots are left."""
    sandbox.post("/sandbox/latency", seconds=1.0)
    jobs = list(queue.enqueue_many(messages(25)))
    assert {end_of(queue, job.id).state for job in jobs} == {State.SENT}
    assert sandbox.at_once(1.0) == 10
    app = monitor_app(server.url)
    wait_until(lambda: command(app, "stats")["autoscaler"]["current"] == 2, what="the worker has shrunk")
    assert "not supported with autoscale" in command(app, "pool_grow", n=5)["error"]
    sandbox.post("/sandbox/reset")
    assert end_of(queue, queue.enqueue(messages(1)[0]).id).state is State.SENT
    app.close()


def test_inspect_answers_at_the_command_line(worker_up: Worker, server: Server, sandbox: Sandbox) -> None:
    """`celery inspect` shows an operator what runs, without the account's key in the environment."""
    env = environment(server.url, sandbox.url, MOBIZON_API_KEY="")
    names = ("active", "reserved", "stats", "active_queues", "registered")
    ended = celery_all(env, [(("inspect", name, "--json", "--timeout", "2"), {}) for name in names])
    assert [each.returncode for each in ended] == [0] * len(names), ended
    answers = {name: next(iter(json.loads(each.stdout).values())) for name, each in zip(names, ended, strict=True)}
    assert answers["active"] == answers["reserved"] == []
    assert answers["stats"]["pool"]["implementation"] == "worker.pool:TaskPool"
    assert {each["name"] for each in answers["active_queues"]} == {f"sms.{lane}" for lane in LANES}
    assert any(TASK_NAME in each for each in answers["registered"])


@pytest.fixture
def frozen(worker_up: Worker) -> Iterator[None]:
    """The worker is frozen meanwhile, so that what is enqueued stays on its lane."""
    worker_up.signal(signal.SIGSTOP)
    yield
    worker_up.signal(signal.SIGCONT)


def purge(env: dict[str, str], *options: str, answer: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs `celery purge` and answers its question."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "purge", *options],
        cwd=Path(__file__).parents[2],
        env=env,
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )


def test_purge_cancels_what_waits(
    frozen: None, queue: SmsQueue, server: Server, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """`celery purge` asks first; then every job on a lane is cancelled, none orphaned, and a scheduled one stays."""
    jobs = [job for part, lane in enumerate(LANES) for job in queue.enqueue_many(messages(300, 300 * part), lane=lane)]
    batch = list(queue.enqueue_many(messages(50, 900), batch_id="autumn"))
    later = queue.enqueue(messages(1)[0], send_at=datetime.now(UTC) + timedelta(days=1))
    env = environment(server.url, sandbox.url)
    assert "sms.normal" in purge(env, answer="no\n").stdout
    assert all(in_state(queue, job.id, State.QUEUED) for job in jobs[::50])

    ended = purge(env, "-f")
    assert ended.returncode == 0
    assert "Purged 950 messages" in ended.stdout
    assert all(in_state(queue, job.id, State.CANCELLED) for job in jobs + batch)
    counted = queue.batch("autumn")
    assert counted
    assert counted.counts[State.CANCELLED] == counted.total == 50
    assert in_state(queue, later.id, State.SCHEDULED)
    assert queue.cancel(later.id)
    assert at_rest(client)
    assert not sandbox.calls()


NEIGHBOUR = """
from celery import Celery

app = Celery("neighbour", broker="{url}")


@app.task(name="neighbour.add")
def add(x, y):
    return x + y
"""


@pytest.fixture
def neighbour(server: Server, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of another Celery application, with Celery's defaults, on the same Redis."""
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR.format(url=server.url))
    started = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "neighbour", "worker", "-P", "solo", "-E", "--hostname", "neighbour@x"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield started
    started.kill()
    started.wait(20)


def test_a_neighbour_on_the_same_redis_is_left_alone_and_leaves_us_alone(
    neighbour: "subprocess.Popen[bytes]", worker_up: Worker, queue: SmsQueue, server: Server
) -> None:
    """Neither sees the other's workers or events, nor obeys the other's commands; both go on."""
    ours, theirs = (
        monitor_app(server.url),
        monitor_app(server.url, control_exchange="celery", event_exchange="celeryev"),
    )
    wait_until(lambda: theirs.control.ping(timeout=1.0, limit=1), what="the neighbour answers")
    with Events(ours) as our_events, Events(theirs) as their_events:
        assert {name for each in theirs.control.ping(timeout=1.0) for name in each} == {"neighbour@x"}
        assert "neighbour@x" not in {name for each in ours.control.ping(timeout=1.0) for name in each}
        theirs.send_task("neighbour.add", (1, 2))
        job = queue.enqueue(messages(1)[0])
        assert end_of(queue, job.id).state is State.SENT
        wait_until(lambda: our_events.uuids()["task-succeeded"], what="our task's event")
        wait_until(lambda: their_events.uuids()["task-succeeded"], what="their task's event")
        assert {event["hostname"] for event in their_events.seen} == {"neighbour@x"}
        assert {each for ids in our_events.uuids().values() for each in ids} == {job.id}
    theirs.control.shutdown()
    neighbour.wait(30)
    assert worker_up.process.poll() is None
    assert end_of(queue, queue.enqueue(messages(1)[0]).id).state is State.SENT
    ours.close()
    theirs.close()


def test_shutdown_by_remote_control_is_a_warm_one(
    worker: Callable[..., Worker], worker_up: Worker, queue: SmsQueue, server: Server, sandbox: Sandbox
) -> None:
    """`celery control shutdown` of one worker ends it with 0 after its calls; another has the rest."""
    leaving = worker("--hostname", "leaving@x", "--concurrency", "2")
    sandbox.post("/sandbox/latency", seconds=0.7)
    jobs = list(queue.enqueue_many(messages(20)))
    wait_until(sandbox.calls, what="calls are out")
    celery(environment(server.url, sandbox.url), "control", "shutdown", "-d", "leaving@x")  # it never answers
    assert leaving.process.wait(30) == 0
    sandbox.post("/sandbox/latency", seconds=0)
    assert {end_of(queue, job.id).state for job in jobs} == {State.SENT}
    assert set(sandbox.counts().values()) == {1}
    assert worker_up.process.poll() is None


def test_a_worker_of_the_same_name_is_warned_of(worker: Callable[..., Worker]) -> None:
    """They would share a heartbeat and a gate: the second one says so; one with a name of its own doesn't."""
    worker("-n", "one@site")
    second, third = worker("-n", "one@site"), worker("-n", "two@site")
    second.wait_lines("worker.name_taken")
    assert not third.lines("worker.name_taken")
