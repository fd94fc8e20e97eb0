"""An upgrade under load: old workers go, new ones come, and for a while both are there (F36)."""

import signal

from smsq import keys
from smsq.job import RECORD_VERSION
from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.support.jobs import in_state
from tests.support.waiting import wait_until


def test_a_rolling_upgrade_loses_nothing_and_sends_nothing_twice(site: MakeSite) -> None:
    """Jobs of both versions wait while each old worker is replaced, calls out, by one of the next version."""
    here = site()
    here.sandbox.post("/sandbox/latency", seconds=0.3)
    old = [here.start("-c", "5") for _ in range(2)]
    with here.server.client() as client:
        client.hset(keys.PAUSE, "all", "1 an upgrade")
        newer = here.enqueue(60)[::3]
        for job_id in newer:
            client.hset(keys.job(job_id), "v", RECORD_VERSION + 1)
        client.delete(keys.PAUSE)
        for leaving in old:
            here.calls_are_out(1)
            here.start("-c", "5", "-I", "tests.faults.next_version")
            here.enqueue(30)
            leaving.signal(signal.SIGTERM)
            here.enqueue(30)
            assert leaving.process.wait(60) == 0
    for job_id in newer:  # `wait` of this version's producer can't wait for those
        wait_until(lambda: in_state(here.queue, job_id, State.SENT), what="a newer job is sent", timeout=60)  # noqa: B023
    here.check_all_sent_once()
