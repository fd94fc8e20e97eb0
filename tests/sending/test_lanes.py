"""Who is called first: urgent before the rest, batches side by side, and what was cancelled never."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.lanes import LANES, Lane
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import at_rest, end_of, in_state
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

SLOTS = 5


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker with few slots."""
    return standing("--concurrency", str(SLOTS), SMSQ_DISPATCH_INTERVAL="0.05")


def enqueue(queue: SmsQueue, numbers: range, lane: Lane, batch_id: str | None = None) -> list[str]:
    """Enqueues messages for ordinary numbers and returns the jobs' ids."""
    messages = (Sms(recipient=ordinary(number), text="Код") for number in numbers)
    return [job.id for job in queue.enqueue_many(messages, lane=lane, batch_id=batch_id)]


def called(sandbox: Sandbox) -> list[str]:
    """Returns the numbers that were called for, in order."""
    return [call["recipient"] for call in sandbox.calls()]


def stop(queue: SmsQueue, client: "redis.Redis", batch_id: str) -> None:
    """Cancels what is left of a batch, and waits until nobody will call for any of its jobs."""
    queue.cancel(batch_id=batch_id)
    wait_until(lambda: at_rest(client), what="every job has ended")


def test_an_urgent_job_does_not_wait_behind_a_campaign(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F44: two thousand bulk jobs wait and every slot is busy: urgent ones are called within one turn of the slots."""
    sandbox.post("/sandbox/latency", seconds=0.4)
    enqueue(queue, range(2000), "bulk", "campaign")
    wait_until(lambda: len(sandbox.calls()) >= 2 * SLOTS, what="the slots are full")
    before = len(sandbox.calls())
    urgent = enqueue(queue, range(5000, 5000 + SLOTS), "urgent")
    normal = enqueue(queue, range(6000, 6000 + SLOTS), "normal")
    assert {end_of(queue, job_id).state for job_id in urgent + normal} == {State.SENT}
    order = called(sandbox)
    last_urgent, last_normal = (max(order.index(ordinary(first + n)) for n in range(SLOTS)) for first in (5000, 6000))
    assert last_urgent < last_normal
    campaign = {ordinary(n) for n in range(2000)}
    # At most one turn of the slots is bulk's before urgent's own, and what is its own in any case.
    assert sum(number in campaign for number in order[before:last_urgent]) < 2 * SLOTS
    assert sum(number in campaign for number in order[before:last_normal]) < 3 * SLOTS
    stop(queue, client, "campaign")


def test_calls_that_hang_keep_no_other_lane_waiting(
    worker_up: Worker, worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """A campaign whose calls all hang has every slot of its own, and the window full: the others are sent meanwhile."""
    worker_up.signal(signal.SIGSTOP)
    try:
        hung = worker("--concurrency", str(SLOTS), SMSQ_DISPATCH_INTERVAL="0.05")
        hanging = (Sms(recipient=sandbox.recipient("hang"), text=f"Код {number}") for number in range(100))
        list(queue.enqueue_many(hanging, lane="bulk", batch_id="campaign"))
        wait_until(lambda: len(sandbox.calls()) == SLOTS, what="every slot hangs")
        others = enqueue(queue, range(10), "urgent") + enqueue(queue, range(10, 20), "normal")
        assert {end_of(queue, job_id).state for job_id in others} == {State.SENT}
        batch = queue.batch("campaign")
        hung.kill()
    finally:
        worker_up.signal(signal.SIGCONT)
    assert batch
    # Begin runs ahead of the slots, but not far: whatever has begun must be asked about if the worker dies.
    assert SLOTS <= batch.counts[State.SENDING] <= 2 * SLOTS
    queue.cancel(batch_id="campaign")


@pytest.mark.parametrize("hanging", LANES)
def test_calls_that_hang_keep_no_other_lane_from_being_heard(
    worker_up: Worker,
    worker: Callable[..., Worker],
    queue: SmsQueue,
    sandbox: Sandbox,
    hanging: Lane,
) -> None:
    """One lane's calls all hang and more of it waits: each of the others is heard, above it and below it.

    Also at the moment when their own part of the window was full, and is free again.
    """
    others = [lane for lane in LANES if lane != hanging]
    worker_up.signal(signal.SIGSTOP)
    try:
        patient = worker("--concurrency", str(SLOTS), "--include", "tests.support.patience")
        messages = (Sms(recipient=sandbox.recipient("hang"), text=f"Код {number}") for number in range(100))
        list(queue.enqueue_many(messages, lane=hanging, batch_id="hanging"))
        wait_until(lambda: len(sandbox.calls()) == SLOTS, what="every slot hangs")
        for first in range(0, 40, 4):
            numbers = range(first, first + 4)
            jobs = [job_id for lane in others for job_id in enqueue(queue, numbers, lane)]
            assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
        patient.kill()
    finally:
        worker_up.signal(signal.SIGCONT)
    queue.cancel(batch_id="hanging")


def test_no_lane_waits_for_ever(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis") -> None:
    """Urgent jobs enough for any time: what waits on the lower lanes is sent all the same, while most of these wait."""
    sandbox.post("/sandbox/latency", seconds=0.05)
    enqueue(queue, range(1500), "urgent", "codes")
    lower = enqueue(queue, range(5000, 5010), "normal") + enqueue(queue, range(6000, 6010), "bulk")
    assert {end_of(queue, job_id).state for job_id in lower} == {State.SENT}
    assert client.llen("sms.urgent") > 0
    stop(queue, client, "codes")


def test_batches_of_a_lane_take_turns(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """F44: a small batch that comes after a large one isn't behind it: it is done while most of the large one waits."""
    sandbox.post("/sandbox/latency", seconds=0.05)
    enqueue(queue, range(1000), "bulk", "large")
    small = enqueue(queue, range(7000, 7010), "bulk", "small")
    assert {end_of(queue, job_id).state for job_id in small} == {State.SENT}
    large = queue.batch("large")
    assert large
    assert large.counts[State.QUEUED] > 900
    stop(queue, client, "large")


def test_a_batch_is_counted(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Its counts say how many of its jobs ended how, and nothing of other jobs."""
    enqueue(queue, range(3), "bulk")
    names = ("code-1", "code-2", "closed-accepted")
    numbers = [*map(ordinary, range(10, 15)), *map(sandbox.recipient, names)]
    messages = (Sms(recipient=number, text="Код") for number in numbers)
    jobs = [job.id for job in queue.enqueue_many(messages, batch_id="autumn")]
    for job_id in jobs:
        end_of(queue, job_id)
    batch = queue.batch("autumn")
    assert batch
    assert {state: count for state, count in batch.counts.items() if count} == {
        State.SENT: 6,
        State.FAILED: 2,
    }
    assert (batch.total, batch.cancelled) == (8, False)
    assert batch.first <= batch.last


def test_a_cancelled_batch_is_not_called_any_more(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Cancelled in the middle: what was called is sent, and all else ends cancelled; every job is one of the two."""
    sandbox.post("/sandbox/latency", seconds=0.2)
    jobs = enqueue(queue, range(2000), "bulk", "autumn")
    wait_until(lambda: len(sandbox.calls()) >= SLOTS, what="the slots are full")
    waiting = queue.cancel(batch_id="autumn")
    assert 0 < waiting < 2000
    wait_until(lambda: at_rest(client), what="every job has ended")
    states = [str(client.hget(f"smsq:job:{job_id}", "state")) for job_id in jobs]
    sent = states.count("sent")
    assert sent + states.count("cancelled") == 2000
    assert len(sandbox.calls()) == len(sandbox.messages()) == sent <= 2000 - waiting
    batch = queue.batch("autumn")
    assert batch
    assert (batch.counts[State.SENT], batch.counts[State.CANCELLED]) == (sent, 2000 - sent)


def test_a_large_batch_ends_uncalled_while_urgent_jobs_pass(
    worker_up: Worker, worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Twenty thousand, two workers: after the one write only calls that were out are made, and urgent ones go first."""
    large, out = 20_000, 2 * 2 * SLOTS
    worker("--concurrency", str(SLOTS), SMSQ_DISPATCH_INTERVAL="0.05")
    sandbox.post("/sandbox/latency", seconds=0.1)
    enqueue(queue, range(large), "bulk", "autumn")
    wait_until(lambda: len(sandbox.calls()) >= 2 * SLOTS, what="the slots are full")
    waiting = queue.cancel(batch_id="autumn")
    before = len(sandbox.calls())
    urgent = enqueue(queue, range(50_000, 50_050), "urgent")
    assert {end_of(queue, job_id).state for job_id in urgent} == {State.SENT}
    order = called(sandbox)
    campaign = {ordinary(n) for n in range(large)}
    assert sum(number in campaign for number in order[before:]) <= out
    assert {ordinary(n) for n in range(50_000, 50_050)} <= set(order[before : before + out + 50])
    wait_until(lambda: at_rest(client), what="every job has ended")
    sent = sum(number in campaign for number in called(sandbox))
    assert set(sandbox.counts().values()) == {1}
    assert sent <= large - waiting
    batch = queue.batch("autumn")
    assert batch
    assert {state: count for state, count in batch.counts.items() if count} == {
        State.SENT: sent,
        State.CANCELLED: large - sent,
    }
    assert (client.llen("sms.bulk"), client.exists(keys.ring("bulk"))) == (0, 0)


def test_a_worker_can_be_kept_for_one_lane(
    worker_up: Worker, worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """`-Q sms.urgent`: it sends the urgent jobs and leaves the others to the workers that consume them."""
    worker_up.signal(signal.SIGSTOP)
    try:
        worker("-Q", "sms.urgent")
        others = enqueue(queue, range(10), "normal") + enqueue(queue, range(10, 20), "bulk")
        urgent = enqueue(queue, range(20, 40), "urgent")
        assert {end_of(queue, job_id).state for job_id in urgent} == {State.SENT}
        assert all(in_state(queue, job_id, State.QUEUED) for job_id in others)
        assert (client.llen("sms.normal"), client.llen("sms.bulk")) == (10, 10)
    finally:
        worker_up.signal(signal.SIGCONT)
    assert {end_of(queue, job_id).state for job_id in others} == {State.SENT}
    assert set(sandbox.counts().values()) == {1}
