"""Celery's own way to ask: `AsyncResult` reads the ledger, with the worker's app or any that names the backend."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, states
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, ResultSet

from smsq import Sms, SmsQueue, keys
from smsq.errors import SmsNotSent, SmsUnknown
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of, in_state, put_off
from tests.support.sandbox import ROOT, Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import redis

TOMORROW = timedelta(days=1)


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that leaves waits to the schedule."""
    return standing(SMSQ_RETRY_WINDOW="0", SMSQ_DISPATCH_INTERVAL="0.05", SMSQ_ASK_LIMIT="3")


@pytest.fixture
def web(server: Server) -> Iterator[Celery]:
    """Another Celery application, which names our result backend and knows nothing else of us."""
    app = Celery("web", backend=f"smsq.celery_backend:LedgerBackend+{server.url}", set_as_current=False)
    yield app
    app.close()


def send(queue: SmsQueue, recipient: str, **options: Any) -> str:  # noqa: ANN401 - enqueue's options
    """Enqueues a message and returns the job's id."""
    return queue.enqueue(Sms(recipient=recipient, text="Код: 4711"), **options).id


def test_a_sent_job_gives_its_ids(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery) -> None:
    """SUCCESS, with the gateway's ids and nothing else."""
    result = AsyncResult(send(queue, sandbox.recipient("moderated")), app=web)
    ids = result.get(timeout=20)
    (message,) = sandbox.messages()
    assert ids == {"campaignId": message["campaignId"], "messageId": message["messageId"], "status": 1}
    assert (result.state, result.result, result.successful(), result.ready()) == (states.SUCCESS, ids, True, True)
    done = queue.lookup(result.id)
    assert done
    assert result.date_done == done.done_at


def test_a_refused_job_says_why(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery) -> None:
    """FAILURE, with an exception that holds the code and what is wrong with which parameter."""
    result = AsyncResult(send(queue, sandbox.recipient("sender-not-registered")), app=web)
    with pytest.raises(SmsNotSent, match="code 1: a field isn't valid") as caught:
        result.get(timeout=20)
    assert (caught.value.code, caught.value.fields) == (1, {"from": "Подпись не зарегистрирована"})
    assert not isinstance(caught.value, SmsUnknown)
    assert (result.state, result.failed()) == (states.FAILURE, True)
    assert isinstance(result.get(propagate=False), SmsNotSent)


def test_an_unknown_outcome_is_a_failure_of_its_own_kind(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery
) -> None:
    """FAILURE, with an exception that can be told from "not sent": asking has given up."""
    result = AsyncResult(send(queue, sandbox.recipient("closed")), app=web)
    with pytest.raises(SmsUnknown, match="could not say what became of the call"):
        result.get(timeout=20)
    assert result.state == states.FAILURE


def test_a_cancelled_and_an_expired_job_are_revoked(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery
) -> None:
    """REVOKED, with Celery's own exception, which says which of the two it was."""
    later = datetime.now(UTC) + TOMORROW
    cancelled, expired = (
        send(queue, ordinary(1), send_at=later),
        send(queue, ordinary(2), send_at=later, expires_in=0.05),
    )
    assert queue.cancel(cancelled)
    wait_until(lambda: in_state(queue, expired, State.EXPIRED), what="the job's time is over")
    for job_id, how in ((cancelled, "cancelled"), (expired, "expired")):
        result = AsyncResult(job_id, app=web)
        assert result.state == states.REVOKED
        with pytest.raises(TaskRevokedError, match=how):
            result.get(timeout=20)
    assert not sandbox.calls()


def test_a_job_that_has_not_ended_shows_where_it_is(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery
) -> None:
    """PENDING while it waits, STARTED during its call, RETRY between its tries; an unknown id is PENDING, as ever."""
    scheduled = AsyncResult(send(queue, ordinary(1), send_at=datetime.now(UTC) + TOMORROW), app=web)
    assert (scheduled.state, scheduled.ready(), scheduled.result) == (states.PENDING, False, None)

    started = AsyncResult(send(queue, sandbox.recipient("hang")), app=web)
    wait_until(lambda: sandbox.called(sandbox.recipient("hang")), what="the call is out")
    assert (started.state, started.ready()) == (states.STARTED, False)

    waiting = AsyncResult(send(queue, sandbox.recipient("429")), app=web)
    put_off(queue, waiting.id)
    assert (waiting.state, waiting.ready()) == (states.RETRY, False)
    assert isinstance(waiting.result, SmsNotSent)

    assert AsyncResult("nobody-knows-it", app=web).state == states.PENDING


