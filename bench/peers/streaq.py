"""streaQ."""

from typing import Any

from streaq import Worker

from bench.peers import job

worker: Any = Worker(redis_url=f"{job.REDIS}/0", concurrency=100)


@worker.task
async def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """Sends one."""
    return await job.asend(recipient, text)


async def start() -> None:
    """Connects."""
    await worker.__aenter__()


async def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    await send.enqueue(recipient, text)


async def stop() -> None:
    """Disconnects."""
    await worker.__aexit__(None, None, None)
