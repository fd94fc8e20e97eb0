"""A call that works: what goes over the wire, and over which connection."""

import asyncio
import socket
import struct

import pytest

from smsq.gateway import client as client_module
from smsq.gateway.answers import Fault, Kind
from smsq.gateway.client import Client, _open_socket

from .calls import KEY, open_client, resting, send, until
from .conftest import Authority
from .rawgateway import ACCEPTED, Exchange, RawGateway, answering


async def test_an_accepted_message_has_its_ids() -> None:
    """The ids come back as integers."""
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        outcome = await send(client)
    assert (outcome.kind, outcome.http_status, outcome.detail) == (Kind.ACCEPTED, 200, "")
    assert (outcome.message_id, outcome.campaign_id, outcome.campaign_status) == (12, 7, 2)


TEXTS = [
    "Код: 4711",
    "a+b & c=d % e? /f\\ #g ~h",
    "line\nline\r\nend\ttab",
    "emoji 👩‍👩‍👧 and e\u0301",
    "'\"<>;,|^{}[]`@:!$()*",
    "",
]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
async def test_the_gateway_gets_exactly_the_forms_characters(text: str) -> None:
    """Names and values arrive as they were given, in the API's own escaping: plus for space, %XX for all but a few."""
    form = {"recipient": "77010000001", "text": text, "params[name]": "otp #1"}
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        await client.send_sms(form, start_by=lambda: float("inf"))
        (exchange,) = gateway.exchanges
    assert exchange.form == form | {"apiKey": KEY}
    assert set(exchange.body.decode()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+%&=")
    assert " " not in text or b"+" in exchange.body


@pytest.mark.parametrize(("tail", "path"), [("", ""), ("/", ""), ("/prefix", "/prefix"), ("/prefix/", "/prefix")])
async def test_the_request_is_the_one_the_contract_describes(tail: str, path: str) -> None:
    """A POST of a form to the method's address, with the key in the form and nowhere else."""
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url + tail) as client:
        await send(client)
        (exchange,) = gateway.exchanges
    assert exchange.request_line == f"POST {path}/service/message/sendsmsmessage?output=json&api=v1 HTTP/1.1"
    assert exchange.header("Content-Type") == "application/x-www-form-urlencoded"
    assert exchange.header("Accept-Encoding") == "identity"
    assert exchange.header("Transfer-Encoding") is None
    assert exchange.header("Expect") is None
    assert KEY[:8] not in exchange.head


@pytest.mark.parametrize(
    "url", ["", "api.mobizon.kz", "ftp://h", "https://", "https://h?x=1", "https://h#x", "redis://h"]
)
async def test_a_url_that_isnt_a_servers_is_refused_at_once(url: str) -> None:
    """The mistake shows when the worker starts, and the message doesn't repeat the value."""
    with pytest.raises(ValueError, match=r"^The gateway's URL must be") as caught:
        Client(url, KEY, connections=1)
    assert "mobizon" not in str(caught.value)


async def test_a_connection_is_used_again() -> None:
    """One connection serves one call after the other."""
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        assert [(await send(client)).kind for _ in range(3)] == [Kind.ACCEPTED] * 3
        assert (gateway.connections, len(gateway.exchanges)) == (1, 3)


async def test_a_connection_that_rested_too_long_isnt_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """We are the ones who close it, before a server does it in the middle of a call."""
    monkeypatch.setattr(client_module, "MAX_IDLE_SECONDS", 0.05)
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        await send(client)
        await until(lambda: gateway.endings)
        assert (await send(client)).kind is Kind.ACCEPTED
        assert gateway.connections == 2


async def test_a_connection_that_the_gateway_closed_at_rest_isnt_used_again() -> None:
    """The next call opens another, and loses nothing."""

    async def answer_and_close(exchange: Exchange) -> None:
        """Answers without saying that it will close."""
        await answering()(exchange)
        exchange.writer.close()

    async with RawGateway((answer_and_close,)) as gateway, open_client(gateway.url) as client:
        await send(client)
        await until(lambda: not any(proto.is_connected() for proto in resting(client)))
        assert (await send(client)).kind is Kind.ACCEPTED
        assert gateway.connections == 2


async def test_an_answer_nobody_asked_for_isnt_taken_for_ours() -> None:
    """Bytes that come while the connection rests condemn it: the call that finds them isn't written there."""
    another = answering(ACCEPTED | {"data": {"campaignId": "66", "messageId": "666", "status": 2}})
    asleep = asyncio.Event()

    async def answer_twice(exchange: Exchange) -> None:
        """Says something more while nobody listens."""
        await answering()(exchange)
        await asleep.wait()
        await another(exchange)

    async with RawGateway((answer_twice, answering())) as gateway, open_client(gateway.url) as client:
        await send(client)
        asleep.set()
        await until(lambda: any(proto.should_close for proto in resting(client)))
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.TRY_AGAIN, Fault.STALE_CONNECTION)
        assert len(gateway.exchanges) == 1
        assert (await send(client)).message_id == 12


async def test_cookies_and_the_environments_proxy_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """F55: nothing but the settings decides where a message goes and what it carries."""
    async with (
        RawGateway((answering(headers="Set-Cookie: a=b\r\n"),)) as gateway,
        RawGateway((answering(),)) as proxy,
        open_client(gateway.url) as client,
    ):
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        await send(client)
        await send(client)
        assert [exchange.header("Cookie") for exchange in gateway.exchanges] == [None, None]
        assert proxy.connections == 0


async def test_over_tls_a_trusted_server_is_called(authority: Authority) -> None:
    """With the authority's certificate given, the call is made and the connection used again."""
    async with (
        RawGateway((answering(),), tls=authority.server, host="localhost") as gateway,
        open_client(gateway.url, ca_file=authority.ca_file) as client,
    ):
        assert [(await send(client)).kind for _ in range(2)] == [Kind.ACCEPTED] * 2
        assert gateway.connections == 1


async def test_each_call_gets_its_own_answer() -> None:
    """Many calls over few connections: no answer goes to another call."""

    async def answer_with_the_recipient(exchange: Exchange) -> None:
        """Gives the recipient's number as the message's id."""
        await answering({"code": 0, "data": {"campaignId": 1, "messageId": exchange.form["recipient"], "status": 1}})(
            exchange
        )

    async with RawGateway((answer_with_the_recipient,)) as gateway, open_client(gateway.url, connections=7) as client:
        recipients = range(77010000000, 77010000200)
        calls = [
            client.send_sms({"recipient": str(recipient)}, start_by=lambda: float("inf")) for recipient in recipients
        ]
        outcomes = await asyncio.gather(*calls)
        assert [outcome.message_id for outcome in outcomes] == list(recipients)
        assert gateway.connections <= 7


async def test_a_closed_client_makes_no_call() -> None:
    """It is a bug of ours, and loud."""
    async with RawGateway((answering(),)) as gateway:
        async with open_client(gateway.url) as client:
            pass
        with pytest.raises(RuntimeError):
            await send(client)
        assert gateway.connections == 0


def test_the_socket_has_the_limits_of_a_call() -> None:
    """The kernel gives up unacknowledged data after a call's time, and a closed socket drops what it holds."""
    with _open_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("", 0)), unheard_ms=1500) as opened:
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
        assert struct.unpack("ii", opened.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 0)
