"""Somebody empties Redis, or restarts it, under workers whose calls are out (F19, F26)."""

from tests.faults.conftest import MakeSite

CALLS = 20


def test_workers_outlive_an_emptied_ledger(site: MakeSite) -> None:
    """F19: twenty outcomes have no record any more: each is logged with its ids, none made up, and new jobs flow."""
    here = site()
    worker = here.start("-c", str(CALLS))
    here.sandbox.post("/sandbox/latency", seconds=2)
    jobs = here.enqueue(CALLS)
    here.calls_are_out(CALLS)
    with here.server.client() as client:
        client.flushall()
        worker.wait_lines("job.settled_by_another", CALLS)
        assert not client.keys("smsq:job:*")
        assert not client.zcard("smsq:due")
    lines = worker.lines("job.settled_by_another")
    assert {line["job_id"] for line in lines} == set(jobs)
    assert {line["word"] for line in lines} == {"gone"}
    assert sorted(line["ids"][0] for line in lines) == sorted(each["messageId"] for each in here.sandbox.messages())
    here.sandbox.post("/sandbox/latency", seconds=0)
    here.close_book()
    here.check_consumes()
    here.check_all_sent_once()
    here.same_processes()
    assert [here.queue.lookup(job_id) for job_id in jobs] == [None] * CALLS


def test_what_a_restart_took_from_a_worker_is_no_failure(site: MakeSite) -> None:
    """F26: what had begun and waits for a slot is settled by asking, and called once: no line of it is an error."""
    here = site()
    worker = here.start("-c", "2")
    here.sandbox.post("/sandbox/latency", seconds=2)
    here.enqueue(8)
    here.calls_are_out(2)
    here.server.kill()
    here.server.start()
    worker.wait_lines("job.settled_by_another")
    here.sandbox.post("/sandbox/latency", seconds=0)
    here.check_all_sent_once()
    assert {line["level"] for line in worker.lines("job.settled_by_another")} == {"info"}
