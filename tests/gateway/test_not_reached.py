"""What certainly didn't reach the gateway, and that nothing else counts as such."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from smsq.gateway.answers import NOT_CALLED, Fault, Kind

from .calls import TOTAL_SECONDS, open_client, send, until
from .conftest import Authority
from .rawgateway import RawGateway, answering, waiting_for


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that the kernel answers no further one."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


async def test_a_refused_connection_is_not_sent(closed_port: int) -> None:
    """Nobody listens: try again."""
    async with open_client(f"http://127.0.0.1:{closed_port}") as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_CONNECTION)
    assert outcome.detail == "ECONNREFUSED"


async def test_a_name_that_isnt_found_is_not_sent() -> None:
    """The resolver says no: try again."""
    # Longer than any name can be, so that the resolver needs no network to know.
    name = ".".join(["a" * 60] * 5)
    async with open_client(f"http://{name}") as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_NAME)
    assert name not in str(outcome)


async def test_a_connection_that_isnt_made_in_time_is_not_sent(deaf_port: int) -> None:
    """The network swallows it: try again."""
    async with open_client(f"http://127.0.0.1:{deaf_port}", connect_timeout=TOTAL_SECONDS) as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_CONNECTION_IN_TIME)


async def test_the_total_time_includes_the_connection(deaf_port: int) -> None:
    """F58: a connect limit longer than the total doesn't stretch it."""
    async with open_client(f"http://127.0.0.1:{deaf_port}", total_timeout=TOTAL_SECONDS) as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_CONNECTION_IN_TIME)


async def test_a_handshake_that_isnt_answered_in_time_is_not_sent(silent_port: int) -> None:
    """Connected, but without TLS nothing of the request goes out: try again."""
    async with open_client(f"https://127.0.0.1:{silent_port}", connect_timeout=TOTAL_SECONDS) as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_CONNECTION_IN_TIME)


@pytest.mark.parametrize("server", ["server", "misnamed", "expired"])
async def test_a_certificate_that_isnt_valid_is_refused(authority: Authority, server: str) -> None:
    """From an unknown authority, for another name or out of date: nothing is sent, and the reason says which."""
    ca_file = None if server == "server" else authority.ca_file
    detail = {"server": "unable to get local issuer", "misnamed": "Hostname mismatch", "expired": "expired"}[server]
    async with (
        RawGateway((answering(),), tls=getattr(authority, server), host="localhost") as gateway,
        open_client(gateway.url, ca_file=ca_file) as client,
    ):
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.CERTIFICATE)
        assert detail in str(outcome.detail)
        assert not gateway.exchanges


async def test_a_server_without_tls_behind_an_https_url_gets_nothing() -> None:
    """There is no falling back to plain HTTP: try again, and no byte of the form was seen."""
    async with RawGateway((answering(),)) as gateway:
        url = gateway.url.replace("http:", "https:")
        async with open_client(url, connect_timeout=TOTAL_SECONDS) as client:
            outcome = await send(client)
        assert outcome.kind is Kind.TRY_AGAIN
        await until(lambda: gateway.endings)
        assert not gateway.exchanges
        assert not any(b"POST" in fragment or b"recipient" in fragment for fragment in gateway.fragments)


async def test_a_server_that_speaks_no_tls_is_told_apart_from_a_bad_certificate() -> None:
    """Its answer to the handshake isn't one: try again."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the handshake in plain HTTP."""
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server, open_client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.TLS)
    assert outcome.detail == "WRONG_VERSION_NUMBER"


async def test_waiting_too_long_for_a_free_connection_is_not_sent() -> None:
    """All connections are out: try again, and the gateway saw the first call only."""
    answer = asyncio.Event()
    async with (
        RawGateway((waiting_for(answer, answering()),)) as gateway,
        open_client(gateway.url, connections=1, connect_timeout=TOTAL_SECONDS) as client,
    ):
        first = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.NO_CONNECTION_IN_TIME)
        answer.set()
        assert (await first).kind is Kind.ACCEPTED
        assert len(gateway.exchanges) == 1


async def test_after_its_moment_nothing_is_written() -> None:
    """The gateway sees a connection and not a byte on it (F10)."""
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        assert await send(client, within=-0.001) == NOT_CALLED
        await until(lambda: gateway.endings)
        assert (gateway.connections, gateway.exchanges, gateway.fragments) == (1, [], [])


async def test_after_its_moment_nothing_is_written_on_a_used_connection() -> None:
    """The check isn't part of connecting."""
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        await send(client)
        assert await send(client, within=-0.001) == NOT_CALLED
        await until(lambda: gateway.endings)
        assert (gateway.connections, len(gateway.exchanges), b"".join(gateway.fragments)) == (1, 1, b"")


async def test_a_moment_that_passes_while_it_waits_for_a_connection_counts() -> None:
    """The check comes after a connection is in hand, not when the call starts (F10)."""
    answer = asyncio.Event()
    async with (
        RawGateway((waiting_for(answer, answering()), answering())) as gateway,
        open_client(gateway.url, connections=1) as client,
    ):
        first = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        moment = time.clock_gettime(time.CLOCK_BOOTTIME) + 0.05
        second = asyncio.create_task(client.send_sms({"recipient": "77010000002"}, start_by=lambda: moment))
        await until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > moment)
        answer.set()
        assert (await first).kind is Kind.ACCEPTED
        assert await second == NOT_CALLED
        assert len(gateway.exchanges) == 1
