"""The key goes to the gateway and nowhere else; neither do the number and the text (F59)."""

import asyncio
import base64
import logging
import traceback
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
GROUPED = "000 00-01"  # the last digits of the recipient, as people write them
MESSAGE = {FORM["recipient"], GROUPED, FORM["text"], quote_plus(FORM["text"])}

ECHO = {"code": 1, "data": {"recipient": f"{FORM['recipient']} {FORM['text']} {KEY}"}, "message": KEY}
EVERYTHING: dict[str, Behaviour] = {
    "accepts": answering(),
    "echoes": answering(ECHO),
    "echoes as text": answering({"code": 8, "data": f"{KEY} of {FORM['recipient']}, (701) {GROUPED}"}),
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


def assert_nothing_of(secrets: set[str], said: list[str]) -> None:
    """Looks for each of the secrets in all that was said."""
    assert not [words for words in said for secret in secrets if secret in words]


@pytest.mark.parametrize("behaviour", EVERYTHING.values(), ids=EVERYTHING)
async def test_whatever_happens_key_and_message_show_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], behaviour: Behaviour
) -> None:
    """All loggers at DEBUG, the event loop in debug mode, and what the call returns: nothing of either is in it."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    async with (
        RawGateway((behaviour,)) as gateway,
        open_client(gateway.url, total_timeout=TOTAL_SECONDS) as client,
    ):
        outcome = await send(client)
        assert gateway.exchanges[0].form["apiKey"] == KEY
        said = [repr(outcome), repr(client), repr(vars(client))]
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    said += [formatter.format(record) for record in caplog.records]
    assert_nothing_of(KEY_FORMS | MESSAGE, [*said, *capfd.readouterr()])


async def test_a_bug_inside_the_client_shows_no_key() -> None:
    """Not even in a traceback with the local variables of every frame, as error trackers take it."""
    async with open_client("http://127.0.0.1:1") as client:
        with pytest.raises(UnicodeEncodeError) as caught:
            await client.send_sms({"text": "a\ud800"}, start_by=lambda: float("inf"))
    said = list(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
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
    said = list(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert any("body" in words for words in said)
    assert_nothing_of(KEY_FORMS, said)


async def test_the_key_can_be_given_as_a_secret() -> None:
    """Settings hold it as one."""
    async with RawGateway((answering(),)) as gateway:
        client = Client(gateway.url, SecretStr(KEY), connections=1)
        assert (await send(client)).kind is Kind.ACCEPTED
        await client.close()
        assert gateway.exchanges[0].form["apiKey"] == KEY
