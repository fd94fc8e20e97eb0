"""One rate for all workers: never more than the limit in any window, nearly all of it while there is work."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.ledger.holding import Reserved, Share
from smsq.states import State
from tasks.pace import Pace
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

RATE = 40
JOBS = 160


def test_no_window_has_more_calls_than_the_limit(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Two workers, 40/s: one that knew nothing of the other would make 80 in a second, and one without a pace all 160.

    On a machine that stands still, calls made on time reach the gateway together: room for half a second of it.
    """
    for _ in range(2):
        worker(SMSQ_RATE_LIMIT=f"{RATE}/s")
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(n), text="Код") for n in range(JOBS))]
    assert {end_of(queue, job_id, 60).state for job_id in jobs} == {State.SENT}
    moments = sorted(call["monotonic"] for call in sandbox.calls())
    assert len(moments) == JOBS
    crowded = [first for first in moments if sum(first <= each < first + 1 for each in moments) > 1.5 * RATE]
    assert not crowded


def test_calls_that_ask_count_too(worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox) -> None:
    """Questions keep the same distance from calls as calls do from each other."""
    worker(SMSQ_RATE_LIMIT="1/s")
    lost = queue.enqueue(Sms(recipient=sandbox.recipient("closed-accepted"), text="Код")).id
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(n), text="Код") for n in range(7))]
    assert {end_of(queue, job_id, 60).state for job_id in (lost, *jobs)} == {State.SENT}
    assert any(call["method"] == "message/list" for call in sandbox.calls())
    moments = sorted(call["monotonic"] for call in sandbox.calls())
    assert min(later - earlier for earlier, later in pairwise(moments)) > 0.5


def test_questions_about_what_was_sent_are_few_however_many_workers_ask(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Each tenth call of all workers at most, here two a second; three workers on their own make six."""
    for _ in range(3):
        worker(SMSQ_RATE_LIMIT="20/s", SMSQ_DISPATCH_INTERVAL="0.1")
    jobs = [queue.enqueue(Sms(recipient=sandbox.recipient("moderated"), text=f"Код {n}")).id for n in range(9)]
    assert {end_of(queue, job_id, 60).state for job_id in jobs} == {State.SENT}

    def asked() -> list[float]:
        client.zadd(keys.FOLLOW, dict.fromkeys(jobs, 0), xx=True)
        return sorted(call["monotonic"] for call in sandbox.calls() if call["method"] == "campaign/get")

    wait_until(lambda: len(asked()) >= 8, what="they are asked about")
    assert min(later - earlier for earlier, later in pairwise(asked())) > 0.25


def test_too_many_calls_slow_all_workers_down(worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox) -> None:
    """Code 30 for one call: nobody calls for the time it asks for, and the pace is lower for a while."""
    first = worker(SMSQ_RATE_LIMIT="50/s", SMSQ_RETRY_WINDOW="0", SMSQ_DISPATCH_INTERVAL="0.1")
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "429"})
    queue.enqueue(Sms(recipient=ordinary(0), text="Код"))
    first.wait_lines("gate.closed")
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(n), text="Код") for n in range(1, 20))]
    assert {end_of(queue, job_id, 60).state for job_id in jobs} == {State.SENT}
    refused, *later = sorted(call["monotonic"] for call in sandbox.calls())
    assert later[0] - refused >= 0.95, "Retry-After: 1"
    assert (later[18] - later[0]) / 18 > 1.25 / 50, "at half the rate"


def test_too_many_questions_slow_all_workers_down(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """HTTP 429 for a question holds the pace of calls too: they count alike."""
    asker = worker(SMSQ_RATE_LIMIT="50/s", SMSQ_DISPATCH_INTERVAL="0.1")
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "429", "method": "message/list"})
    lost = queue.enqueue(Sms(recipient=sandbox.recipient("closed-accepted"), text="Код")).id
    assert asker.wait_lines("gate.closed")[0]["gate"] == "pace"
    assert end_of(queue, lost, 60).state is State.SENT


def test_too_many_calls_are_heard_where_a_try_in_place_gets_over_them(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Code 30 for one call, which is tried again at once and accepted: the pace is lower all the same."""
    running = worker(SMSQ_RATE_LIMIT="50/s", SMSQ_DISPATCH_INTERVAL="0.1")
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "code-30"})
    job = queue.enqueue(Sms(recipient=ordinary(0), text="Код")).id
    running.wait_lines("gate.closed")
    assert end_of(queue, job).state is State.SENT
    assert end_of(queue, job).attempts == 2


@pytest.mark.parametrize("who", ["a call", "a question"])
def test_who_stood_still_over_its_moment_takes_another(who: str) -> None:
    """Late ones would crowd with those whose moment it is by now."""
    reserved = []

    async def reserve(count: int, share: Share | None = None) -> Reserved:
        reserved.append(count)
        asked.set()
        return Reserved(count, 20, 10)

    async def go() -> None:
        pace = Pace(reserve, 10)
        permit = pace.permit(None) if who == "a call" else pace.permit_of(Share("asking", 1))
        assert permit
        async with asyncio.TaskGroup() as group:
            group.create_task(_awaited(permit()))
            await asked.wait()
            time.sleep(0.2)  # noqa: ASYNC251 - the whole process stands still

    asked = asyncio.Event()
    asyncio.run(go())
    assert len(reserved) >= 2


async def _awaited(permit: Awaitable[None]) -> None:
    await permit
