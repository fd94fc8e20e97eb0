"""dramatiq, with results."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers import job

broker = RedisBroker(url=job.POOLED)
broker.add_middleware(Results(backend=RedisBackend(url=job.POOLED)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """Sends one."""
    return job.send(recipient, text)


def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    send.send(recipient, text)
