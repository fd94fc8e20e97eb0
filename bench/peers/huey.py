"""huey."""

from typing import Any

from huey import RedisHuey

from bench.peers import job

huey = RedisHuey("bench", url=job.POOLED)


@huey.task()
def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """Sends one."""
    return job.send(recipient, text)


def enqueue(recipient: str, text: str) -> None:
    """Enqueues one."""
    send(recipient, text)
