"""SIGTERM to a worker's whole process group, as a shell or some supervisors send it (F49)."""

import os
import signal

import pytest

from smsq.lanes import Lane
from tests.faults.conftest import MakeSite
from tests.faults.site import POOLS


@pytest.mark.parametrize("lane", POOLS)
def test_term_to_the_group_is_as_good_as_to_the_leader(site: MakeSite, lane: Lane) -> None:
    """F49: under load, on each pool: the worker ends well, another one does the rest, nothing is lost or sent twice."""
    here = site()
    leaving = here.start(*POOLS[lane])
    here.sandbox.post("/sandbox/latency", seconds=0.3)
    here.enqueue(60)
    here.calls_are_out(10)
    os.killpg(leaving.pid, signal.SIGTERM)
    assert leaving.process.wait(40) == 0
    here.workers.remove(leaving)
    here.start()
    here.check_all_sent_once()
