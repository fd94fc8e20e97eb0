"""A worker ends, asked or killed: calls that are out end or are never repeated, and the rest goes to others."""

import os
import signal
from collections.abc import Callable, Iterable

import pytest
import redis

from smsq import Sms, SmsQueue, keys
from smsq.lanes import queue_name
from smsq.states import State
from tests.sending.test_asking import SETTLES_SOON, settled
from tests.support.jobs import at_rest, end_of, in_state, make_due, put_off
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

SLOTS = 5
JOBS = 60
#: Seconds that the gateway takes for an answer: long enough for a test to act meanwhile.
LATENCY = 1.5

StartWorker = Callable[..., Worker]


def enqueue(queue: SmsQueue, count: int) -> list[str]:
    """Enqueues messages for ordinary numbers and returns the jobs' ids."""
    messages = (Sms(recipient=ordinary(number), text="Код") for number in range(count))
    return [job.id for job in queue.enqueue_many(messages)]


def in_states(queue: SmsQueue, jobs: Iterable[str], state: State) -> list[str]:
    """Returns those of the jobs that are in a state."""
    return [job_id for job_id in jobs if in_state(queue, job_id, state)]


def term(worker: Worker) -> None:
    """SIGTERM to the main process, as a supervisor sends it."""
    worker.signal(signal.SIGTERM)


def term_group(worker: Worker) -> None:
    """SIGTERM to the whole process group, as a shell or some supervisors send it."""
    os.killpg(worker.pid, signal.SIGTERM)


def quit_cold(worker: Worker) -> None:
    """SIGQUIT, Celery's cold shutdown."""
    worker.signal(signal.SIGQUIT)


@pytest.mark.parametrize("stop", [term, term_group, quit_cold])
def test_a_stopping_worker_gives_back_at_once_what_it_has_not_called(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, stop: Callable[[Worker], None]
) -> None:
    """F34, F49: with its calls still out all it had taken is on the lane again; then these end well, and it exits."""
    leaving = worker("--concurrency", str(SLOTS))
    sandbox.post("/sandbox/latency", seconds=LATENCY)
    jobs = enqueue(queue, JOBS)
    wait_until(lambda: len(sandbox.calls()) == SLOTS, what="the slots are full")
    stop(leaving)
    wait_until(lambda: len(in_states(queue, jobs, State.QUEUED)) == JOBS - SLOTS, what="the rest is on the lane again")
    assert len(in_states(queue, jobs, State.SENDING)) == SLOTS, "the calls had ended already"
    assert leaving.process.wait(20) == 0
    left_as_it_should_be(queue, sandbox, jobs)


@pytest.mark.parametrize(
    ("stop", "pool"),
    [(term, ()), (quit_cold, ()), (term_group, ("-P", "prefork", "-c", "2"))],
    ids=["term", "quit", "prefork"],
)
def test_who_has_stopped_is_not_missed(
    worker: StartWorker, client: "redis.Redis", stop: Callable[[Worker], None], pool: tuple[str, ...]
) -> None:
    """Nothing tells of a worker that ended as it was asked to; one that was killed is known until it counts as lost."""
    leaving, killed = worker("-n", "leaving", *pool), worker("-n", "killed", *pool)
    wait_until(lambda: client.hlen(keys.WORKERS) == 2, what="both are known")
    killed.kill()
    stop(leaving)
    assert leaving.process.wait(20) == 0
    [left] = client.hvals(keys.WORKERS)
    assert f'"pid": {killed.pid},' in left


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_on_celerys_pools_what_was_not_called_is_back_when_the_worker_has_gone(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, pool: str
) -> None:
    """F34: its calls end well, the rest is on the lane, and it exits with 0."""
    leaving = worker("-P", pool, "--concurrency", str(SLOTS))
    sandbox.post("/sandbox/latency", seconds=LATENCY)
    jobs = enqueue(queue, JOBS)
    wait_until(lambda: len(sandbox.calls()) == SLOTS, what="the slots are full")
    term(leaving)
    assert leaving.process.wait(20) == 0
    left_as_it_should_be(queue, sandbox, jobs)


def left_as_it_should_be(queue: SmsQueue, sandbox: Sandbox, jobs: list[str]) -> None:
    """Checks that what was called is sent, and that all else is on its lane as if nobody had taken it."""
    sent = in_states(queue, jobs, State.SENT)
    assert len(sent) == len(sandbox.calls()) == SLOTS
    waiting = [queue.lookup(job_id) for job_id in jobs if job_id not in sent]
    assert {(job.state, job.attempts, job.error) for job in waiting if job} == {(State.QUEUED, 0, None)}
    with redis.Redis.from_url(queue.settings.redis_url) as client:
        assert client.llen("sms.normal") == client.llen(keys.waiting("normal", "")) == JOBS - SLOTS
        assert client.zcard(keys.DUE) == 0


