"""A gateway that can't be reached: nobody listens, so nothing was sent, and the jobs wait for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from smsq import Sms, SmsQueue
from smsq.states import State
from tests.support.jobs import end_of, make_due, put_off
from tests.support.sandbox import Sandbox, ordinary
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis


def test_an_unreachable_gateway_costs_no_job(
    worker: Callable[..., Worker], queue: SmsQueue, client: "redis.Redis"
) -> None:
    """While nobody listens at its address the jobs wait with that reason; when it is back each is sent once."""
    gateway = Sandbox()
    gateway.stop()
    worker(MOBIZON_API_URL=gateway.url, SMSQ_RETRY_WINDOW="0", SMSQ_DISPATCH_INTERVAL="0.05")
    jobs = [job.id for job in queue.enqueue_many(Sms(recipient=ordinary(number), text="Код") for number in range(10))]
    assert {put_off(queue, job_id).reason for job_id in jobs} == {"no connection to the gateway"}
    gateway.start()
    try:
        for job_id in jobs:
            make_due(client, job_id)
        assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
        assert gateway.counts() == {ordinary(number): 1 for number in range(10)}
    finally:
        gateway.stop()
