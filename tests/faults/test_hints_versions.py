"""Old and new workers side by side: a job that only the new one understands is left to it (F36)."""

from typing import TYPE_CHECKING

from smsq import Job, keys
from smsq.job import RECORD_VERSION
from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.support.jobs import make_due
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis


def test_a_newer_record_is_sent_by_the_newer_worker(site: MakeSite) -> None:
    """F36: in a rolling upgrade an old worker puts it off, and neither fails nor loses it; a new one sends it."""
    here = site()
    with here.server.client() as client:
        client.hset(keys.PAUSE, "all", "1 an upgrade")
        ours, newer = here.enqueue(2)
        client.hset(keys.job(newer), "v", RECORD_VERSION + 1)
        client.delete(keys.PAUSE)
        old = here.start()
        wait_until(lambda: client.zscore(keys.DUE, newer), what="it waits for another look")
        make_due(client, newer)
        wait_until(lambda: client.zscore(keys.DUE, newer) != 0, what="the old worker has looked again")
        assert here.end_of(ours).state is State.SENT

        new = here.start("-I", "tests.faults.next_version")
        wait_until(lambda: sent_at_last(client, here.queue.lookup(newer)), what="the newer one is sent")
    here.check_all_sent_once()
    assert newer in {line["job_id"] for line in new.wait_lines("job.sent")}
    assert {line["job_id"] for line in old.wait_lines("job.sent")} == {ours}
    here.same_processes()


def sent_at_last(client: "redis.Redis", job: Job | None) -> bool:
    """Has whichever worker comes first look again; returns whether the job is sent."""
    assert job
    if job.state is State.QUEUED:
        client.zadd(keys.DUE, {job.id: 0}, xx=True)  # if it waits there: the new one may be taking it just now
    return job.state is State.SENT
