"""Leases of a worker whose interpreter stands still (F09), and of workers whose clocks are wrong (F07)."""

import ast
from pathlib import Path
from typing import Any

import pytest

import smsq.ledger
import tasks
from tests.faults import greedy, skewed
from tests.faults.conftest import MakeSite
from tests.support.sandbox import ROOT

JOBS = 40
#: Limits that a stand-still of three seconds doesn't reach.
PATIENT: dict[str, Any] = {"SMSQ_LEASE": "9", "SMSQ_CALL_TIMEOUT": "6"}
#: Where time of leases, schedules, the pace and the looks at what is due is counted.
JUDGES_OF_TIME = ("tasks", "smsq/ledger", "worker/dispatcher.py", "worker/pool.py", "worker/transport.py")


def test_a_renewal_that_comes_late_costs_nothing(site: MakeSite) -> None:
    """F09: for a third of a lease nothing runs in the worker; nobody takes over what it holds."""
    here = site()
    other = here.start("-c", "4", ready=False, **PATIENT)
    busy = here.start("-c", "4", "-I", greedy.__name__, TEST_GREEDY_SECONDS="3", **PATIENT)
    other.wait_ready()
    here.sandbox.post("/sandbox/latency", seconds=0.4)
    jobs = here.enqueue(JOBS)
    here.calls_are_out(8)
    busy.signal(greedy.SIGNAL)
    here.check_all_sent_once()
    assert {job.attempts for job in map(here.queue.lookup, jobs) if job} == {1}
    assert not busy.lines("job.asking") + other.lines("job.asking")
    assert busy.lines(greedy.EVENT), "it was over before the jobs were"
    here.same_processes()


@pytest.mark.long
def test_a_renewal_that_does_not_come_starts_no_second_call(site: MakeSite) -> None:
    """F09: for longer than a lease nothing runs in the worker; another takes over, and it calls for none of it."""
    here = site()
    other = here.start("-c", "4", ready=False)
    busy = here.start("-c", "4", "-I", greedy.__name__, TEST_GREEDY_SECONDS="15")
    other.wait_ready()
    here.sandbox.post("/sandbox/latency", seconds=0.4)
    here.enqueue(JOBS)
    here.calls_are_out(4)
    busy.signal(greedy.SIGNAL)
    other.wait_lines("job.asking")
    here.check_all_sent_once()
    busy.wait_lines(greedy.EVENT)
    here.check_consumes()
    here.check_all_sent_once()
    here.same_processes()


def test_wrong_clocks_take_no_lease(site: MakeSite) -> None:
    """F07: one worker's clock is ten minutes ahead, the other's ten behind: no takeover, nothing twice."""
    here = site()
    ahead, behind = (
        here.start("-c", "10", "-I", skewed.__name__, ready=False, TEST_SKEWED_SECONDS=str(seconds))
        for seconds in (600, -600)
    )
    for worker in (ahead, behind):
        worker.wait_ready()
    here.sandbox.post("/sandbox/latency", seconds=1)
    jobs = here.enqueue(JOBS)
    here.check_all_sent_once()
    assert {job.attempts for job in map(here.queue.lookup, jobs) if job} == {1}
    assert not ahead.lines("job.asking") + behind.lines("job.asking")
    ahead.wait_lines("job.sent")
    behind.wait_lines("job.sent")


def test_nothing_that_judges_time_reads_the_machines_clock() -> None:
    """F07: leases, schedules and the pace are judged by Redis's time and by clocks that nobody sets."""
    found = []
    for part in JUDGES_OF_TIME:
        path = ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found += [f"{file.name}:{line}" for line in _readings(file)]
    assert not found
    assert {Path(smsq.ledger.__file__).parent, Path(tasks.__file__).parent} <= {ROOT / each for each in JUDGES_OF_TIME}


def _readings(file: Path) -> list[int]:
    """The lines of a module on which the wall clock is read."""
    clocks = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
    return [
        node.lineno
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in clocks
    ]
