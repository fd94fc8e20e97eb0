"""Questions that bring no answer: nobody can tell then, what failed is told, and nothing personal with it."""

import pytest

from smsq.gateway.answers import Kind
from smsq.gateway.questions import Canary
from tests.support.sandbox import Sandbox
from tests.support.server import free_port

from .asking import (
    CANARYS_NUMBER,
    NUMBER,
    TEXT,
    ask_all,
    ask_one,
    asking_calls,
    lost,
    question,
    send_canary,
)
from .calls import TOTAL_SECONDS, open_client

FAILURES = {
    "code-8": "code 8: the API key is wrong or expired",
    "code-30": "code 30: too many calls",
    "code-999": "code 999: general service error",
    "429": "too many calls (HTTP 429)",
    "500": "a server's answer that leaves it open",
    "307": "a server's answer that leaves it open",
    "closed": "the gateway closed the connection without an answer",
    "reset": "the connection broke",
    "half-body": "the answer was cut off",
    "endless": "the answer was too large",
    "html-200": "the answer isn't the API's",
    "json-twice": "the answer isn't the API's",
    "code-0-data-null": "the list can't be read",
    "code-0-data-empty": "the list can't be read",
    "ids-numbers": "the list can't be read",
    "not-http": "the answer wasn't valid HTTP",
}


async def test_a_bug_of_the_pace_comes_up(sandbox: Sandbox) -> None:
    """Its time-out isn't taken for the end of the round."""

    async def permit() -> None:
        raise TimeoutError

    async with open_client(sandbox.url) as client:
        with pytest.raises(TimeoutError):
            await ask_all(client, [question()], permit=permit, within=60.0)
    assert asking_calls(sandbox) == []


@pytest.mark.parametrize(("how", "reason"), FAILURES.items())
async def test_an_error_in_place_of_a_list_says_nothing(sandbox: Sandbox, how: str, reason: str) -> None:
    """Neither found nor absent; what failed is told, so that the caller can slow down (F55, F58)."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = await lost(client, sandbox.recipient("closed-accepted"))
        sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": how})
        reply = await ask_one(client, asked, canary)
        assert (reply.word, reply.reason) == ("cant_tell", reason)
        assert (reply.failure is None) == (reason == "the list can't be read")
        assert asking_calls(sandbox) == ["message/list"]
        assert (await ask_one(client, asked, canary)).word == "found"


@pytest.mark.parametrize("how", ["hang", "drip-headers", "drip-body"])
async def test_a_question_has_a_time_limit(sandbox: Sandbox, how: str) -> None:
    """F58: a list that hangs or drips is cut off like any call."""
    sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": how})
    async with open_client(sandbox.url, total_timeout=TOTAL_SECONDS) as client:
        reply = await ask_one(client, question())
    assert (reply.word, reply.reason) == ("cant_tell", "no complete answer in time")


async def test_a_gateway_that_isnt_there_says_nothing() -> None:
    """No connection: nobody can tell."""
    async with open_client(f"http://127.0.0.1:{free_port()}") as client:
        reply = await ask_one(client, question(), Canary(1, CANARYS_NUMBER))
    assert reply.word == "cant_tell"
    assert reply.failure
    assert reply.failure.kind is Kind.TRY_AGAIN


async def test_an_error_in_the_canarys_place_leaves_absence_unproved(sandbox: Sandbox) -> None:
    """The question's own list was empty, and that isn't enough."""
    calls = 0

    async def permit() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": "503"})

    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        [reply] = await ask_all(client, [question()], canary, permit=permit)
    assert (reply.word, calls) == ("cant_tell", 2)
    assert reply.failure
    assert reply.failure.http_status == 503


async def test_the_shown_reasons_hold_nothing_personal(sandbox: Sandbox) -> None:
    """Neither number nor text is in a reply, whatever the gateway quotes."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        for how in ("no-route", "text-quoted", "stop-listed-15"):
            sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": how})
            shown = repr(await ask_one(client, question(), canary))
            assert NUMBER[-7:] not in shown
            assert TEXT not in shown
