"""Nothing of a call is delivered after its end (F11)."""

import asyncio
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest

from smsq.gateway.answers import Fault, Kind

from .calls import KEY, TOTAL_SECONDS, open_client
from .conftest import Authority

LENGTH = 60_000
"""More than the gateway's side takes unread, and less than our kernel buffers: all of it has left the process."""


LONG = 800_000
"""More than the two kernels hold together: some of it is still with the client's event loop."""


@pytest.fixture
def slow_gateway() -> Iterator[socket.socket]:
    """A server that accepts and doesn't read until the test does."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def read_all(connection: socket.socket) -> int:
    """Reads what the connection still brings, and returns how many bytes that was."""
    total = 0
    with connection:
        try:
            while received := connection.recv(65536):
                total += len(received)
        except ConnectionResetError:
            pass
    return total


async def test_a_call_given_up_isnt_delivered_later(slow_gateway: socket.socket) -> None:
    """What the kernel hadn't delivered when time was up is dropped, not delivered to a gateway that wakes up."""
    url = f"http://127.0.0.1:{slow_gateway.getsockname()[1]}"
    async with open_client(url, total_timeout=TOTAL_SECONDS) as client:
        outcome = await client.send_sms({"text": "x" * LENGTH}, start_by=lambda: float("inf"))
    assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, Fault.NO_ANSWER_IN_TIME)
    connection, _ = slow_gateway.accept()
    assert read_all(connection) < LENGTH


async def test_a_call_given_up_isnt_delivered_later_over_tls(slow_gateway: socket.socket, authority: Authority) -> None:
    """There too: the farewell that TLS would exchange at leisure is cut short."""

    def accept() -> ssl.SSLSocket:
        """Shakes hands, and reads no further."""
        return authority.server.wrap_socket(slow_gateway.accept()[0], server_side=True)

    url = f"https://localhost:{slow_gateway.getsockname()[1]}"
    async with open_client(url, total_timeout=TOTAL_SECONDS, ca_file=authority.ca_file) as client:
        accepting = asyncio.create_task(asyncio.to_thread(accept))
        outcome = await client.send_sms({"text": "x" * LONG}, start_by=lambda: float("inf"))
        assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, Fault.NO_ANSWER_IN_TIME)
        # While the client's loop runs on, which is what could still deliver it.
        assert await asyncio.to_thread(read_all, await accepting) < LONG


CALLER = f"""
import asyncio
from smsq.gateway.client import Client

async def main():
    client = Client("http://127.0.0.1:{{port}}", "{KEY}", connections=1)
    await client.send_sms({{{{"text": "x" * {LENGTH}}}}}, start_by=lambda: float("inf"))

asyncio.run(main())
"""


def test_a_killed_workers_call_isnt_delivered_later(slow_gateway: socket.socket) -> None:
    """The kernel drops it with the process, instead of delivering it for a job that is being asked about."""
    script = CALLER.format(port=slow_gateway.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", script]) as caller:
        with select.epoll() as poll:  # a connection that is accepted isn't yet one with bytes
            connection, _ = slow_gateway.accept()
            poll.register(connection, select.EPOLLIN)
            assert poll.poll(20)
        caller.send_signal(signal.SIGKILL)
    assert read_all(connection) < LENGTH
