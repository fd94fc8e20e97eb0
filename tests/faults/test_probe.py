"""A live worker is one that consumes: what `smsq probe` tells from what only looks alike (F92)."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from smsq import Sms, keys
from smsq.lanes import LANES, queue_name
from smsq.states import State
from tests.faults import stuck
from tests.faults.conftest import MakeSite
from tests.faults.site import POOLS, Site
from tests.support.sandbox import ROOT
from tests.support.waiting import wait_until
from tests.support.wire import Wire, _Link
from tests.support.worker import Worker, environment
from worker.lifecycle import Pulse, Work

#: Seconds of silence at which the probe fails here; a site's jobs may take nine.
LIMIT = 5


class BrokersHole(Wire):
    """A wire on which the consumers' connections, and no others, can be in a black hole; new ones of theirs too."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._consumers_flow = asyncio.Event()
        self._consumers_flow.set()

    def swallow_consumers(self) -> None:
        """Forwards nothing more of theirs, in neither direction, and closes nothing."""
        self._loop.call_soon_threadsafe(self._consumers_flow.clear)

    def give_back_consumers(self) -> None:
        """Forwards all that was held back, and what comes."""
        self._loop.call_soon_threadsafe(self._consumers_flow.set)

    async def _up(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1 << 16):
            if b"smsq-broker" in request:
                link.flows = self._consumers_flow
            await link.flows.wait()
            writer.write(request)
            await writer.drain()


def probe(site: Site, name: str, limit: float = LIMIT) -> "subprocess.CompletedProcess[str]":
    """Runs the command; the health check of a container is the same with `--worker` left out."""
    command = [sys.executable, "-m", "smsq.cli", "probe", "--worker", name, "--stalled", str(limit)]
    env = environment(site.server.url, "http://127.0.0.1:9")
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=30)


def heartbeat(site: Site, name: str) -> tuple[int, dict[str, Any]]:
    """Returns when a worker gave its last heartbeat, and what it said of itself."""
    with site.server.client() as client:
        beat, _, said = (client.hget(keys.WORKERS, name) or "0 {}").partition(" ")
    return int(beat), json.loads(said)


def stalled(site: Site, name: str) -> float:
    """Returns the seconds of silence that a worker told of last."""
    return float(heartbeat(site, name)[1].get("stalled", 0))


def fails(site: Site, name: str, limit: float = LIMIT) -> None:
    """Waits until a worker tells of that much silence, and checks that the probe fails and says so in one line."""
    wait_until(lambda: stalled(site, name) >= limit, what=f"{name} tells that it stands still", timeout=limit + 40)
    ended = probe(site, name, limit)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "though it should" in line


def is_well(site: Site, name: str) -> None:
    """Waits until a worker tells of no silence, and checks that the probe passes."""
    wait_until(lambda: stalled(site, name) < LIMIT, what=f"{name} is well again")
    ended = probe(site, name)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.fixture
