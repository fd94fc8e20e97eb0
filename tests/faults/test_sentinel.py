"""Sentinels lead everybody to the new master, and nobody back to the old one (F51)."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smsq.states import State
from tests.faults.sentinels import Watched
from tests.faults.site import Site, last
from tests.support.sandbox import ROOT, Sandbox
from tests.support.waiting import wait_until
from tests.support.worker import environment

RESULT = "import sys; from worker import app; print(app.AsyncResult(sys.argv[1]).get(timeout=20))"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Two servers and three sentinels."""
    with Watched(tmp_path) as watched:
        yield watched


@pytest.fixture
def site(watched: Watched, sandbox: Sandbox, tmp_path: Path) -> Iterator[Site]:
    """Workers and producers who are told nothing but the sentinels' addresses."""
    site = Site(watched.servers[0], sandbox, tmp_path, url=watched.url, producers=watched.url)
    yield site
    site.close()


def check_results(site: Site, job_id: str) -> None:
    """Looks whether Celery's results are found at the new master."""
    env = environment(site.url, site.sandbox.url)
    done = subprocess.run(
        [sys.executable, "-c", RESULT, job_id], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert "messageId" in done.stdout, done.stderr[-2000:]


def test_all_follow_to_the_new_master(site: Site, watched: Watched) -> None:
    """F51: the first sentinel is frozen, the master dies under load: producers, workers and results follow."""
    old, new = watched.servers
    watched.freeze_first_sentinel()
    site.start("-c", "10")
    site.sandbox.post("/sandbox/latency", seconds=0.3)
    site.enqueue(60)
    site.calls_are_out(10)
    watched.replica_has_all()
    old.kill()
    site.server = new
    (first, *_) = site.enqueue(40)
    site.check_consumes()
    site.check_all_sent_once()
    site.same_processes()
    check_results(site, first)
    old.start()


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_nobody_writes_to_a_master_that_comes_back(site: Site, watched: Watched, seconds: int) -> None:
    """F51: the master was frozen and thinks that it still is one: jobs are accepted, and sent, by the new one alone."""
    old, new = watched.servers
    site.start("-c", "10")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(site.enqueue, [5] * 16))  # everybody has connections to the old one, and knows no other
        watched.replica_has_all()
        old.signal(signal.SIGSTOP)
        burst = [pool.submit(site.enqueue, 5) for _ in range(4)]  # the other twelve connections rest meanwhile
        wait_until(lambda: watched.master_is(new), what="the sentinels agree on the new master")
        last(seconds)
        for each in burst:  # before the thaw: nobody can take back what is on its way to a frozen server
            each.result()
        old.signal(signal.SIGCONT)
        with old.client() as client:
            while client.info("replication")["role"] == "master":
                for (job_id,) in pool.map(site.enqueue, [1] * 16):
                    job = site.queue.wait(job_id, 5)
                    assert job, "it was accepted by the old master, and is lost"
                    assert job.state is State.SENT, "the worker is with the new one"
    site.server = new
    site.check_consumes()
    site.check_all_sent_once()
    site.same_processes()
