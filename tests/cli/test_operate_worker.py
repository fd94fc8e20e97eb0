"""Operators beside a live worker: what they hold back waits, what they let go on goes at once, and it is told why."""

from collections.abc import Callable

from smsq import Sms, SmsQueue, State
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.support.jobs import end_of, in_state, put_off
from tests.support.sandbox import Sandbox
from tests.support.waiting import wait_until
from tests.support.worker import Worker

SMS = Sms(recipient=NUMBER, text=TEXT)


def test_a_paused_lane_waits_and_goes_on_at_once(
    smsq: Command, queue: SmsQueue, worker: Callable[..., Worker], sandbox: Sandbox
) -> None:
    """Another lane's jobs go on; the resume wakes the worker, and the timeline says what the job had waited for."""
    worker("-n", "one@here", SMSQ_RATE_LIMIT="50/s")
    assert smsq("pause", "bulk", "--reason", "wrong price").code == 0
    held_back = queue.enqueue(SMS, lane="bulk")
    assert end_of(queue, queue.enqueue(Sms(recipient="77010000002", text=TEXT)).id).state is State.SENT
    assert in_state(queue, held_back.id, State.QUEUED)
    assert not sandbox.called(NUMBER)
    result = smsq("queues", "--json").result
    assert [(each["name"], each["live"], each["lanes"]) for each in result["workers"]] == [
        ("one@here", True, ["urgent", "normal", "bulk"])
    ]
    assert result["lanes"]["bulk"]["paused"] == "wrong price"
    assert result["rates"] == ["50/s"]
    told = smsq("why", held_back.id)
    assert told.out.splitlines()[-1] == "it is queued, and waits for operators to resume bulk (wrong price)"
    assert smsq("resume", "bulk").code == 0
    job = end_of(queue, held_back.id)
    assert job.state is State.SENT
    told = smsq("why", held_back.id)
    accepted, attempt, sent = told.out.splitlines()
    assert "waiting for operators to resume bulk (wrong price)" in attempt
    assert sent.endswith(f"sent      messageId {job.message_id}, campaignId {job.campaign_id}")
    assert accepted.endswith("accepted  lane bulk")
    assert not {NUMBER, TEXT} & set(told.out.split())


def test_a_refused_account_is_shown_as_a_paused_queue(
    smsq: Command, queue: SmsQueue, worker: Callable[..., Worker], sandbox: Sandbox
) -> None:
    """Every live worker's account is refused: nothing is sent but probes, and the jobs say what they wait for."""
    sandbox.post("/sandbox/fail", **{"next": 1000, "as": "code-8"})
    worker("-n", "one@here")
    job = queue.enqueue(SMS)
    wait_until(lambda: smsq("queues", "--json").result["paused"], what="the queue is paused")
    shown = smsq("queues", "--json").result
    reason = "code 8: the API key is wrong or expired"
    assert shown["paused"] == f"the account of every live worker is refused: {reason}"
    assert shown["workers"][0]["account"]["reason"] == reason
    timeline = smsq("why", job.id, "--json").result
    assert timeline["events"][1]["detail"] == f"queued: {reason}"
    assert timeline["events"][1]["calls"] == 1
    assert timeline["waitsFor"]


def test_failed_jobs_are_sent_after_a_retry(
    smsq: Command, queue: SmsQueue, worker: Callable[..., Worker], sandbox: Sandbox
) -> None:
    """What the gateway had refused is called again with one command, once, under the same id."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "code-1"})
    worker()
    job = queue.enqueue(SMS, idempotency_key="k")
    assert end_of(queue, job.id).state is State.FAILED
    assert smsq("failed", "--reason", "code 1", "--retry").code == 0
    assert end_of(queue, job.id).state is State.SENT
    assert sandbox.called(NUMBER) == 2
    assert len(sandbox.messages()) == 1
    assert queue.enqueue(SMS, idempotency_key="k").id == job.id


def test_each_attempt_of_a_job_that_is_put_off(
    smsq: Command, queue: SmsQueue, worker: Callable[..., Worker], sandbox: Sandbox
) -> None:
    """Tries in place are one attempt with its calls; what the job waits for comes with its moment."""
    worker(SMSQ_RETRY_WINDOW="0.1")
    job = queue.enqueue(Sms(recipient=sandbox.recipient("code-30"), text=TEXT))
    put_off(queue, job.id)
    result = smsq("why", job.id, "--json").result
    assert result["state"] == "retrying"
    attempt = result["events"][1]
    assert attempt["event"] == "attempt"
    assert attempt["detail"].startswith("retrying: code 30: ")
    assert (attempt["calls"], attempt["tookMs"] >= 0) == (result["attempts"], True)
    assert result["waitsFor"].startswith("its next try, 20")
