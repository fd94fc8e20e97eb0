"""Whatever the gateway does once it has the request: one POST, no second try, and an outcome in time."""

import gzip

import pytest

from smsq.gateway.answers import (
    NO_ENVELOPE,
    NO_IDS,
    UNLISTED_STATUS,
    Fault,
    Kind,
)

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
