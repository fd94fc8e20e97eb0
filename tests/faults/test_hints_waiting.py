"""Thousands of jobs that wait, or are due at once: each is in one place, and stays there (F14, F15)."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from smsq import Sms, keys
from tests.faults.conftest import MakeSite
from tests.faults.site import Site
from tests.support.sandbox import ordinary
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis

JOBS = 3000
_NUMBERS = range(JOBS)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("jobs", "workers", "calls"), [(3000, 2, 100), pytest.param(20_000, 4, 2000, marks=pytest.mark.long)]
)
def test_what_waits_for_the_pace_waits_once(site: MakeSite, jobs: int, workers: int, calls: int) -> None:
    """F14: with a rate far below the backlog, and workers that look all the time, each job is in one place."""
    here = site()
    backlog(here, jobs)
    for worker in [here.start(ready=False, SMSQ_RATE_LIMIT="20/s", SMSQ_RESERVATION="1") for _ in range(workers)]:
        worker.wait_ready()
    with here.server.client() as client:
        for so_many in range(0, calls, calls // 20):
            wait_until(lambda: len(here.sandbox.calls()) >= so_many, what="calls", timeout=60)  # noqa: B023
            assert len(waiting := where(client)) == len(set(waiting)) <= jobs
            assert client.llen("sms.bulk") <= jobs
        assert not client.hget(keys.COUNTERS, "dropped_stale")
    assert set(here.sandbox.counts().values()) == {1}


def test_what_nobody_reads_stays_as_it_is(site: MakeSite) -> None:
    """F14: no worker reads the lane, and one looks at what is due all the time: not an id is added or moved."""
    here = site()
    jobs = backlog(here, JOBS)
    here.start("-Q", "sms.normal", SMSQ_DISPATCH_INTERVAL="0.05", SMSQ_SWEEP_INTERVAL="0.1")
    here.enqueue(40)
    here.check_all_sent_once()
    with here.server.client() as client:
        assert where(client) == jobs
        assert client.llen("sms.bulk") == JOBS
    assert not here.workers[0].lines("job.repaired")


def backlog(here: Site, count: int) -> list[str]:
    """Enqueues bulk messages, to numbers that no other job of the site has, and returns the jobs' ids."""
    messages = (Sms(recipient=ordinary(1_000_000 + number), text="Код") for number in range(count))
    return [job.id for job in here.queue.enqueue_many(messages, lane="bulk")]


@pytest.mark.long
def test_what_is_due_at_once_is_hinted_once(site: MakeSite) -> None:
    """F15: thousands of schedules come due in one moment; two workers put each on its lane once, and send it once."""
    here = site()
    later = datetime.now(UTC) + timedelta(days=1)
    messages = (Sms(recipient=ordinary(n), text="Код") for n in _NUMBERS)
    jobs = [job.id for job in here.queue.enqueue_many(messages, send_at=later)]
    with here.server.client() as client:
        client.zadd(keys.DUE, dict.fromkeys(jobs, 0.0), xx=True)
        for worker in [here.start("-c", "100", ready=False) for _ in range(2)]:
            worker.wait_ready()
        wait_until(lambda: not where(client), what="all are sent", timeout=90)
        assert not client.hget(keys.COUNTERS, "dropped_stale")
    assert here.sandbox.counts() == {ordinary(n): 1 for n in _NUMBERS}
    assert len(here.sandbox.calls()) == JOBS


def where(client: "redis.Redis") -> list[str]:
    """Returns the ids that wait on the lanes or for a moment, in one moment."""
    with client.pipeline(transaction=True) as look:
        for lane in ("normal", "bulk"):
            look.lrange(keys.waiting(lane, ""), 0, -1)
        look.zrange(keys.DUE, 0, -1)
        return [job_id for part in look.execute() for job_id in cast("list[str]", part)]
