"""taskiq on its list broker, with results."""

from typing import Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from bench.peers import job

broker = ListQueueBroker(job.POOLED).with_result_backend(RedisAsyncResultBackend(job.POOLED))


@broker.task
async def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """Sends one."""
    return await job.asend(recipient, text)


async def start() -> None:
    """Connects."""
    await broker.startup()


async def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    await send.kiq(recipient, text)


async def stop() -> None:
    """Disconnects."""
    await broker.shutdown()
