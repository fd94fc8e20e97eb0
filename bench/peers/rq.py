"""RQ."""

from redis import Redis
from rq import Queue

from bench.peers import job

queue = Queue("bench", connection=Redis.from_url(f"{job.REDIS}/0"))


def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    queue.enqueue(job.send, recipient, text)