def wired(site: MakeSite) -> Iterator[tuple[Site, BrokersHole]]:
    """A site whose workers reach Redis through a wire that can swallow their consumers' connections."""
    with ExitStack() as stack:
        holes: list[BrokersHole] = []

        def wire_to(port: int) -> str:
            holes.append(stack.enter_context(BrokersHole(port)))
            return holes[0].redis_url

        yield site(through=wire_to), holes[0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("limit", [LIMIT, pytest.param(60, marks=pytest.mark.long)])
def test_a_consumer_whose_connection_is_frozen_fails(wired: tuple[Site, BrokersHole], limit: int) -> None:
    """F92: jobs wait, the heartbeat goes on, and the probe fails; the network is mended, and it is well again."""
    here, wire = wired
    here.start()
    is_well(here, "worker0@site")
    wire.swallow_consumers()
    here.enqueue(3)
    fails(here, "worker0@site", limit)
    wire.give_back_consumers()
    here.check_all_sent_once()
    is_well(here, "worker0@site")
    here.same_processes()


def children(worker: Worker) -> list[int]:
    """Returns the process ids of a worker's children."""
    return [int(each) for each in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("limit", [LIMIT, pytest.param(60, marks=pytest.mark.long)])
def test_a_pool_that_stands_still_fails(site: MakeSite, limit: int) -> None:
    """F92: the consumer takes and the pool ends nothing, in threads, in children or on the loop; then all go on."""
    here = site()
    here.lanes = tuple(POOLS)
    for lane, pool in POOLS.items():
        here.start("-I", "tests.faults.stuck", "-Q", queue_name(lane), *pool, ready=False, **{stuck.ALLOWED: "1"})
    for worker in here.workers:
        worker.wait_ready()
    here.enqueue(len(POOLS))
    here.check_all_sent_once()  # the children are there
    *own_loop, prefork = here.workers
    stopped = children(prefork)
    toggled = [(worker.pid, stuck.SIGNAL) for worker in own_loop]
    for pid, number in [*toggled, *((child, signal.SIGSTOP) for child in stopped)]:
        os.kill(pid, number)
    jobs = here.enqueue(len(POOLS))
    names = [f"worker{number}@site" for number in range(len(POOLS))]
    for name in names:
        fails(here, name, limit)
    for pid, number in [*toggled, *((child, signal.SIGCONT) for child in stopped)]:
        os.kill(pid, number)
    assert {here.end_of(job_id).state for job_id in jobs} == {State.SENT}
    for name in names:
        is_well(here, name)


def test_copies_of_a_hint_that_begin_together_call_once(site: MakeSite) -> None:
    """Rule 6: a job that was taken again while its worker stood still is begun once, whoever has how many copies."""
    here = site()
    worker = here.start("-I", "tests.faults.stuck", ready=True, **{stuck.ALLOWED: "1"})
    worker.signal(stuck.SIGNAL)
    here.enqueue(1)
    wait_until(lambda: heartbeat(here, "worker0@site")[1].get("reserved", 0) > 1, what="it has two copies")
    worker.signal(stuck.SIGNAL)
    here.check_all_sent_once()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_process_that_is_frozen_fails(site: MakeSite, waits: bool) -> None:
    """F92: its heartbeat grows old, and the probe fails by half a minute; it goes on, and is well again."""
    here = site()
    worker = here.start()
    is_well(here, "worker0@site")
    worker.signal(signal.SIGSTOP)
    if waits:
        wait_until(lambda: probe(here, "worker0@site").returncode == 1, timeout=40, what="the probe fails")
    else:
        last_heard(here, "worker0@site", 31_000)
    ended = probe(here, "worker0@site")
    assert ended.returncode == 1
    assert "last heard of 3" in ended.stderr
    worker.signal(signal.SIGCONT)
    wait_until(lambda: probe(here, "worker0@site").returncode == 0, what="it is well again")


def last_heard(site: Site, name: str, ago: int) -> None:
    """Makes a worker's last heartbeat older, as time does."""
    with site.server.client() as client:
        beat, _, said = str(client.hget(keys.WORKERS, name)).partition(" ")
        client.hset(keys.WORKERS, name, f"{int(beat) - ago} {said}")


def test_a_worker_that_may_not_or_cannot_take_more_is_well(site: MakeSite) -> None:
    """F92: refused by the gateway, held back by the pace or an operator, or with a slow call in each slot: it lives."""
    here = site()
    with here.server.client() as client:
        closed = {"since": 1, "probe_at": 2**50, "reason": "code 8: the key is wrong"}
        client.hset(keys.worker_gate("worker0@site"), mapping=closed)
        client.hset(keys.PAUSE, "bulk", "1 a wrong price")
    here.lanes = LANES
    here.start("-Q", "sms.urgent", ready=False)
    here.start("-Q", "sms.normal", ready=False, SMSQ_RATE_LIMIT="1/m")
    here.start("-Q", "sms.bulk", ready=False)
    here.enqueue(12)
    busy = site()
    slow = {"SMSQ_CALL_TIMEOUT": "8", "SMSQ_LEASE": "12"}  # longer than the limit: the window is full, and nothing ends
    busy.start("-c", "2", "-P", "threads", ready=False, **slow)
    for worker in [*here.workers, *busy.workers]:
        worker.wait_ready()
    hangs = Sms(recipient=busy.sandbox.recipient("hang"), text="Привет")
    list(busy.queue.enqueue_many([hangs] * 8))
    watched = [(here, f"worker{number}@site") for number in range(3)] + [(busy, "worker0@site")]
    told: dict[tuple[Site, str], dict[int, float]] = {each: {} for each in watched}

    def all_told() -> bool:
        for each in watched:
            beat, said = heartbeat(*each)
            told[each][beat] = float(said.get("stalled", 0))
        return all(len(beats) > 15 for beats in told.values())

    wait_until(all_told, what="each has told how it is, again and again, for longer than a job may take", timeout=60)
    assert max(seconds for beats in told.values() for seconds in beats.values()) < LIMIT
    assert [here.queue.lookup(job_id).state for job_id in here.enqueue(3)] == ["queued"] * 3  # type: ignore[union-attr]


# -- a worker's silence


class Stage:
    """A worker's part under a clock of our own.

    Attributes:
        now: What the clock shows.
        work: What is in hand.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.work = Work(0, 0)
        self.pulse = Pulse(lambda: 40.0, lambda: self.work, lambda: self.now)

    def pass_time(self, seconds: int, *, beats: bool = True) -> float:
        """Lets seconds pass, with a heartbeat in each, and returns the silence that the last one tells of."""
        for _ in range(seconds):
            self.now += 1
            if beats:
                self.pulse.beat()
            silence = self.pulse.silence()
        return silence


def test_an_idle_worker_isnt_silent() -> None:
    """It takes nothing, each second."""
    assert Stage().pass_time(1000) == 0


def test_a_consumer_that_takes_nothing_is_silent_at_once() -> None:
    """With nothing in hand there is nothing to wait for."""
    assert Stage().pass_time(7, beats=False) == 7


def test_a_worker_whose_jobs_last_isnt_silent_as_long_as_they_may() -> None:
    """A full window is no silence of the consumer, and no end none of the pool, until the longest job must be over."""
    stage = Stage()
    stage.work = Work(8, 0)
    assert stage.pass_time(40, beats=False) == 0
    assert stage.pass_time(1, beats=False) == 41
    stage.work = Work(8, 1)
    stage.pulse.beat()
    assert stage.pass_time(40, beats=False) == 0


def test_a_pool_that_ends_nothing_is_silent_whatever_the_consumer_does() -> None:
    """What the worker takes isn't enough: of what it took, something must end."""
    stage = Stage()
    stage.pass_time(100)
    for jobs in range(1, 70):
        stage.work = Work(jobs, 0)
        stage.pass_time(1)
    assert stage.pass_time(1) == 70


def test_a_busy_worker_isnt_silent() -> None:
    """Something ends now and then, whether or not there is always something in hand."""
    stage = Stage()
    for ended in range(30):
        stage.work = Work(3, ended)
        assert stage.pass_time(20) == 0
