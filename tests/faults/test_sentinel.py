"""Sentinels lead everybody to the new master, and nobody back to the old one (F51)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sentinels import Watched
from tests.faults.site import Site
from tests.support.sandbox import ROOT, Sandbox
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
