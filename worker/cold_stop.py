"""A cold stop (SIGQUIT) on Celery's own pools cuts no call either.

Celery's consumer cuts what is out then: each call that is cut is an unknown outcome, and the threads pool can't even do
it. What follows, the pool's stop, waits for the calls; each has its own limit (`SMSQ_CALL_TIMEOUT`). Our own pool is
asked to cut as well, doesn't, and gives them a few seconds (`worker.pool`).
"""

from typing import Any

from celery.concurrency.base import BasePool
from celery.worker.consumer import Consumer

from worker.pool import TaskPool


def spare_calls(pool: type[BasePool]) -> None:
    """Has a worker on a pool of Celery's cut no call.

    Args:
        pool: The worker's pool.
    """
    if not issubclass(pool, TaskPool):
        Consumer.cancel_active_requests = _cut_nothing


def _cut_nothing(consumer: Any) -> None:  # noqa: ANN401 - Celery's consumer
    """Takes the place of the consumer's method."""
