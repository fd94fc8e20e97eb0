"""A call that asks: the same limits, the same secrecy and as few tries as a call that sends (F58, F59)."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

from smsq.gateway.answers import Data, Fault, Kind, Outcome
from smsq.gateway.client import CAMPAIGN_GET, MESSAGE_LIST, OWN_BALANCE

from .calls import KEY, TOTAL_SECONDS, open_client, until
from .rawgateway import Behaviour, RawGateway, answering, dripping, flooding, hanging, hanging_up, resetting, saying
from .test_secrets import KEY_FORMS, assert_nothing_of

FORM: Mapping[str, str] = {"criteria[to]": "77010000001"}
HEAD = b"HTTP/1.1 200 OK\r\n"

BROKEN: dict[str, tuple[Behaviour, str]] = {
    "closes": (hanging_up, Fault.CLOSED),
    "resets": (resetting, Fault.BROKEN),
    "hangs": (hanging, Fault.NO_ANSWER_IN_TIME),
    "drips headers": (dripping(HEAD, b"X: y\r\n"), Fault.NO_ANSWER_IN_TIME),
    "drips a body": (dripping(HEAD + b"Content-Length: 9000000\r\n\r\n", b" "), Fault.NO_ANSWER_IN_TIME),
    "cut": (saying(HEAD + b'Content-Length: 500\r\n\r\n{"code":0,"data":{}}'), Fault.CUT),
    "redirects": (
        answering(b"", status=307, headers="Location: /elsewhere\r\n"),
        "a server's answer that leaves it open",
    ),
    "HTTP 500 around a success": (
        answering({"code": 0, "data": {}}, status=500),
        "the HTTP status contradicts the API's code",
    ),
    "quotes all": (
        answering({"code": 1, "data": {"to": f"77010000001 (701) 000 00-01 {KEY}"}}),
        "a field isn't valid",
    ),
}


@pytest.mark.parametrize("method", [MESSAGE_LIST, CAMPAIGN_GET, OWN_BALANCE])
async def test_the_request_is_the_one_the_contract_describes(method: str) -> None:
    """A POST to the method's address, the key in the form and nowhere else."""
    async with RawGateway((answering({"code": "0", "data": [1]}),)) as gateway, open_client(gateway.url) as client:
        assert await client.ask(method, FORM) == Data([1])
        [exchange] = gateway.exchanges
    assert exchange.request_line == f"POST /{method}?output=json&api=v1 HTTP/1.1"
    assert exchange.form == {**FORM, "apiKey": KEY}
    assert KEY[:8] not in exchange.head


@pytest.mark.parametrize(("behaviour", "reason"), BROKEN.values(), ids=BROKEN)
async def test_what_goes_wrong_becomes_an_outcome(
    caplog: pytest.LogCaptureFixture, behaviour: Behaviour, reason: str
) -> None:
    """One request, an end in time, and neither key nor number in what is said of it."""
    caplog.set_level(logging.DEBUG)
    async with (
        RawGateway((behaviour,)) as gateway,
        open_client(gateway.url, total_timeout=TOTAL_SECONDS) as client,
    ):
        outcome = await client.ask(MESSAGE_LIST, FORM)
        assert isinstance(outcome, Outcome)
        assert outcome.reason == reason
        assert len(gateway.exchanges) == 1
    said = [repr(outcome), *(record.getMessage() for record in caplog.records)]
    assert_nothing_of(KEY_FORMS | {"0000001", "000 00-01"}, said)


async def test_an_endless_answer_is_cut_off() -> None:
    """F58: at the size that a page can have, which is more than a message's answer has."""
    flood = flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    async with RawGateway((flood,)) as gateway, open_client(gateway.url) as client:
        outcome = await client.ask(MESSAGE_LIST, FORM)
    assert isinstance(outcome, Outcome)
    assert outcome.reason == Fault.OVERSIZED


async def test_a_full_page_of_long_texts_is_read() -> None:
    """A hundred texts of ten segments, every character escaped."""
    items = [{"id": str(number), "text": "Ж" * 670} for number in range(100)]
    answer = answering({"code": 0, "data": {"items": items, "totalItemCount": "100"}})
    async with RawGateway((answer,)) as gateway, open_client(gateway.url) as client:
        data = await client.ask(MESSAGE_LIST, FORM)
    assert isinstance(data, Data)
    assert data.value["items"] == items


async def test_a_wait_that_the_gateway_asks_for_is_told() -> None:
    """Too many calls: the whole pace slows down, with the advice of the answer."""
    behaviour = answering(b"", status=429, headers="Retry-After: 7\r\n")
    async with RawGateway((behaviour,)) as gateway, open_client(gateway.url) as client:
        outcome = await client.ask(MESSAGE_LIST, FORM)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.retry_after) == (Kind.TRY_AGAIN, 7.0)


async def test_a_cancelled_question_ends_at_once() -> None:
    """Its connection is reset, and an ordinary cancellation comes up."""
    async with RawGateway((hanging,)) as gateway, open_client(gateway.url) as client:
        asking = asyncio.create_task(client.ask(MESSAGE_LIST, FORM))
        await until(lambda: gateway.exchanges)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: gateway.endings)
        assert gateway.endings == ["reset"]
