"""Actors on a ledger, and connections to it."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from smsq import scripts
from smsq.connection import SyncRunner
from smsq.settings import Settings
from tests.ledger.actor import Actor
from tests.support.server import Server

if TYPE_CHECKING:
    import redis


@pytest.fixture
def act(server: Server, client: "redis.Redis") -> Iterator[Actor]:
    """Someone who acts on the shared server's ledger, which is empty."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    yield Actor(client, runner)
    runner.close()


@pytest.fixture
def restarted(own_server: Callable[..., Server]) -> Iterator[tuple[Actor, Server]]:
    """Someone who acts on a ledger whose server can be started again."""
    server = own_server("--appendfsync", "always")
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    with server.client() as client:
        yield Actor(client, runner), server
    runner.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A monotonic clock that a test turns."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(scripts, "boot_time", lambda: made.now)
    return made
