"""Actors on a ledger, and connections to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

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
