"""Jobs under test: waiting for their end, and moving their moments."""

from typing import TYPE_CHECKING

from smsq import SmsQueue, keys
from smsq.job import Job, JobError
from smsq.lanes import LANES, queue_name
from smsq.states import State
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis


def end_of(queue: SmsQueue, job_id: str, timeout: float = 30.0) -> Job:
    """Waits until a job is final and returns it.

    Args:
        queue: Where it is.
        job_id: Which.
        timeout: Seconds after which the test fails.
    """
    job = queue.wait(job_id, timeout)
    assert job is not None, "the job isn't known"
    assert job.state.final, f"the job is still {job.state} ({job.error})"
    return job


def in_state(queue: SmsQueue, job_id: str, state: State) -> bool:
    """Returns whether a job is in a state."""
    job = queue.lookup(job_id)
    return job is not None and job.state is state


def put_off(queue: SmsQueue, job_id: str, attempts: int = 1) -> JobError:
    """Waits until a job waits for its next try, after that many calls, and returns why."""

    def why() -> JobError | None:
        job = queue.lookup(job_id)
        return job.error if job and job.state is State.RETRYING and job.attempts >= attempts else None

    error = wait_until(why, what="the job waits for its next try")
    assert error
    return error


def make_due(client: "redis.Redis", job_id: str) -> None:
    """Has the moment come that a job waits for: its retry, its schedule, the end of its reservation or lease."""
    assert client.zscore(keys.DUE, job_id) is not None, "the job waits for no moment"
    client.zadd(keys.DUE, {job_id: 0}, xx=True)


def at_rest(client: "redis.Redis") -> bool:
    """Returns whether no job is on a lane or waits for a moment: nobody will call for any of them again."""
    with client.pipeline(transaction=True) as look:  # one moment: a job may be on its way from a lane to `due`
        for lane in LANES:
            look.llen(queue_name(lane))
            look.exists(keys.ring(lane))
        look.zcard(keys.DUE)
        return not any(look.execute())
