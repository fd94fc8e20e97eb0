"""What the gateway does to a call decides what becomes of the job, and what was perhaps accepted isn't called again."""

import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from smsq import Settings, Sms, SmsQueue, ledger
from smsq.candidate import _new_id
from smsq.connection import SyncRunner
from smsq.job import JobError
from smsq.message import RULES_VERSION, dump
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import at_rest, end_of, in_state, make_due, put_off
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

NOBODY_KNOWS = [
    "500",
    "502-accepted",
    "503",
    "504-accepted",
    "408-accepted",
    "307-accepted",
    "403",
    "code-3-accepted",
    "code-10-accepted",
    "code-15",
    "code-77-accepted",
    "code-98",
    "code-100-accepted",
    "code-999",
    "no-money",
    "closed",
    "closed-accepted",
    "reset-accepted",
    "half-status-line",
    "half-body",
    "hang",
    "hang-accepted",
    "drip-headers",
    "drip-body",
    "endless",
    "huge",
    "html-200",
    "json-cut",
    "body-empty",
    "ids-missing",
    "id-true",
    "status-3",
    "code-0-data-null",
    "code-false",
    "500-and-code-0",
    "not-http",
]


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker with short limits: a call may take a second, and a wait of a second isn't made in place."""
    return standing(
        SMSQ_CALL_TIMEOUT="1",
        SMSQ_RETRY_WINDOW="1",
        SMSQ_LEASE="10",
        SMSQ_DISPATCH_INTERVAL="0.05",
        SMSQ_CIRCUIT_AFTER="1000",  # here the gateway fails all the time
        SMSQ_ASK_LIMIT="3",
    )


def send(queue: SmsQueue, recipient: str, text: str = "Код: 4711") -> str:
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text=text)).id


