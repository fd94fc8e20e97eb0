"""Plain Celery."""

from collections.abc import Iterable
from typing import Any

from celery import Celery

from bench.peers import job

app = Celery("bench", broker=f"{job.REDIS}/0", backend=f"{job.REDIS}/0")
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, result_expires=3600)


@app.task(name="send")
def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """Sends one."""
    return job.send(recipient, text)


def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    send.delay(recipient, text)


def enqueue_many(messages: Iterable[tuple[str, str]]) -> None:
    """Enqueues many, by kombu's batch."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=1000):
        for message in messages:
            send.apply_async(message, producer=producer)
