"""Redis goes away under busy workers and comes back: they consume again (F24, F26, F28, F42, F43, F90)."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

from smsq import QueueUnavailable, Sms
from smsq.lanes import queue_name
from tests.faults.conftest import MakeSite
from tests.faults.outages import (
    Fault,
    Wired,
    black_hole,
    busy,
    crowded,
    cut,
    demoted,
    flushed,
    forbidden,
    frozen,
    half_open,
    idle,
    killed,
    locked,
    paused,
    unbound,
    unwritable,
)
from tests.faults.site import POOLS, Site, SteadyServer, last
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def standing(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Wired]]:
    """Gives a worker for each pool, on a lane of its own; they must outlive all these faults."""
    with ExitStack() as stack:

        @cache
        def standing() -> Wired:
            folder: Path = tmp_path_factory.mktemp("standing")
            server = SteadyServer(folder / "redis", "--enable-protected-configs", "yes")
            stack.callback(server.stop)
            wire = stack.enter_context(Wire(server.port))
            site = Site(server, shared_sandbox, folder, url=wire.redis_url, lanes=tuple(POOLS))
            stack.callback(site.close)
            for lane, pool in POOLS.items():
                site.start("-Q", queue_name(lane), *pool, ready=False)
            for worker in site.workers:
                worker.wait_ready()
            return Wired(site, wire)

        yield standing


@pytest.fixture
def wired(standing: Callable[[], Wired], sandbox: Sandbox) -> Wired:
    """The site of all pools; what was accepted in another test is forgotten, by the sandbox too."""
    here = standing()
    here.site.close_book()
    return here


#: Seconds for which each lasts in the long form; those that refuse (F24) are tried below all alike.
LONG: dict[Fault, float] = {
    frozen: 20,
    black_hole: 120,
    half_open: 30,
    paused: 20,
    cut: 0,
    crowded: 20,
    idle: 300,
    unwritable: 20,
    locked: 20,
    forbidden: 20,
    busy: 20,
    flushed: 0,
    unbound: 30,
    # Last, as they put jobs in doubt: those are asked about, with pauses that grow while Redis is away again.
    killed: 60,
    demoted: 20,
}
#: Those whose like is among the others, or that take the longest to be noticed.
ONLY_LONG = {black_hole, half_open, paused, locked}


@pytest.mark.timeout(300)
def test_workers_consume_again_after_each_fault(wired: Wired) -> None:
    """F24, F26, F42, F43, F90: jobs flow within ten seconds, commands are answered, monitors see each worker.

    One fault after the other; at the end nothing is lost and nothing was sent twice.
    """
    for fault in [each for each in LONG if each not in ONLY_LONG]:
        try:
            harm(wired, fault, 0)
        except AssertionError as error:
            error.add_note(f"the fault: {fault.__name__}")
            raise
    wired.site.check_all_sent_once()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", LONG, ids=lambda fault: fault.__name__)
def test_workers_consume_again_after_a_long_time(wired: Wired, fault: Fault) -> None:
    """F24, F26: the same after up to five minutes of each, and the books are right after each."""
    harm(wired, fault, LONG[fault])
    wired.site.check_all_sent_once()


def harm(wired: Wired, fault: Fault, seconds: float) -> None:
    """Does a fault to workers with twenty jobs each, some of them out, and looks whether they consume again."""
    site = wired.site
    site.sandbox.post("/sandbox/latency", seconds=0.3)
    before = len(site.sandbox.calls())
    site.enqueue(60)
    site.calls_are_out(before + 5)
    fault(wired, seconds)
    site.check_consumes()
    site.same_processes()


# -- away from the start, or at the end


def test_worker_waits_for_redis_and_says_so(site: MakeSite) -> None:
    """F28: a worker that is started while Redis is away says so, waits, and consumes when it is there."""
    here = site()
    here.server.kill()
    worker = here.start(ready=False)
    wait_until(lambda: worker.text().count("Cannot connect") > 1, what="the worker says at each try that Redis is away")
    here.server.start()
    here.check_consumes()
    here.check_all_sent_once()
    here.same_processes()


@pytest.mark.parametrize("started_without", [True, False], ids=["away at the start", "away later"])
def test_term_ends_a_worker_that_waits_for_redis(site: MakeSite, started_without: bool) -> None:
    """F28: SIGTERM ends a worker at once also while Redis is away."""
    here = site()
    worker = here.start(ready=not started_without) if not started_without else None
    here.server.kill()
    worker = worker or here.start(ready=False)
    wait_until(lambda: "Cannot connect" in worker.text(), what="the worker has noticed")
    assert worker.stop(timeout=15) == 0, "at once: a hang would last for the grace of thirty seconds"


def test_frozen_redis_thaws_and_producers_go_on(site: MakeSite) -> None:
    """F38: while Redis is frozen a producer hears of it; after the thaw the same key is accepted, and sent once."""
    here = site()
    here.start()
    here.enqueue(20)
    here.server.signal(signal.SIGSTOP)
    sms = Sms(recipient=ordinary(20), text="Привет")
    with pytest.raises(QueueUnavailable, match="no answer in time"):
        here.queue.enqueue(sms, idempotency_key=sms.recipient)
    here.server.signal(signal.SIGCONT)
    here.enqueue(1)
    here.check_all_sent_once()


@pytest.mark.long
def test_term_ends_a_worker_whose_redis_stands_still(site: MakeSite) -> None:
    """F28: within its grace of thirty seconds, with calls out, whose outcome is asked for later."""
    here = site()
    worker = here.start("-c", "5")
    here.sandbox.post("/sandbox/latency", seconds=0.5)
    here.enqueue(20)
    here.calls_are_out(5)
    here.server.signal(signal.SIGSTOP)
    worker.wait_lines("dispatcher.unavailable")
    assert worker.stop(timeout=30) == 0
    here.server.signal(signal.SIGCONT)
    here.workers.remove(worker)
    here.start()
    here.check_all_sent_once()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_redis_away_for_ten_minutes(site: MakeSite) -> None:
    """F28: however long Redis is away nobody gives up."""
    here = site()
    here.start()
    here.enqueue(20)
    here.server.kill()
    last(600)
    here.same_processes()
    here.server.start()
    here.check_consumes()
    here.check_all_sent_once()