REFUSALS = {
    "code-1": JobError("a field isn't valid", 1, {"recipient": "Номер [number] неверен"}),
    "sender-not-registered": JobError("a field isn't valid", 1, {"from": "Подпись не зарегистрирована"}),
    "code-2": JobError("record not found", 2),
    "code-12": JobError("a parameter breaks a restriction", 12),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_fails_the_job_with_the_gateways_reason(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", name: str
) -> None:
    """A refused message is called for once and told why."""
    number, expected = sandbox.recipient(name), REFUSALS[name]
    job = end_of(queue, send(queue, number))
    assert (job.state, job.attempts, job.message_id) == (State.FAILED, 1, None)
    assert job.error
    assert (job.error.reason, job.error.code) == (expected.reason, expected.code)
    if expected.fields:
        assert job.error.fields == expected.fields
    assert sandbox.called(number) == 1
    assert at_rest(client)


@pytest.mark.parametrize("name", ["code-30-twice", "code-99-twice"])
def test_what_was_certainly_not_taken_is_tried_again_in_place(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, name: str
) -> None:
    """Two refusals for the moment and then a message: one job, three attempts, sent once."""
    number = sandbox.recipient(name)
    job = end_of(queue, send(queue, number))
    assert (job.state, job.attempts, job.error) == (State.SENT, 3, None)
    assert sandbox.called(number) == 3
    assert sandbox.counts()[number] == 1
    assert not [line for line in worker_up.lines("job.retrying") if line["job_id"] == job.id]


def test_a_longer_wait_is_the_ledgers(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """A wait that doesn't fit in place goes to the schedule, with its reason, and the job is sent when it is over."""
    number = sandbox.recipient("429-twice")
    asked_at = time.time()
    job_id = send(queue, number)
    for attempt in (1, 2):
        assert put_off(queue, job_id, attempt) == JobError("too many calls (HTTP 429)")
        assert (client.zscore("smsq:due", job_id) or 0) >= (asked_at + 1) * 1000  # Retry-After: 1
        make_due(client, job_id)
    job = end_of(queue, job_id)
    assert (job.state, job.attempts, job.error) == (State.SENT, 3, None)
    assert sandbox.counts()[number] == 1


def test_a_job_that_is_put_off_for_a_day_is_given_up(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """It fails with the last reason; the gateway never took it."""
    number = sandbox.recipient("code-30")
    job_id = send(queue, number)
    put_off(queue, job_id)
    client.hset(f"smsq:job:{job_id}", "put_off", int((time.time() - 86_400) * 1000))
    make_due(client, job_id)
    job = end_of(queue, job_id)
    assert job.state is State.FAILED
    assert job.error
    assert (job.error.reason, job.error.code) == ("given up: too many calls", 30)
    assert at_rest(client)


class Story(NamedTuple):
    """What became of a job, and what the gateway has of it."""

    state: State
    calls: int
    messages: int


@pytest.fixture(scope="module")
def stories(worker_up: Worker, shared_server: Server, shared_sandbox: Sandbox) -> dict[str, Story]:
    """Has the gateway misbehave in each of these ways, at once."""
    shared_sandbox.post("/sandbox/reset")
    queue = SmsQueue(shared_server.url)
    numbers = {name: shared_sandbox.recipient(name) for name in NOBODY_KNOWS}
    jobs = {name: send(queue, number) for name, number in numbers.items()}
    states = {name: end_of(queue, job_id).state for name, job_id in jobs.items()}
    queue.close()
    with shared_server.client() as client:
        assert at_rest(client), "a job will be called again"
    counts = shared_sandbox.counts()
    return {
        name: Story(states[name], shared_sandbox.called(number), counts[number]) for name, number in numbers.items()
    }


@pytest.mark.parametrize("name", NOBODY_KNOWS)
def test_what_may_have_been_accepted_is_never_called_again(
    stories: dict[str, Story], shared_sandbox: Sandbox, name: str
) -> None:
    """F55: one call, and the gateway is asked. What it has is `sent`; else, without a proof, a person decides."""
    taken = {row["name"]: row["accepted"] != "never" for row in shared_sandbox.get("/sandbox/recipients")}
    state = State.SENT if taken[name] else State.UNKNOWN
    assert stories[name] == Story(state, calls=1, messages=int(taken[name]))


def test_who_prefers_two_to_none_gets_a_second_call(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """With on_unknown="resend" a lost answer is followed by another call, whose ids count."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "closed-accepted"})
    job = end_of(queue, queue.enqueue(Sms(recipient=ordinary(1), text="Код"), on_unknown="resend").id)
    assert (job.state, job.attempts, job.error) == (State.SENT, 2, None)
    assert sandbox.counts()[ordinary(1)] == 2
    assert job.message_id == sandbox.messages()[1]["messageId"]


def test_two_are_never_more_than_two(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """A gateway that takes each message and loses each answer isn't called on and on: after the second it is asked."""
    number = sandbox.recipient("closed-accepted")
    job = end_of(queue, queue.enqueue(Sms(recipient=number, text="Код"), on_unknown="resend").id)
    assert (job.state, job.attempts) == (State.SENT, 2)
    assert sandbox.counts()[number] == 2


def test_a_job_that_expired_on_its_lane_is_not_called(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Its time was over when the worker came to it."""
    worker_up.signal(signal.SIGSTOP)
    try:
        job_id = queue.enqueue(Sms(recipient=ordinary(2), text="Код"), expires_in=0.1).id
        wait_until(lambda: in_state(queue, job_id, State.EXPIRED), what="the job's time is over")
        assert client.llen("sms.normal") == 1
    finally:
        worker_up.signal(signal.SIGCONT)
    wait_until(lambda: at_rest(client), what="the worker has taken it")
    assert client.hget(f"smsq:job:{job_id}", "state") == "expired"
    assert not sandbox.calls()


def test_a_job_that_expired_in_the_schedule_is_not_called(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Its time is over before its moment comes: it ends at that moment, uncalled."""
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    job_id = queue.enqueue(Sms(recipient=ordinary(3), text="Код"), send_at=soon, expires_in=0.2).id
    assert end_of(queue, job_id).state is State.EXPIRED
    wait_until(lambda: at_rest(client), what="the schedule has let go of it")
    assert not sandbox.calls()


def enqueue_as_it_is(server: Server, sms: Sms) -> str:
    """Enqueues a message as an hour ago: without the rules that look at the clock. Returns the job's id."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    job_id = _new_id()
    runner.run(ledger.enqueue([ledger.NewJob(job_id, dump(sms))], ledger.Options("normal"), RULES_VERSION), 5.0)
    runner.close()
    return job_id


def deferred(moment: datetime) -> Sms:
    """A message for a moment, in whole seconds."""
    return Sms(recipient=ordinary(4), text="Код", deferred_to=moment.replace(microsecond=0))


def test_less_than_an_hour_left_is_our_own_wait(
    worker_up: Worker, queue: SmsQueue, server: Server, sandbox: Sandbox
) -> None:
    """The queue was slow: the job waits in our schedule and leaves at its moment, without the parameter."""
    moment = datetime.now(UTC) + timedelta(seconds=3)
    job_id = enqueue_as_it_is(server, deferred(moment))
    wait_until(lambda: in_state(queue, job_id, State.SCHEDULED), what="the job waits in our schedule")
    assert not sandbox.calls()
    assert end_of(queue, job_id).state is State.SENT
    (message,) = sandbox.messages()
    assert "params[deferredToTs]" not in message["params"]
    (call,) = sandbox.calls()
    assert call["monotonic"] - time.monotonic() + time.time() >= moment.replace(microsecond=0).timestamp() - 0.05


def test_a_moment_that_has_passed_is_now(worker_up: Worker, queue: SmsQueue, server: Server, sandbox: Sandbox) -> None:
    """The queue was slower still: the message leaves at once, without the parameter."""
    job_id = enqueue_as_it_is(server, deferred(datetime.now(UTC) - timedelta(minutes=5)))
    assert end_of(queue, job_id).state is State.SENT
    (message,) = sandbox.messages()
    assert "params[deferredToTs]" not in message["params"]


def test_a_local_time_is_passed_on_as_it_was_given(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The API's own string, in the account's zone, arrives unchanged."""
    local = (datetime.now(queue.settings.zone) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S")
    sms = Sms.model_validate({"recipient": ordinary(5), "text": "Код", "params": {"deferredToTs": local}})
    assert end_of(queue, queue.enqueue(sms).id).state is State.SENT
    assert sandbox.messages()[0]["params"]["params[deferredToTs]"] == local
