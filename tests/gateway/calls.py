"""How the gateway's tests make a call: the message, the key, and a client with short limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp.client_proto import ResponseHandler

from smsq.gateway.answers import Outcome
from smsq.gateway.client import Client

KEY = "kz9a8b7c6d5e4f3g2h1iABCDEFGHJKLMNPQR01234~?/"
"""With characters that a form escapes, which a real key doesn't have, and without what would pass for a number."""

FORM = {"recipient": "77010000001", "text": "Код: 4711", "params[name]": "otp #1"}

TOTAL_SECONDS = 0.3


@asynccontextmanager
async def open_client(
    url: str,
    *,
    connections: int = 2,
    connect_timeout: float = 5.0,
    total_timeout: float = 20.0,
    ca_file: Path | None = None,
) -> AsyncIterator[Client]:
    """Opens a client, and closes it.

    The limits are long, so that a busy machine can't make a test of something else fail; a test that wants one to be
    reached gives `TOTAL_SECONDS`.
    """
    client = Client(
        url,
        KEY,
        connections=connections,
        connect_timeout=connect_timeout,
        total_timeout=total_timeout,
        ca_file=ca_file,
    )
    try:
        yield client
    finally:
        await client.close()


async def send(client: Client, *, within: float = 60.0) -> Outcome:
    """Sends the message, if its first byte goes out within so many seconds."""
    latest = time.clock_gettime(time.CLOCK_BOOTTIME) + within
    return await client.send_sms(FORM, start_by=lambda: latest)


async def until(condition: Callable[[], object]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is the condition of another process or of the kernel, not an event
            await asyncio.sleep(0.001)


def resting(client: Client) -> list[ResponseHandler]:
    """Returns the pool's connections that no call uses: aiohttp shows them to nobody, but some tests wait for them."""
    connector = client._session.connector
    assert connector is not None
    return [connection for pooled in connector._conns.values() for connection, _ in pooled]