def test_who_waits_is_woken(worker_up: Worker, queue: SmsQueue, web: Celery, client: "redis.Redis") -> None:
    """Twenty who block on one job before it is sent all get its ids, each by the wake-up that was left for him."""
    job_id = send(queue, ordinary(1), send_at=datetime.now(UTC) + timedelta(hours=1))
    got: list[Any] = []
    threads = [
        threading.Thread(target=lambda: got.append(AsyncResult(job_id, app=web).get(timeout=300)), daemon=True)
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: blocked(client) == 20, what="all twenty block")
    client.zadd(keys.DUE, {job_id: 0})
    for thread in threads:
        thread.join()
    assert len(got) == 20
    assert {answer["messageId"] for answer in got} == {end_of(queue, job_id).message_id}
    assert not client.exists(keys.wake(job_id)), "some looked by themselves"


def blocked(client: "redis.Redis") -> int:
    """Returns how many clients block on a job's end."""
    return sum(each["cmd"] == "blpop" for each in client.client_list())


@pytest.mark.parametrize("known", [True, False])
def test_waiting_ends_with_celerys_own_error(worker_up: Worker, queue: SmsQueue, web: Celery, known: bool) -> None:
    """A time that runs out is Celery's TimeoutError, for a job that waits and for an id that nobody knows."""
    job_id = send(queue, ordinary(1), send_at=datetime.now(UTC) + TOMORROW) if known else "nobody-knows-it"
    with pytest.raises(CeleryTimeoutError):
        AsyncResult(job_id, app=web).get(timeout=0.1)


def test_several_results_come_in_order(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, web: Celery) -> None:
    """A `ResultSet` of jobs is awaited as one of Celery's tasks is."""
    jobs = [send(queue, ordinary(number)) for number in range(5)]
    results = ResultSet([AsyncResult(job_id, app=web) for job_id in jobs])
    answers = results.get(timeout=20)
    ids = {message["recipient"]: message["messageId"] for message in sandbox.messages()}
    assert [answer["messageId"] for answer in answers] == [ids[ordinary(number)] for number in range(5)]


def test_nothing_is_left_behind(worker_up: Worker, queue: SmsQueue, web: Celery, client: "redis.Redis") -> None:
    """F40: fifty results used, and fifty forgotten, leave no key, no subscription and no connection each."""
    before = clients_and_channels(client)
    for number in range(50):
        job_id = send(queue, ordinary(number))
        if number % 2:
            AsyncResult(job_id, app=web).get(timeout=20)
        else:
            AsyncResult(job_id, app=web).forget()
            assert end_of(queue, job_id).state is State.SENT
    kept = {str(key).partition(":")[0] for key in client.scan_iter(count=1000)}
    assert kept <= {"smsq"} | {key for key in kept if key.startswith("_kombu.binding")}
    assert not client.keys("*celery-task-meta*")
    assert not client.keys("*unacked*")
    after = clients_and_channels(client)
    assert after[1] == before[1]
    assert after[0] <= before[0] + 4  # one of the queue and one of the backend for commands, and one each to block on


def clients_and_channels(client: "redis.Redis") -> tuple[int, set[str]]:
    """Returns how many clients there are, and which channels are subscribed to."""
    return len(client.client_list()), set(map(str, client.pubsub_channels()))


READ_WITH_THE_WORKERS_APP = """
import json, sys
from worker import app
for job_id in sys.argv[1:]:
    result = app.AsyncResult(job_id)
    value = result.get(timeout=20, propagate=False)
    print(json.dumps([result.state, value if isinstance(value, dict) else str(value)]))
"""


def test_the_workers_own_app_reads_the_same(
    worker_up: Worker, queue: SmsQueue, server: Server, sandbox: Sandbox
) -> None:
    """A process that imports the worker's application gets the same states, ids and reasons."""
    jobs = [send(queue, ordinary(1)), send(queue, sandbox.recipient("code-2")), send(queue, sandbox.recipient("500"))]
    ended = subprocess.run(
        [sys.executable, "-c", READ_WITH_THE_WORKERS_APP, *jobs],
        cwd=ROOT,
        env=environment(server.url, sandbox.url, MOBIZON_API_KEY=""),
        capture_output=True,
        text=True,
        check=True,
    )
    (message,) = sandbox.messages()
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        ["SUCCESS", {"campaignId": message["campaignId"], "messageId": message["messageId"], "status": 2}],
        ["FAILURE", "code 2: record not found (detail: Запись не найдена)"],
        ["FAILURE", "the gateway could not say what became of the call: not found, which alone proves nothing"],
    ]
