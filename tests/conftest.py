"""Fixtures: a Redis-protocol server, a sandbox gateway, workers as processes, and a queue between them."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import Settings, SmsQueue
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import redis


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a run that don't harm it."""
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The shared server, emptied."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers of a test's own, which it may harm; options go to their command line."""
    servers: list[Server] = []

    def make(*arguments: str) -> Server:
        servers.append(Server(tmp_path / f"redis{len(servers)}", *arguments))
        return servers[-1]

    yield make
    for each in servers:
        each.stop()


@pytest.fixture
def client(server: Server) -> Iterator["redis.Redis"]:
    """A plain client on the shared server."""
    with server.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One sandbox gateway for all tests of a run."""
    sandbox = Sandbox()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The shared sandbox, emptied."""
    shared_sandbox.post("/sandbox/reset")
    return shared_sandbox


@pytest.fixture
def queue(server: Server) -> Iterator[SmsQueue]:
    """A queue on the shared server, with the default settings."""
    made = SmsQueue(server.url, settings=Settings.load(redis_url=server.url))
    yield made
    made.close()


@pytest.fixture
def worker(server: Server, sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers on the shared server and sandbox: options as Celery's, settings as keyword arguments."""
    started: list[Worker] = []
    number = itertools.count()

    def start(*arguments: str, ready: bool = True, **settings: str) -> Worker:
        env = environment(server.url, sandbox.url, **settings)
        made = Worker(tmp_path / f"worker{next(number)}.log", env, *arguments)
        started.append(made)
        return made.wait_ready() if ready else made

    yield start
    for each in started:
        each.kill()
