"""The same hint again and again (F30): copies of ids on the lanes, before, during and after their calls."""

import random
from typing import TYPE_CHECKING

import pytest

from smsq import keys
from tests.faults.conftest import MakeSite
from tests.support.jobs import at_rest
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis


def publish(client: "redis.Redis", ids: list[str]) -> None:
    """Puts copies of ids on the lane, as if somebody published the hints again, and rings."""
    with client.pipeline() as pipeline:
        pipeline.rpush(keys.waiting("normal", ""), *ids)
        pipeline.rpush(keys.ring("normal"), "")
        pipeline.rpush("sms.normal", *["1"] * len(ids))
        pipeline.rpush(keys.bell("normal"), "1")
        pipeline.execute()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("jobs", "copies", "workers"), [(100, 30, 2), pytest.param(1000, 50, 4, marks=pytest.mark.long)]
)
def test_copies_of_hints_are_harmless_and_cheap(site: MakeSite, jobs: int, copies: int, workers: int) -> None:
    """F30: in random order, before, during and after the calls: each is called once, and copies cost little."""
    here = site()
    here.sandbox.post("/sandbox/latency", seconds=0.3)
    with here.server.client() as client:
        client.hset(keys.PAUSE, "all", "1 a test")
        ids = here.enqueue(jobs)
        hints = ids * copies
        random.Random(30).shuffle(hints)  # noqa: S311 - an order
        share = len(hints) // 3
        publish(client, hints[:share])
        for _ in range(workers):
            here.start("-c", "20")
        client.config_resetstat()
        client.delete(keys.PAUSE)
        here.calls_are_out(1)
        for start in range(share, 2 * share, 500):
            publish(client, hints[start : min(start + 500, 2 * share)])
        here.check_all_sent_once()
        publish(client, hints[2 * share :])
        wait_until(lambda: at_rest(client), what="the copies are gone")
        runs = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert here.sandbox.counts().total() == len(here.sandbox.calls()) == jobs
    assert runs < len(hints) - jobs, "less than a script's run for each surplus hint"
    here.check_consumes()
    here.same_processes()
