"""A Redis that resets each connection as soon as it stands, met on uvloop, which has errors of its own for that."""

import asyncio
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop

from smsq import ledger
from smsq.address import Address
from smsq.async_connection import AsyncRunner
from smsq.errors import QueueUnavailable


@pytest.fixture
def resetting() -> Iterator[str]:
    """The address of a server that resets each connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:

        def reset_all() -> None:
            for number in itertools.count():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                time.sleep(number % 10 / 5000)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        thread = threading.Thread(target=reset_all, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_connection_reset_at_once_is_a_redis_that_is_unavailable(resetting: str) -> None:
    """Two hundred calls, ten at a time: each says that Redis is unavailable, in whichever turn of the loop it hears."""

    async def call(runner: AsyncRunner) -> None:
        with pytest.raises(QueueUnavailable, match=r"clos|reset"):
            await runner.run(ledger.lookup("job", "a"), 2.0)

    async def calls() -> None:
        runner = AsyncRunner(Address.parse(resetting))
        for _ in range(20):
            await asyncio.gather(*(call(runner) for _ in range(10)))
        await runner.close()

    uvloop.run(calls())
