"""What nobody knows is settled by asking the gateway: found, surely absent, or for a person to decide."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of, in_state, make_due
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

#: A gateway that acts within a second, and shows at once what it did.
SETTLES_SOON: dict[str, Any] = {
    "SMSQ_GATEWAY_BOUND": "1",
    "SMSQ_LIST_DELAY": "0.5",
    "SMSQ_SETTLING_TIME": "1.5",
    "SMSQ_CALL_TIMEOUT": "2",
    "SMSQ_RETRY_WINDOW": "0",
    "SMSQ_LEASE": "4",
    "SMSQ_DISPATCH_INTERVAL": "0.05",
    "SMSQ_CIRCUIT_AFTER": "1000",
}
OTHERS = ordinary(999)


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that believes soon."""
    return standing(**SETTLES_SOON)


def send(queue: SmsQueue, recipient: str, **options: Any) -> str:  # noqa: ANN401 - enqueue's options
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text="Код: 4711"), **options).id


def settled(queue: SmsQueue, job_id: str, timeout: float = 60) -> State:
    """Waits for a job's end while other messages are sent: absence is proved by a newer message that is known."""
    for _ in range(int(timeout)):
        job = queue.wait(job_id, 1)
        assert job
        if job.state.final:
            return job.state
        queue.enqueue(Sms(recipient=OTHERS, text="another message"))
    raise AssertionError(f"the job has not ended: {queue.lookup(job_id)}")


def lose_the_next(sandbox: Sandbox, *, accepted: bool) -> None:
    """Has the gateway lose its next answer, with or without having accepted the message."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "closed-accepted" if accepted else "closed"})


def test_a_lost_answer_is_found_with_its_ids(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """One call, one message; its ids come from the gateway's list, and other messages to that number aren't taken."""
    first = end_of(queue, send(queue, ordinary(1)))
    lose_the_next(sandbox, accepted=True)
    job = end_of(queue, send(queue, ordinary(1)))
    assert (job.state, job.attempts) == (State.SENT, 1)
    messages = sandbox.messages()
    assert [first.message_id, job.message_id] == [message["messageId"] for message in messages]
    assert [first.campaign_id, job.campaign_id] == [message["campaignId"] for message in messages]
    assert queue.lookup(message_id=job.message_id) == job
    assert sandbox.called(ordinary(1)) == 2


def test_what_is_surely_absent_is_called_again(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """F11: asked twice after the settling time, and a newer message was found in the same list."""
    lose_the_next(sandbox, accepted=False)
    job_id = send(queue, ordinary(1))
    assert settled(queue, job_id) is State.SENT
    assert sandbox.called(ordinary(1)) == 2
    assert sandbox.counts()[ordinary(1)] == 1


def test_absence_proves_nothing_without_a_newer_message(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Rule 14: in an account that sends nothing else the job waits, however often nothing was found."""
    client.delete("smsq:canary")
    lose_the_next(sandbox, accepted=False)
    job_id = send(queue, ordinary(1))
    ask = wait_until(lambda: '"empty":true' in str(client.hget(keys.job(job_id), "ask")), what="nothing was found")
    assert ask
    make_due(client, job_id)
    wait_until(lambda: client.zscore(keys.DUE, job_id) != 0, what="looked at again")
    assert in_state(queue, job_id, State.SENDING)
    assert sandbox.called(ordinary(1)) == 1
    assert settled(queue, job_id) is State.SENT


def test_a_list_that_finds_nothing_proves_nothing(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F62: the same question must find a message that is known; else a second message would be sent."""
    sandbox.post("/sandbox/flags", campaign_type_filter="nothing", list_delay_seconds=3600)
    lose_the_next(sandbox, accepted=True)
    job_id = send(queue, ordinary(1))
    for number in range(2, 6):
        assert end_of(queue, send(queue, ordinary(number))).state is State.SENT
        wait_until(lambda: client.zscore(keys.DUE, job_id), what="the job waits")
        make_due(client, job_id)
    assert in_state(queue, job_id, State.SENDING)
    sandbox.post("/sandbox/flags", campaign_type_filter="mass", list_delay_seconds=0)
    assert settled(queue, job_id) is State.SENT
    assert sandbox.counts()[ordinary(1)] == sandbox.called(ordinary(1)) == 1


def test_what_expired_meanwhile_is_not_called_again(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Surely absent, and its time is over: it ends `expired`, uncalled for all anybody will ever see."""
    lose_the_next(sandbox, accepted=False)
    job_id = send(queue, ordinary(1), expires_in=1)
    assert settled(queue, job_id) is State.EXPIRED
    assert sandbox.called(ordinary(1)) == 1
    assert not sandbox.counts()[ordinary(1)]


def test_nobody_is_told_that_a_job_in_question_was_cancelled(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Rule 22: cancel is False, and the message is found."""
    sandbox.post("/sandbox/flags", list_delay_seconds=3)
    lose_the_next(sandbox, accepted=True)
    job_id = send(queue, ordinary(1))
    wait_until(lambda: sandbox.called(ordinary(1)), what="the call is out")
    wait_until(lambda: (queue.lookup(job_id) or pytest.fail("gone")).error, what="the answer is lost")
    assert queue.cancel(job_id) is False
    sandbox.post("/sandbox/flags", list_delay_seconds=0)
    assert settled(queue, job_id) is State.SENT


def test_a_message_that_is_accepted_late_is_found(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F11: the gateway accepts after we gave up on the call, within its bound: one message, and no second call."""
    sandbox.post("/sandbox/flags", late_seconds=0.8)
    number = sandbox.recipient("late")
    job_id = send(queue, number)
    assert settled(queue, job_id) is State.SENT
    assert sandbox.counts()[number] == sandbox.called(number) == 1


def test_two_of_one_content_are_told_apart(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The same text to the same number at the same moment, both answers lost: each job has its own message."""
    number = sandbox.recipient("closed-accepted")
    jobs = [end_of(queue, job_id) for job_id in (send(queue, number), send(queue, number))]
    assert {job.state for job in jobs} == {State.SENT}
    assert {job.message_id for job in jobs} == {message["messageId"] for message in sandbox.messages()}
    assert sandbox.counts()[number] == 2


def test_a_worker_killed_in_mid_call_leaves_nothing_open(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Half of its calls were accepted, half were not: each number gets one message in the end."""
    dying = worker("--concurrency", "6", **SETTLES_SOON)
    sandbox.post("/sandbox/latency", seconds=1.5)
    silent = sandbox.recipient("hang")
    jobs = [send(queue, ordinary(number)) for number in range(5)]
    hanging = send(queue, silent, expires_in=20)
    wait_until(lambda: len(sandbox.calls()) == 6, what="the calls are out")
    dying.signal(signal.SIGKILL)
    sandbox.post("/sandbox/latency", seconds=0)
    worker(**SETTLES_SOON)
    assert {settled(queue, job_id) for job_id in jobs} == {State.SENT}
    assert {sandbox.counts()[ordinary(number)] for number in range(5)} == {1}
    assert settled(queue, hanging) is State.EXPIRED
