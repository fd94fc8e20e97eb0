"""A Redis whose memory is full takes no new jobs, and a worker empties it of those it has (F04, with whole workers)."""

import pytest

from smsq import QueueUnavailable, Sms
from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.faults.site import Site
from tests.support.sandbox import ordinary
from tests.support.waiting import wait_until

SLOTS = 5


def all_sent(site: Site, jobs: list[str]) -> bool:
    """Returns whether all are; it only reads, as waiting for a job writes something."""
    return {job.state for job in map(site.queue.lookup, jobs) if job} == {State.SENT}


@pytest.mark.parametrize("started", ["before", "when it is full"])
def test_a_worker_drains_a_full_redis_and_goes_on(site: MakeSite, started: str) -> None:
    """F04, F24: what was accepted is sent while no memory is left, also by a worker that is started then."""
    here = site()
    here.sandbox.post("/sandbox/latency", seconds=0.3)
    if started == "before":
        here.start("-c", str(SLOTS))
    jobs = here.enqueue(4 * SLOTS)
    if started == "before":
        here.calls_are_out(SLOTS)
    with here.server.client() as client:
        client.config_set("maxmemory", 1)
        if started != "before":
            here.start("-c", str(SLOTS))
        with pytest.raises(QueueUnavailable, match="its memory is full"):
            here.queue.enqueue(Sms(recipient=ordinary(0), text="Привет"))
        wait_until(lambda: all_sent(here, jobs), what="all that was accepted is sent")
        here.same_processes()
        client.config_set("maxmemory", 0)
    here.check_consumes()
    here.check_all_sent_once()
