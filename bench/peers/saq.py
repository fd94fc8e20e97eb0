"""SAQ."""

from typing import Any

from saq import Queue

from bench.peers import job

queue = Queue.from_url(job.POOLED)


async def send(_context: Any, *, recipient: str, text: str) -> Any:  # noqa: ANN401 - SAQ's own shape
    """Sends one."""
    return await job.asend(recipient, text)


settings = {"queue": queue, "functions": [send], "concurrency": 100}


async def start() -> None:
    """Connects."""
    await queue.connect()


async def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    await queue.enqueue("send", recipient=recipient, text=text)


async def stop() -> None:
    """Disconnects."""
    await queue.disconnect()
