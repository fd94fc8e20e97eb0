"""Redis stands still while a hundred calls are answered, for longer than a lease (F37)."""

import signal

import pytest

from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.faults.site import last

CALLS = 100


@pytest.mark.long
@pytest.mark.timeout(300)
def test_outcomes_outlive_a_redis_that_is_frozen_for_a_minute(site: MakeSite) -> None:
    """F37: they stay in memory; after the thaw each job has its ids, nobody asked for them, and all slots are free."""
    here = site()
    here.start("-c", str(CALLS), SMSQ_LEASE="45", SMSQ_CALL_TIMEOUT="30")
    here.sandbox.post("/sandbox/latency", seconds=3)
    jobs = here.enqueue(CALLS)
    here.calls_are_out(CALLS)
    here.server.signal(signal.SIGSTOP)
    last(60)
    here.server.signal(signal.SIGCONT)
    ended = [here.queue.wait(job_id, 30) for job_id in jobs]
    assert [job.state for job in ended if job] == [State.SENT] * CALLS
    calls = here.sandbox.calls()
    assert len(calls) == CALLS, "neither another call nor a question"
    here.close_book()
    here.sandbox.post("/sandbox/reset")
    here.sandbox.post("/sandbox/latency", seconds=3)
    here.enqueue(CALLS)
    here.check_all_sent_once()
    assert here.sandbox.at_once(3) == CALLS
