"""RQ."""

from redis import Redis
from rq import Queue

from bench.peers import job

queue = Queue("bench", connection=Redis.from_url(job.POOLED))


def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    queue.enqueue(job.send, recipient, text)
