"""The key goes to the gateway and nowhere else; neither do the number and the text (F59)."""

import asyncio
import base64
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from smsq.gateway.answers import Kind
from smsq.gateway.client import Client

from .calls import FORM, KEY, TOTAL_SECONDS, open_client, send, until
from .rawgateway import Behaviour, RawGateway, answering, dripping, flooding, hanging, hanging_up, resetting, saying

KEY_FORMS = {
    KEY,
    quote(KEY),
    quote(KEY, safe=""),
    quote_plus(KEY).replace("~", "%7E"),
    # Wherever in a longer text the key is encoded, one of the three alignments of base64 shows its middle.
    *(base64.b64encode(b"-" * shift + KEY.encode())[4:-4].decode() for shift in range(3)),
}
MESSAGE = {FORM["recipient"], FORM["text"], quote_plus(FORM["text"])}

ECHO = {"code": 1, "data": {"recipient": f"{FORM['recipient']} {FORM['text']} {KEY}"}, "message": KEY}
EVERYTHING: dict[str, Behaviour] = {
    "accepts": answering(),
    "echoes": answering(ECHO),
    "echoes as text": answering({"code": 8, "data": f"{KEY} of {FORM['recipient']}"}),
    "echoes in headers": answering(ECHO, headers=f"X-Echo: {KEY} {FORM['recipient']}\r\nSet-Cookie: key={KEY}\r\n"),
    "echoes in garbage": saying(f"{KEY} {FORM['recipient']}\r\n\r\n".encode()),
    "echoes in a status line": saying(f"HTTP/1.1 {KEY} {FORM['recipient']}\r\n\r\n".encode()),
    "503": answering(KEY.encode(), status=503),
    "307": answering(b"", status=307, headers=f"Location: /?apiKey={KEY}\r\n"),
    "closes": hanging_up,
    "resets": resetting,
    "hangs": hanging,
    "drips": dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "floods": flooding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
}


@contextmanager
def everything_said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Collects what is written to any log at DEBUG, with tracebacks, to the standard streams, and as warnings."""
    said: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        for name in ("aiohttp.client", "aiohttp.internal", "asyncio", "smsq"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        yield said
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    said += [formatter.format(record) for record in caplog.records]
    said += [str(warning.message) for warning in warned]
    said += capfd.readouterr()


def assert_nothing_of(secrets: set[str], said: list[str]) -> None:
    """Looks for each of the secrets in all that was said."""
    assert not [words for words in said for secret in secrets if secret in words]


@pytest.mark.parametrize("behaviour", EVERYTHING.values(), ids=EVERYTHING)
async def test_whatever_happens_key_and_message_show_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], behaviour: Behaviour
) -> None:
    """All loggers at DEBUG, the event loop in debug mode, and what the call returns: nothing of either is in it."""
    asyncio.get_running_loop().set_debug(True)
    async with (
        RawGateway((behaviour,)) as gateway,
        open_client(gateway.url, total_timeout=TOTAL_SECONDS) as client,
    ):
        said.append(repr(await send(client)))
        said.append(repr(client) + repr(vars(client)))
        assert gateway.exchanges[0].form["apiKey"] == KEY
    with everything_said(caplog, capfd) as said:
    assert_nothing_of(KEY_FORMS | MESSAGE, said)


async def test_a_bug_inside_the_client_shows_no_key() -> None:
    """Not even in a traceback with the local variables of every frame, as error trackers take it."""
    async with open_client("http://127.0.0.1:1") as client:
        with pytest.raises(UnicodeEncodeError) as caught:
            await client.send_sms({"text": "a\ud800"}, start_by=float("inf"))
    said.extend(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    said: list[str] = []
    assert any("_quote" in words for words in said)
    assert_nothing_of(KEY_FORMS, said)


async def test_a_cancelled_call_shows_no_key() -> None:
    """Nor does a cancellation, in whose frames the request was."""
    async with RawGateway((hanging,)) as gateway, open_client(gateway.url) as client:
        call = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
    said.extend(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    said: list[str] = []
    assert_nothing_of(KEY_FORMS, said)


async def test_the_key_can_be_given_as_a_secret() -> None:
    """Settings hold it as one."""
    async with RawGateway((answering(),)) as gateway:
        client = Client(gateway.url, SecretStr(KEY), connections=1)
        assert (await send(client)).kind is Kind.ACCEPTED
        await client.close()
        assert gateway.exchanges[0].form["apiKey"] == KEY
