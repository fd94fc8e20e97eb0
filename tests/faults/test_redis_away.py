"""Redis goes away under a busy worker and comes back: it consumes again by itself (F26, F28, F43, F90)."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

from smsq import QueueUnavailable, Sms
from tests.faults.conftest import MakeSite
from tests.faults.outages import (
    Fault,
    Wired,
    black_hole,
    crowded,
    cut,
    flushed,
    frozen,
    half_open,
    idle,
    killed,
    paused,
)
from tests.faults.site import POOLS, Site, SteadyServer, last
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark import ParameterSet


@pytest.fixture(scope="module")
def standing(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Wired]]:
    """Gives one worker for each pool, which must outlive all these faults."""
    with ExitStack() as stack:

        @cache
        def of(pool: str) -> Wired:
            folder: Path = tmp_path_factory.mktemp(pool)
            server = SteadyServer(folder / "redis")
            stack.callback(server.stop)
            wire = stack.enter_context(Wire(server.port))
            site = Site(server, shared_sandbox, folder, url=wire.redis_url)
            stack.callback(site.close)
            site.start(*POOLS[pool])
            return Wired(site, wire)

        yield of


@pytest.fixture
def wired(standing: Callable[[str], Wired], sandbox: Sandbox, pool: str) -> Wired:
    """The site of a pool, with nothing left of the test before."""
    here = standing(pool)
    here.site.close_book()
    return here


#: Seconds for which each lasts in the long form.
LONG: dict[Fault, float] = {
    killed: 60,
    frozen: 20,
    black_hole: 120,
    half_open: 30,
    cut: 0,
    paused: 20,
    crowded: 20,
    idle: 20,
    flushed: 0,
}
#: In the short form the default pool is spared those that take the longest to be noticed, the others all but one.
SHORT: dict[str, Iterable[Fault]] = {
    "loop": LONG.keys() - {half_open, paused},
    "threads": {killed},
    "prefork": {killed},
}
ALL: dict[str, Iterable[Fault]] = dict.fromkeys(POOLS, LONG)


def cases(faults: Mapping[str, Iterable[Fault]]) -> "list[ParameterSet]":
    """Returns a case for each fault of each pool."""
    return [
        pytest.param(pool, fault, id=f"{pool}-{fault.__name__}")
        for pool, chosen in faults.items()
        for fault in LONG
        if fault in chosen
    ]


@pytest.mark.parametrize(("pool", "fault"), cases(SHORT))
def test_a_worker_consumes_again(wired: Wired, fault: Fault) -> None:
    """F26, F90: jobs flow within ten seconds, commands are answered, monitors see it; nothing lost, nothing twice."""
    check_survives(wired, fault, 0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("pool", "fault"), cases(ALL))
def test_a_worker_consumes_again_after_a_long_time(wired: Wired, fault: Fault) -> None:
    """F26: the same after half a minute to two minutes, on each pool."""
    check_survives(wired, fault, LONG[fault])


def check_survives(wired: Wired, fault: Fault, seconds: float) -> None:
    """Does a fault to a busy worker and looks whether it consumes again, and whether the books are right."""
    site = wired.site
    site.sandbox.post("/sandbox/latency", seconds=0.3)
    site.enqueue(40)
    site.calls_are_out(5)
    fault(wired, seconds)
    site.check_consumes()
    site.check_all_sent_once()
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
    """F28: SIGTERM ends a worker within three seconds also while Redis is away."""
    here = site()
    worker = here.start(ready=not started_without) if not started_without else None
    here.server.kill()
    worker = worker or here.start(ready=False)
    wait_until(lambda: "Cannot connect" in worker.text(), what="the worker has noticed")
    asked = time.monotonic()
    worker.stop()
    assert time.monotonic() - asked < 5, "three seconds, and some for a busy machine"


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
