"""arq."""

from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from bench.peers import job

REDIS = RedisSettings.from_dsn(f"{job.REDIS}/0")
_pool: Any = None


async def send(_context: Any, recipient: str, text: str) -> Any:  # noqa: ANN401 - arq's own shape
    """Sends one."""
    return await job.asend(recipient, text)


class WorkerSettings:
    """What `arq` runs. By default it looks for work twice a second; ten times as often is kinder to it."""

    functions = (send,)
    redis_settings = REDIS
    max_jobs = 100
    poll_delay = 0.05


async def start() -> None:
    """Connects."""
    global _pool  # noqa: PLW0603 - one for the process
    _pool = await create_pool(REDIS)


async def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    await _pool.enqueue_job("send", recipient, text)


async def stop() -> None:
    """Disconnects."""
    await _pool.aclose()
