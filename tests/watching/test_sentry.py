"""Failures arrive in Sentry as issues, from real workers over HTTP: one of each kind, and nothing personal."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from config.settings import WorkerSettings
from smsq import ConfigurationError, Sms, SmsQueue, State
from tests.sending.conftest import StartWorker, standing
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import KEY, Worker
from tests.watching.saboteur import AFTER, BEFORE
from tests.watching.sentry import Sentry

__all__ = ["standing"]

TEXT = "Secret code: 4711"


@pytest.fixture(scope="module")
def sentry(standing: StartWorker, shared_sandbox: Sandbox) -> Iterator[Sentry]:
    """Where a worker reports to; in the end it must have got nothing personal from any test."""
    made = Sentry()
    standing(
        *("-I", "tests.watching.saboteur"),
        SENTRY_DSN=made.dsn,
        SMSQ_DISPATCH_INTERVAL="0.05",
        SMSQ_RETRY_WINDOW="0",
        SMSQ_ASK_LIMIT="1",
    )
    yield made
    made.close()
    assert made.bodies
    for word in (BEFORE, AFTER, *map(shared_sandbox.recipient, ("code-1", "500")), "Secret", ": 4711", KEY):
        assert not [body for body in made.bodies if word.encode() in body], word
    assert not [each for each in made.events() if each.keys() & {"breadcrumbs", "user", "request", "modules"}]


def send(queue: SmsQueue, recipient: str, **options: Any) -> str:  # noqa: ANN401 - enqueue's options
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text=TEXT), **options).id


def test_failed_jobs_of_one_code_are_one_issue(sentry: Sentry, sandbox: Sandbox, queue: SmsQueue) -> None:
    """With a job's id, its lane and the code; a second one is of the same issue, and is not told of at once."""
    number = sandbox.recipient("code-1")
    job_id = send(queue, number, lane="urgent")
    event = sentry.wait_for("job.failed")
    assert event["level"] == "warning"
    assert event["fingerprint"] == ["job.failed", "1"]
    tags = {"event": "job.failed", "job_id": job_id, "lane": "urgent", "code": "1", "attempt": "1"}
    assert event["tags"] == tags
    assert event["extra"]["reason"].startswith("code 1: a field isn't valid")
    assert event["release"].startswith("smsq@")
    assert end_of(queue, send(queue, number)).state is State.FAILED
    send(queue, sandbox.recipient("code-2"))
    wait_until(lambda: len(sentry.of("job.failed")) > 1, what="another code's arrives")
    assert [each["tags"]["code"] for each in sentry.of("job.failed")] == ["1", "2"]


def test_an_unknown_job_is_an_issue(sentry: Sentry, sandbox: Sandbox, queue: SmsQueue) -> None:
    """No task runs when it ends: the gateway was asked, and couldn't say."""
    job_id = send(queue, sandbox.recipient("500"), lane="bulk")
    event = sentry.wait_for("job.unknown")
    assert (event["tags"]["job_id"], event["tags"]["lane"]) == (job_id, "bulk")


def test_a_crash_shows_where_it_was_and_not_its_words(sentry: Sentry, sandbox: Sandbox, queue: SmsQueue) -> None:
    """A bug in the middle of a job, and one after its settle; with frames, without variables."""
    for number, kind in ((BEFORE, "LookupError"), (AFTER, "ArithmeticError")):
        job_id = send(queue, number)
        [event] = wait_until(
            lambda kind=kind: [each for each in sentry.of("job.crashed") if each["tags"]["error"] == kind],  # type: ignore[misc]
            what="the crash arrives",
        )
        [raised] = event["exception"]["values"]
        assert (raised["type"], raised["value"]) == (kind, "")
        frames = raised["stacktrace"]["frames"]
        assert frames[-1]["module"] == "tests.watching.saboteur"
        assert not [frame for frame in frames if "vars" in frame]
        assert (event["level"], event["tags"]["job_id"]) == ("error", job_id)


def test_a_librarys_errors_come_without_what_they_are_about(sentry: Sentry, sandbox: Sandbox, queue: SmsQueue) -> None:
    """Only the words that stand in the code: not what fills them in, and of several lines the first."""
    send(queue, BEFORE)

    def said() -> set[str]:
        return {each["logentry"]["message"] for each in sentry.events() if each.get("logger") == "library"}

    wait_until(lambda: said() == {"can't send %s to %s", "lost"}, what="both arrive")


def test_a_sentry_and_a_collector_that_hang_hold_nothing_up(
    worker: Callable[..., Worker], sandbox: Sandbox, queue: SmsQueue
) -> None:
    """Jobs end, and the worker stops in good order, while both take connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        running = worker(
            SENTRY_DSN=f"http://public@{where}/1",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{where}",
            OTEL_BSP_SCHEDULE_DELAY="10",
        )
        refused, sent = send(queue, sandbox.recipient("code-1")), send(queue, ordinary(1))
        assert (end_of(queue, refused).state, end_of(queue, sent).state) == (State.FAILED, State.SENT)
        assert running.stop(timeout=10) == 0
        assert not [each for each in running.lines() if each["level"] == "error"]


def test_a_dsn_that_is_none_is_named() -> None:
    """The setting and its rule, and not the value, which has a key in it."""
    with pytest.raises(ConfigurationError) as caught:
        WorkerSettings.load(SENTRY_DSN="secret@nowhere", MOBIZON_API_KEY=KEY)
    assert str(caught.value) == "SENTRY_DSN: must be a DSN of Sentry's, such as https://KEY@sentry.example/1"
