"""Questions where names carry no tokens: number, text, sender and time decide, or nobody does (F70, rule 16)."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from smsq.gateway.questions import Question
from tests.support.sandbox import Sandbox, ordinary

from .asking import NUMBER, TEXT, ask_all, ask_one, asking_calls, call, lost, question, send_canary
from .calls import open_client

SPACED = "  «Kaspi»:\u00a0код  4711\nНе говорите\n"
LINKED = "Заказ 12 готов: https://example.kz/orders/12?x=1"


def plain(text: str = TEXT, *, sender: str | None = None, recipient: str = NUMBER) -> Question:
    """Makes a job whose campaign's name has no token."""
    return question(recipient, text, sender=sender, tokens=False)


async def test_a_lost_answer_is_found_by_number_and_text(sandbox: Sandbox) -> None:
    """The one message that fits is told; whether it is another job's, the ledger knows."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = await lost(client, sandbox.recipient("closed-accepted"), tokens=False)
        reply = await ask_one(client, asked, canary)
        assert (reply.word, reply.proved) == ("found", True)
        assert [match.message_id for match in reply.matches] == [sandbox.messages()[-1]["messageId"]]
        assert (await ask_one(client, asked)).word == "found"


async def test_all_messages_that_fit_are_told_oldest_first(sandbox: Sandbox) -> None:
    """Twins: whose is whose, the ledger decides; names that users give don't matter."""
    async with open_client(sandbox.url) as client:
        ids = [(await call(client, plain(), name=name)).message_id for name in ("otp", None, "otp")]
        reply = await ask_one(client, plain())
    assert [match.message_id for match in reply.matches] == ids


async def test_what_the_gateway_does_not_have_is_absent(sandbox: Sandbox) -> None:
    """Messages to other numbers, with other figures, or cut before them, are others."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        for other in (
            plain(recipient=ordinary(2)),
            plain(recipient=f"43{NUMBER}"),
            plain("Код: 4712. Никому не говорите"),
            plain("Добро пожаловать"),
        ):
            await call(client, other)
        assert (await ask_one(client, plain(), canary)).word == "absent"


@pytest.mark.parametrize("change", ["trim", "crlf", "fold-quotes"])
async def test_a_text_changed_in_silence_is_ours(sandbox: Sandbox, change: str) -> None:
    """F70: ends, line ends and quotes are compared as providers leave them."""
    sandbox.post("/sandbox/flags", text_changes=[change])
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = plain(SPACED)
        await call(client, asked)
        assert sandbox.messages()[-1]["text"] != SPACED
        assert (await ask_one(client, asked, canary)).word == "found"


async def test_a_text_that_lost_its_emoji_is_near(sandbox: Sandbox) -> None:
    """F70: nearly ours isn't ours, and never absent."""
    sandbox.post("/sandbox/flags", text_changes=["drop-emoji"])
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = plain("Код 4711 🎉 для входа")
        await call(client, asked)
        reply = await ask_one(client, asked, canary)
    assert (reply.word, len(reply.matches), reply.proved) == ("near", 1, True)
    assert reply.reason == "the list shows a message that may be this one, changed"


async def test_a_text_with_shortened_links_is_near(sandbox: Sandbox) -> None:
    """F70: the figures of a link are the link's."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = plain(LINKED)
        await call(client, asked, links=True)
        assert (await ask_one(client, asked, canary)).word == "near"
        assert (
            await ask_one(client, replace(asked, text=LINKED.replace("Заказ 12", "Заказ 13")), canary)
        ).word == "absent"


async def test_a_replaced_sender_makes_it_near(sandbox: Sandbox) -> None:
    """The gateway may have replaced ours, and somebody else may have used his; without a wish any will do."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        await call(client, plain(sender="Unknown"))
        assert (await ask_one(client, plain(sender="Unknown"), canary)).word == "near"
        assert (await ask_one(client, plain(), canary)).word == "found"


async def test_the_same_message_of_another_time_is_near(sandbox: Sandbox) -> None:
    """A reminder that goes out each day: yesterday's, inside the window only for the zones' sake, isn't today's."""
    async with open_client(sandbox.url) as client:
        await call(client, plain())
        sandbox.post("/sandbox/clock", advance=86_400)
        canary = await send_canary(client)
        asked = plain()
        asked = replace(asked, since=asked.since + 86_400)
        reply = await ask_one(client, asked, canary, later=86_400)
        assert (reply.word, len(reply.matches), reply.proved) == ("near", 1, True)
        outcome = await call(client, asked)
        reply = await ask_one(client, asked, canary, later=86_400)
    assert [match.message_id for match in reply.matches] == [outcome.message_id]
    assert (reply.word, reply.proved) == ("found", False)


async def test_a_wrong_time_zone_leaves_it_open(sandbox: Sandbox) -> None:
    """F63: where the time has to decide, a time that doesn't fit is neither found nor absent."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = plain()
        await call(client, asked)
        assert (await ask_one(client, asked, canary, zone=ZoneInfo("Etc/GMT+3"))).word == "near"


async def test_tokens_of_names_decide_even_so(sandbox: Sandbox) -> None:
    """Calls from before the setting was changed: another job's token makes it another's, the own one ours."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = question()
        await call(client, question())
        assert (await ask_one(client, replace(asked, token=""), canary)).word == "absent"
        outcome = await call(client, asked)
        reply = await ask_one(client, replace(asked, token="", text="Код"), canary)
    assert [match.message_id for match in reply.matches] == [outcome.message_id]


async def test_campaigns_are_asked_for_where_the_list_leaves_them_out(sandbox: Sandbox) -> None:
    """Only of messages that may be ours: their times decide."""
    sandbox.post("/sandbox/flags", nested_campaign=False)
    async with open_client(sandbox.url) as client:
        asked = plain()
        await call(client, plain("Код: 4712"))
        await call(client, asked)
        assert (await ask_one(client, asked)).word == "found"
    assert asking_calls(sandbox) == ["message/list", "campaign/get"]


async def test_a_list_that_broke_off_finds_nothing(sandbox: Sandbox) -> None:
    """What fits on the first page may have a twin on the second: only a whole list tells."""
    calls = 0

    async def permit() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": "code-999"})

    async with open_client(sandbox.url) as client:
        for _ in range(101):
            await call(client, plain())
        [reply] = await ask_all(client, [plain()], permit=permit)
        assert (reply.word, reply.matches, calls) == ("cant_tell", (), 2)
        assert len((await ask_one(client, plain())).matches) == 101


async def test_without_a_canary_an_empty_list_proves_nothing(sandbox: Sandbox) -> None:
    """And what is near leaves it open too."""
    async with open_client(sandbox.url) as client:
        assert (await ask_one(client, plain())).word == "empty"
        await call(client, plain(sender="Unknown"))
        assert (await ask_one(client, plain(sender="Brand"))).word == "cant_tell"
