"""What a monitor such as Flower sees of the jobs: each task's life and outcome, and nothing personal."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from smsq import Sms, SmsQueue
from smsq.job import JobError
from smsq.lanes import TASK_NAME
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of, in_state, make_due, put_off
from tests.support.monitor import Events, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import KEY, Worker

TEXT = "Сегодня в 15:00 придёт курьер"


@pytest.fixture(scope="module", params=[(), ("-P", "threads", "-c", "4"), ("-P", "prefork", "-c", "2")])
def worker_up(request: pytest.FixtureRequest, standing: StartWorker) -> Iterator[Worker]:
    """A worker that sends events, on each pool."""
    running = standing("-E", *request.param, SMSQ_RETRY_WINDOW="0", SMSQ_DISPATCH_INTERVAL="0.05")
    yield running
    running.stop()


@pytest.fixture
def events(worker_up: Worker, server: Server) -> Iterator[Events]:
    """A monitor that listens."""
    app = monitor_app(server.url)
    with Events(app) as listening:
        yield listening
    app.close()


def send(queue: SmsQueue, recipient: str, **options: Any) -> str:  # noqa: ANN401 - enqueue's options
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text=TEXT, name="Доставка"), **options).id


def last(events: Events, job_id: str, kind: str) -> dict[str, Any]:
    """Waits for a task's event of a kind and returns it."""
    wait_until(lambda: kind in events.story(job_id), what=f"{kind} of {job_id}")
    return next(event for event in reversed(events.of(job_id)) if event["type"] == kind)


def test_a_sent_job_is_received_started_and_succeeded(events: Events, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The task's id is the job's, its result the ids, its runtime the call's; no argument is shown."""
    sandbox.post("/sandbox/latency", seconds=0.3)
    job_id = send(queue, ordinary(1))
    succeeded = last(events, job_id, "task-succeeded")
    assert events.story(job_id) == ["task-received", "task-started", "task-succeeded"]
    (message,) = sandbox.messages()
    assert str(message["messageId"]) in succeeded["result"]
    assert str(message["campaignId"]) in succeeded["result"]
    assert succeeded["runtime"] >= 0.3
    received = last(events, job_id, "task-received")
    assert (received["name"], received["args"], received["kwargs"]) == (TASK_NAME, "()", "{}")


def test_a_refused_job_has_failed(events: Events, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The exception's words are the reason that a lookup gives."""
    refused = send(queue, sandbox.recipient("no-route"))
    assert "SmsNotSent" in last(events, refused, "task-failed")["exception"]
    assert "code 1: a field isn't valid" in last(events, refused, "task-failed")["exception"]
    assert events.story(refused) == ["task-received", "task-started", "task-failed"]


def test_the_gateway_s_words_stay_in_the_record(
    worker_up: Worker, events: Events, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """They may repeat any part of the message. The log and the event say which parameter it is; a lookup says all."""
    job_id = send(queue, sandbox.recipient("sender-not-registered"))
    failed = last(events, job_id, "task-failed")
    assert failed["exception"] == 'SmsNotSent("code 1: a field isn\'t valid (from)")'
    [line] = [each for each in worker_up.wait_lines("job.failed", 1) if each["job_id"] == job_id]
    assert line["reason"] == "code 1: a field isn't valid (from)"
    assert "зарегистрирована" not in worker_up.text()
    assert end_of(queue, job_id).error == JobError("a field isn't valid", 1, {"from": "Подпись не зарегистрирована"})


def test_a_job_that_was_asked_about_ends_like_any_other(events: Events, queue: SmsQueue, sandbox: Sandbox) -> None:
    """First a retry that says why nobody knows; when the gateway has been asked, its ids."""
    job_id = send(queue, sandbox.recipient("closed-accepted"))
    assert "SmsUnknown" in last(events, job_id, "task-retried")["exception"]
    (message,) = sandbox.messages()
    assert str(message["messageId"]) in last(events, job_id, "task-succeeded")["result"]


def test_a_job_that_is_put_off_is_retried(events: Events, queue: SmsQueue, sandbox: Sandbox, server: Server) -> None:
    """Each try is received and started again, and each that was put off is shown as a retry with its reason."""
    job_id = send(queue, sandbox.recipient("429-twice"))
    for attempt in (1, 2):
        put_off(queue, job_id, attempt)
        with server.client() as client:
            make_due(client, job_id)
    assert end_of(queue, job_id).state is State.SENT
    last(events, job_id, "task-succeeded")
    assert events.story(job_id) == [
        *["task-received", "task-started", "task-retried"] * 2,
        *["task-received", "task-started", "task-succeeded"],
    ]
    assert "too many calls (HTTP 429)" in last(events, job_id, "task-retried")["exception"]


def test_a_job_that_ended_on_its_lane_is_revoked(
    events: Events, worker_up: Worker, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Expired or cancelled before anyone called: `task-revoked`, which says which of the two it was."""
    worker_up.signal(signal.SIGSTOP)
    try:
        cancelled, expired = send(queue, ordinary(2)), send(queue, ordinary(3), expires_in=0.1)
        assert queue.cancel(cancelled)
        wait_until(lambda: in_state(queue, expired, State.EXPIRED), what="the job's time is over")
    finally:
        worker_up.signal(signal.SIGCONT)
    assert last(events, cancelled, "task-revoked")["expired"] is False
    assert last(events, expired, "task-revoked")["expired"] is True
    assert not sandbox.calls()


def test_nothing_personal_is_in_an_event(events: Events, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Whatever the outcome, and whatever of the message the gateway quotes: no number, text, name or key."""
    names = ["text-quoted", "no-route", "stop-listed", "stop-listed-15", "500", "429", "code-8", "moderated"]
    numbers = [ordinary(4), *(sandbox.recipient(name) for name in names)]
    jobs = [send(queue, number) for number in numbers]
    ended = {"task-succeeded", "task-failed", "task-retried"}
    wait_until(lambda: all(ended & set(events.story(job_id)) for job_id in jobs), what="each job has an outcome")
    said = json.dumps(events.seen, ensure_ascii=False)
    for secret in (*numbers, *(number[-7:] for number in numbers), TEXT, "курьер", "Доставка", KEY):
        assert secret not in said
