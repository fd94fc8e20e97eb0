"""Celery's task signals in a worker, on which tracing and error reporting hang: with true durations, in one context."""

import json
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from smsq import Sms, SmsQueue
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of, in_state, put_off
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker, whole_lines

POOLS = {"event loop": (), "threads": ("-P", "threads", "-c", "30"), "prefork": ("-P", "prefork", "-c", "2")}


class Witness:
    """What was written down in a worker (`tests.support.witness`).

    Args:
        file: Where.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def of(self, job_id: str) -> list[dict[str, Any]]:
        """Returns what was seen of a task, in the order of the moments."""
        lines = map(json.loads, whole_lines(self.file).splitlines()) if self.file.exists() else ()
        return sorted((line for line in lines if line["id"] == job_id), key=lambda line: float(line["monotonic"]))

    def signals(self, job_id: str) -> list[str]:
        """Returns the signals of a task."""
        return [line["signal"] for line in self.of(job_id)]

    def wait_for(self, job_id: str, kind: str) -> dict[str, Any]:
        """Waits for a signal of a task and returns what was written down."""
        wait_until(lambda: kind in self.signals(job_id), what=f"{kind} of {job_id}")
        return next(line for line in self.of(job_id) if line["signal"] == kind)


class Watched:
    """A worker with a witness in it."""

    def __init__(self, worker: Worker, witness: Witness) -> None:
        self.worker = worker
        self.witness = witness


@pytest.fixture(scope="module", params=list(POOLS))
def watched(
    request: pytest.FixtureRequest, standing: StartWorker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """A worker on each pool, with a witness."""
    file = tmp_path_factory.mktemp("witness") / "signals"
    running = standing(
        "-I",
        "tests.support.witness",
        *POOLS[request.param],
        WITNESS=str(file),
        SMSQ_RETRY_WINDOW="0",
        SMSQ_DISPATCH_INTERVAL="0.05",
    )
    yield Watched(running, Witness(file))
    running.stop()


@pytest.fixture
def witness(watched: Watched) -> Witness:
    """What the worker's witness saw."""
    return watched.witness


def send(queue: SmsQueue, recipient: str, **options: Any) -> str:  # noqa: ANN401 - enqueue's options
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text="Код"), **options).id


def test_a_task_runs_as_long_as_its_call(witness: Witness, queue: SmsQueue, sandbox: Sandbox) -> None:
    """`task_prerun` comes before the call, `task_success` and `task_postrun` after its answer, each once."""
    sandbox.post("/sandbox/latency", seconds=0.3)
    job_id = send(queue, ordinary(1))
    after = witness.wait_for(job_id, "reset")
    assert witness.signals(job_id) == ["received", "prerun", "success", "postrun", "reset"]
    (call,) = sandbox.calls()
    (message,) = sandbox.messages()
    assert witness.wait_for(job_id, "prerun")["monotonic"] < call["monotonic"]
    assert witness.wait_for(job_id, "success")["monotonic"] >= call["monotonic"] + 0.3
    assert witness.wait_for(job_id, "postrun")["state"] == "SUCCESS"
    assert witness.wait_for(job_id, "success")["result"] == {
        "campaignId": message["campaignId"],
        "messageId": message["messageId"],
        "status": 2,
    }
    assert after["context"] == ""


def test_each_of_many_tasks_has_its_own_context_and_request(
    watched: Watched, witness: Witness, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Thirty at once: each finds what was set before it, in its call and after it, and itself as the current task."""
    sandbox.post("/sandbox/latency", seconds=0.2)
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(number), text="Код") for number in range(30))]
    for job_id in jobs:
        witness.wait_for(job_id, "reset")
        for line in witness.of(job_id):
            if line["signal"] in ("prerun", "success", "postrun"):
                assert (line["context"], line["current"]) == (job_id, job_id)
    traced = {line["job_id"]: line["traced"] for line in watched.worker.lines("job.sent") if line["job_id"] in jobs}
    assert traced == {job_id: job_id for job_id in jobs}
    spans = sorted(
        tuple(witness.wait_for(job_id, kind)["monotonic"] for kind in ("prerun", "postrun")) for job_id in jobs
    )
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans)), "the tasks ran one after the other"


def test_failures_and_retries_say_why(witness: Witness, queue: SmsQueue, sandbox: Sandbox) -> None:
    """`task_failure` has our exception, `task_retry` the reason; `task_postrun` has the state of each."""
    sandbox.post("/sandbox/latency", seconds=0.2)
    refused, unknown = send(queue, sandbox.recipient("code-2")), send(queue, sandbox.recipient("500"))
    waiting = send(queue, sandbox.recipient("429"))
    put_off(queue, waiting)
    for job_id, kind, state in (
        (refused, "failure", "FAILURE"),
        (unknown, "retry", "RETRY"),
        (waiting, "retry", "RETRY"),
    ):
        witness.wait_for(job_id, "reset")
        assert witness.signals(job_id)[:5] == ["received", "prerun", kind, "postrun", "reset"]
        assert witness.wait_for(job_id, "postrun")["state"] == state
        called = next(call["monotonic"] for call in sandbox.calls() if call["recipient"] in numbers(sandbox, state))
        assert witness.wait_for(job_id, kind)["monotonic"] >= called + 0.2
    assert witness.wait_for(refused, "failure")["exception"] == "SmsNotSent"
    assert "a server's answer that leaves it open" in witness.wait_for(unknown, "retry")["said"]
    assert "record not found" in witness.wait_for(refused, "failure")["said"]
    assert "too many calls (HTTP 429)" in witness.wait_for(waiting, "retry")["said"]


def numbers(sandbox: Sandbox, state: str) -> set[str]:
    """Returns the numbers whose jobs end in one of Celery's states."""
    return {sandbox.recipient(name) for name in (("429", "500") if state == "RETRY" else ("code-2",))}


def test_a_job_that_had_ended_is_revoked(watched: Watched, witness: Witness, queue: SmsQueue, sandbox: Sandbox) -> None:
    """`task_revoked` comes for a job that expired or was cancelled on its lane; nobody is called."""
    watched.worker.signal(signal.SIGSTOP)
    try:
        cancelled, expired = send(queue, ordinary(2)), send(queue, ordinary(3), expires_in=0.1)
        assert queue.cancel(cancelled)
        wait_until(lambda: in_state(queue, expired, State.EXPIRED), what="the job's time is over")
    finally:
        watched.worker.signal(signal.SIGCONT)
    assert witness.wait_for(cancelled, "revoked")["expired"] is False
    assert witness.wait_for(expired, "revoked")["expired"] is True
    assert not sandbox.calls()


def test_nothing_went_wrong_inside_celery(witness: Witness, queue: SmsQueue, sandbox: Sandbox) -> None:
    """A hundred jobs later `task_internal_error` has not fired once."""
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(number), text="Код") for number in range(100))]
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    assert "internal error" not in witness.file.read_text()
    assert set(sandbox.counts().values()) == {1}