def test_another_worker_has_the_rest_while_the_calls_are_out(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """F34: two workers under load, one is stopped: the other sends what it gives back; each number gets one message."""
    leaving, staying = worker("--concurrency", str(SLOTS)), worker("--concurrency", str(SLOTS))
    sandbox.post("/sandbox/latency", seconds=0.5)
    jobs = enqueue(queue, JOBS)
    wait_until(lambda: len(sandbox.calls()) >= 2 * SLOTS, what="both call")
    term(leaving)
    assert leaving.process.wait(20) == 0
    sandbox.post("/sandbox/latency", seconds=0)
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    assert set(sandbox.counts().values()) == {1}
    assert len(sandbox.calls()) == JOBS
    leaving.wait_lines("job.sent")
    staying.wait_lines("job.sent")


def test_a_wait_in_place_ends_with_the_worker(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F61: a job between two tries goes to the schedule with its attempts and its reason; no call follows the stop."""
    number = sandbox.recipient("429")
    leaving = worker(SMSQ_RETRY_WINDOW="50", SMSQ_LEASE="90")
    job_id = queue.enqueue(Sms(recipient=number, text="Код")).id
    wait_until(lambda: sandbox.called(number) == 2, what="the second try")
    term(leaving)
    assert leaving.process.wait(20) == 0
    job = queue.lookup(job_id)
    assert job
    assert (job.state, job.attempts) == (State.RETRYING, sandbox.called(number))
    assert put_off(queue, job_id).reason == "too many calls (HTTP 429)"
    assert client.zscore(keys.DUE, job_id)


def test_a_call_that_outlasts_the_grace_is_never_repeated(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """The worker ends when its grace is over; nobody calls again, but the gateway is asked."""
    number = sandbox.recipient("hang-accepted")
    leaving = worker(SMSQ_SHUTDOWN_GRACE="1")
    job_id = queue.enqueue(Sms(recipient=number, text="Код")).id
    wait_until(lambda: sandbox.called(number), what="the call is out")
    term(leaving)
    leaving.process.wait(20)
    worker(SMSQ_DISPATCH_INTERVAL="0.05")
    if in_state(queue, job_id, State.SENDING):
        make_due(client, job_id)
    assert end_of(queue, job_id).state is State.SENT
    assert sandbox.counts()[number] == sandbox.called(number) == 1


def test_what_a_killed_worker_had_not_begun_is_anothers(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F29, F32: two calls were out and two jobs reserved: another sends these when their reservation is over."""
    dying = worker("-P", "prefork", "--concurrency", "2", SMSQ_RESERVATION="1")
    sandbox.post("/sandbox/latency", seconds=20)
    jobs = enqueue(queue, 10)
    wait_until(lambda: len(sandbox.calls()) == 2, what="two calls are out")
    wait_until(lambda: client.zcard(keys.DUE) == 4, what="two more are reserved")
    begun = in_states(queue, jobs, State.SENDING)
    dying.kill()
    sandbox.post("/sandbox/latency", seconds=0)
    worker(SMSQ_DISPATCH_INTERVAL="0.05")
    rest = [job_id for job_id in jobs if job_id not in begun]
    assert {end_of(queue, job_id).state for job_id in rest} == {State.SENT}
    assert len(begun) == 2
    assert len(sandbox.calls()) == 10
    assert set(sandbox.counts().values()) == {1}


def test_what_a_killed_worker_had_begun_is_never_called_again(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Killed in mid-call: when the lease is over the gateway is asked, and each job has its ids; one message each."""
    dying = worker("--concurrency", str(SLOTS))
    sandbox.post("/sandbox/latency", seconds=20)
    jobs = enqueue(queue, SLOTS)
    wait_until(lambda: len(sandbox.calls()) == SLOTS, what="the calls are out")
    dying.kill()
    sandbox.post("/sandbox/latency", seconds=0)
    survivor = worker(SMSQ_DISPATCH_INTERVAL="0.05")
    for job_id in jobs:
        assert in_state(queue, job_id, State.SENDING)
        make_due(client, job_id)
    ended = [end_of(queue, job_id) for job_id in jobs]
    assert {(job.state, job.error) for job in ended} == {(State.SENT, None)}
    assert {job.message_id for job in ended} == {message["messageId"] for message in sandbox.messages()}
    assert at_rest(client)
    assert {line["job_id"] for line in survivor.wait_lines("job.asking", len(jobs))} == set(jobs)
    survivor.wait_lines("job.sent", len(jobs))
    assert sandbox.counts() == {ordinary(number): 1 for number in range(SLOTS)}
    assert {sandbox.called(ordinary(number)) for number in range(SLOTS)} == {1}


def test_who_prefers_two_to_none_is_called_again_after_a_kill(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Killed in mid-call with on_unknown="resend": when the lease is over another calls again, once."""
    dying = worker("--concurrency", "1")
    sandbox.post("/sandbox/latency", seconds=20)
    job_id = queue.enqueue(Sms(recipient=ordinary(0), text="Код"), on_unknown="resend").id
    wait_until(sandbox.calls, what="the call is out")
    dying.kill()
    sandbox.post("/sandbox/latency", seconds=0)
    survivor = worker(SMSQ_DISPATCH_INTERVAL="0.05")
    make_due(client, job_id)
    job = end_of(queue, job_id)
    assert (job.state, job.attempts) == (State.SENT, 2)
    assert len(sandbox.calls()) == 2
    survivor.wait_lines("job.resend")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_cold_stop_cuts_no_call_on_celerys_pools(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, pool: str
) -> None:
    """SIGQUIT: what is out gets its answer there too, and the worker ends as told."""
    leaving = worker("-P", pool, "--concurrency", "3")
    sandbox.post("/sandbox/latency", seconds=LATENCY)
    jobs = enqueue(queue, 3)
    wait_until(lambda: len(sandbox.calls()) == 3, what="the calls are out")
    leaving.signal(signal.SIGQUIT)
    assert leaving.process.wait(30) == 0
    assert len(in_states(queue, jobs, State.SENT)) == 3, leaving.text()[-3000:]
    assert "Unrecoverable" not in leaving.text()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_leaves_calls_a_few_seconds(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", second: int
) -> None:
    """Item 7: a call that ends in them is settled; one that doesn't is asked about by others; what waits is back."""
    number = sandbox.recipient("hang-accepted")
    leaving = worker("-c", "2", SMSQ_SHUTDOWN_GRACE="600", SMSQ_CALL_TIMEOUT="200", SMSQ_LEASE="210")
    sandbox.post("/sandbox/latency", seconds=2)
    hanging = queue.enqueue(Sms(recipient=number, text="Код")).id
    slow, waiting, last = enqueue(queue, 3)
    wait_until(lambda: len(sandbox.calls()) >= 1 and sandbox.called(ordinary(0)), what="two calls are out")
    leaving.signal(signal.SIGTERM)
    wait_until(lambda: client.llen(queue_name("normal")) == 2, what="it has begun to stop: what waits is back")
    leaving.signal(second)
    leaving.process.wait(30)
    assert in_state(queue, slow, State.SENT)
    assert in_state(queue, hanging, State.SENDING)
    assert in_state(queue, waiting, State.QUEUED)
    worker(SMSQ_DISPATCH_INTERVAL="0.05")
    client.zadd(
        keys.DUE, {hanging: 0}, xx=True
    )  # its lease is over; unless its worker could still say that nobody knows
    assert {end_of(queue, job_id).state for job_id in (hanging, waiting, last)} == {State.SENT}
    assert {sandbox.called(each) for each in (number, *map(ordinary, range(3)))} == {1}


def test_a_frozen_worker_that_wakes_starts_no_call_whose_lease_is_gone(
    worker: StartWorker, queue: SmsQueue, sandbox: Sandbox
) -> None:
    """F10: it had begun five jobs and called for four; the others were taken over meanwhile: one call each."""
    frozen = worker("-c", "4", **SETTLES_SOON)
    sandbox.post("/sandbox/latency", seconds=1.5)
    jobs = enqueue(queue, 5)
    wait_until(lambda: len(in_states(queue, jobs, State.SENDING)) == 5, what="one waits for a slot")
    frozen.signal(signal.SIGSTOP)
    try:
        sandbox.post("/sandbox/latency", seconds=0)
        worker(**SETTLES_SOON)
        assert {settled(queue, job_id) for job_id in jobs} == {State.SENT}
    finally:
        frozen.signal(signal.SIGCONT)
    after = [queue.enqueue(Sms(recipient=ordinary(50 + number), text="Код")).id for number in range(20)]
    assert {end_of(queue, job_id).state for job_id in after} == {State.SENT}
    assert frozen.stop() == 0
    assert {sandbox.called(ordinary(number)) for number in range(5)} == {1}
