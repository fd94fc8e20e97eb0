"""Whatever the gateway does once it has the request: one POST, no second try, and an outcome in time."""

import gzip

import aiohttp
import pytest

from smsq.gateway import client as client_module
from smsq.gateway.answers import (
    NO_ENVELOPE,
    NO_IDS,
    UNLISTED_STATUS,
    Fault,
    Kind,
)
from smsq.gateway.form import Form

from .calls import TOTAL_SECONDS, open_client, send, until
from .rawgateway import (
    Behaviour,
    RawGateway,
    answering,
    dripping,
    flooding,
    hanging,
    hanging_up,
    resetting,
    saying,
)

WHOLE = b'{"code":0,"data":{"campaignId":"7","messageId":"12","status":2},"message":""}'
HEAD = b"HTTP/1.1 200 OK\r\n"

ANSWERS: dict[str, tuple[Behaviour, str]] = {
    "408": (answering(b"", status=408), UNLISTED_STATUS.meaning),
    "502": (answering(b"<html>", status=502), UNLISTED_STATUS.meaning),
    "503 with advice": (answering(b"", status=503, headers="Retry-After: 1\r\n"), UNLISTED_STATUS.meaning),
    "504": (answering(b"", status=504), UNLISTED_STATUS.meaning),
    "204": (saying(b"HTTP/1.1 204 No Content\r\n\r\n"), UNLISTED_STATUS.meaning),
    "101": (saying(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"), UNLISTED_STATUS.meaning),
    "page": (answering(b"<html>Welcome</html>"), NO_ENVELOPE.meaning),
    "no body": (answering(b""), NO_ENVELOPE.meaning),
    "half the JSON": (answering(WHOLE[:40]), NO_ENVELOPE.meaning),
    "no ids": (answering({"code": 0, "data": {}}), NO_IDS.meaning),
    "compressed": (answering(gzip.compress(WHOLE), headers="Content-Encoding: gzip\r\n"), NO_ENVELOPE.meaning),
}
BREAKS: dict[str, tuple[Behaviour, Fault]] = {
    "closes without a byte": (hanging_up, Fault.CLOSED),
    "resets": (resetting, Fault.BROKEN),
    "half a status line": (saying(b"HTTP/1.1 20"), Fault.CLOSED),
    "half the headers": (saying(HEAD + b"Content-Le"), Fault.CLOSED),
    "less than promised": (saying(HEAD + b"Content-Length: 500\r\n\r\n" + WHOLE), Fault.CUT),
    "chunks without an end": (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4d\r\n" + WHOLE + b"\r\n"), Fault.CUT),
    "not HTTP": (saying(b"220 smtp.example ESMTP\r\n"), Fault.NOT_HTTP),
    "bad length": (saying(HEAD + b"Content-Length: -5\r\n\r\n"), Fault.NOT_HTTP),
    "endless header": (saying(HEAD + b"X: " + b"x" * 300_000), Fault.NOT_HTTP),
    "endless body": (flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), Fault.OVERSIZED),
    "200 MB body": (flooding(HEAD + b"Content-Length: 200000000\r\n\r\n"), Fault.OVERSIZED),
    "body until it closes": (saying(HEAD + b"\r\n" + WHOLE + b" " * 70_000), Fault.OVERSIZED),
}
STALLS: dict[str, Behaviour] = {
    "silent": hanging,
    "drips a status line": dripping(b"HTTP/1.1 200 O", b"K"),
    "drips headers": dripping(HEAD, b"X: y\r\n"),
    "drips a header's value": dripping(HEAD + b"X: ", b"x"),
    "drips interim answers": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drips a body": dripping(HEAD + b"Content-Length: 900\r\n\r\n", b" "),
    "drips chunks": dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "drips after the JSON": dripping(HEAD + b"Content-Length: 900\r\n\r\n" + WHOLE, b" "),
}


@pytest.mark.parametrize(("behaviour", "reason"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_says_nothing_sure_is_unknown(behaviour: Behaviour, reason: str) -> None:
    """The gateway may have accepted it before it answered like that; it isn't called again (F55)."""
    async with RawGateway((behaviour,)) as gateway, open_client(gateway.url) as client:
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, reason)
        assert len(gateway.exchanges) == 1


@pytest.mark.parametrize(("behaviour", "fault"), BREAKS.values(), ids=BREAKS)
async def test_a_broken_answer_is_unknown(behaviour: Behaviour, fault: Fault) -> None:
    """It isn't called again, a complete success inside a cut answer isn't believed, and size is bounded (F55, F58)."""
    async with RawGateway((behaviour,)) as gateway, open_client(gateway.url) as client:
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, fault)
        assert len(gateway.exchanges) == 1


@pytest.mark.parametrize("behaviour", STALLS.values(), ids=STALLS)
async def test_an_answer_that_doesnt_end_is_cut_off(behaviour: Behaviour) -> None:
    """The total time counts to the last byte, however lively it drips; the connection is reset (F58, F11)."""
    async with (
        RawGateway((behaviour,)) as gateway,
        open_client(gateway.url, total_timeout=TOTAL_SECONDS) as client,
    ):
        outcome = await send(client)
        assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, Fault.NO_ANSWER_IN_TIME)
        assert len(gateway.exchanges) == 1
        await until(lambda: gateway.endings)
        assert gateway.endings == ["reset"]


@pytest.mark.parametrize("behaviour", [hanging_up, resetting], ids=["closes", "resets"])
async def test_a_used_connection_that_breaks_during_the_call_is_unknown(behaviour: Behaviour) -> None:
    """That the connection had served before makes the lost call no safer to repeat (F55)."""
    async with RawGateway((answering(), behaviour, answering())) as gateway, open_client(gateway.url) as client:
        assert (await send(client)).kind is Kind.ACCEPTED
        assert (await send(client)).kind is Kind.UNKNOWN
        assert (gateway.connections, len(gateway.exchanges)) == (1, 2)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_isnt_followed(status: int) -> None:
    """Neither the message nor the key goes to another server, and the outcome is unknown (F55)."""
    async with RawGateway((answering(),)) as elsewhere:
        redirect = answering(b"", status=status, headers=f"Location: {elsewhere.url}/\r\n")
        async with RawGateway((redirect,)) as gateway, open_client(gateway.url) as client:
            outcome = await send(client)
            assert (outcome.kind, outcome.http_status) == (Kind.UNKNOWN, status)
            assert (len(gateway.exchanges), elsewhere.connections) == (1, 0)


async def test_where_the_library_repeats_a_request_the_form_refuses() -> None:
    """Aiohttp sends idempotent methods again over a fresh connection; even then the form goes out once."""
    async with RawGateway((answering(), hanging_up, answering())) as gateway, aiohttp.ClientSession() as session:
        assert (await session.put(gateway.url, data=Form(b"n=1", lambda: float("inf")))).status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.put(gateway.url, data=Form(b"n=2", lambda: float("inf")))
        assert [exchange.body for exchange in gateway.exchanges] == [b"n=1", b"n=2"]
        assert gateway.connections == 2


async def test_a_bug_after_the_request_was_written_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It isn't an exception that someone up the stack could take for "not sent"."""
    monkeypatch.setattr(client_module, "classify", None)
    async with RawGateway((answering(),)) as gateway, open_client(gateway.url) as client:
        outcome = await send(client)
        assert (outcome.kind, outcome.reason, outcome.detail) == (Kind.UNKNOWN, Fault.BUG, "TypeError")
