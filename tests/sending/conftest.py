"""Workers that serve a whole module: a start costs a second or two, and most tests leave a worker as it was."""

import itertools
from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.worker import Worker, environment


class StartWorker(Protocol):
    """Starts a worker and waits until it consumes."""

    def __call__(self, *arguments: str, ready: bool = True, **settings: str) -> Worker:
        """Takes options after `celery -A worker worker`, and settings as variables of the environment."""


@pytest.fixture(scope="module")
def standing(
    shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """Starts workers on the shared server and sandbox, emptied before, that stay until the module's last test."""
    folder = tmp_path_factory.mktemp("workers")
    started: list[Worker] = []
    number = itertools.count()

    def start(*arguments: str, ready: bool = True, **settings: str) -> Worker:
        with shared_server.client() as client:
            client.flushall()  # a job that an earlier test left behind would be called for in the middle of the next
        env = environment(shared_server.url, shared_sandbox.url, **settings)
        made = Worker(folder / f"worker{next(number)}.log", env, *arguments)
        started.append(made)
        return made.wait_ready() if ready else made

    yield start
    for each in started:
        each.kill()
