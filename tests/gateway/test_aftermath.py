"""What the gateway says of messages that it accepted: a moderator's decision, and how far they have come."""

from typing import Final

import pytest

from smsq.gateway.aftermath import MOST_MESSAGES, Verdict, statuses, verdict
from smsq.gateway.answers import Kind, Outcome
from tests.support.sandbox import Sandbox, ordinary

from .asking import TEXT, call, question
from .calls import open_client
from .rawgateway import RawGateway, answering

CAMPAIGN: Final = 12


@pytest.mark.parametrize(("how", "word"), [("moderated", "passed"), ("declined", "declined")])
async def test_a_moderator_decides(sandbox: Sandbox, how: str, word: str) -> None:
    """First it waits. A decline comes with the moderator's words, without the number and the text that they quote."""
    number = sandbox.recipient(how)
    async with open_client(sandbox.url) as client:
        outcome = await call(client, question(number))
        assert outcome.campaign_id
        assert await verdict(client, outcome.campaign_id, number) == Verdict("waits")
        sandbox.post("/sandbox/clock", advance=900)
        found = await verdict(client, outcome.campaign_id, number)
        assert await verdict(client, 1, number) == Verdict("waits"), "a campaign that it doesn't know"
    assert isinstance(found, Verdict)
    assert found.word == word
    assert found.comment == ("Отклонено модератором: «[text]» на [number]" if word == "declined" else "")
    assert TEXT not in found.comment


@pytest.mark.parametrize(
    ("common", "moderation", "word"),
    [
        ("DECLINED", "DECLINED", "declined"),
        ("DECLINED", None, "declined"),
        (None, "DECLINED", "declined"),
        ("DONE", "DECLINED", "waits"),
        ("DECLINED", "MODERATION", "waits"),
        (None, None, "waits"),
        (7, ["DECLINED"], "waits"),
        ("SENT", None, "passed"),
        ("NEW_WORD", "AUTO_READY_FOR_SEND", "passed"),
    ],
)
async def test_what_contradicts_itself_decides_nothing(common: object, moderation: object, word: str) -> None:
    """A message that may have left isn't said to have failed."""
    data = {"id": "12", "commonStatus": common, "moderationStatus": moderation, "globalComment": {"a": "b"}}
    async with RawGateway((answering({"code": 0, "data": data}),)) as gateway, open_client(gateway.url) as client:
        assert await verdict(client, CAMPAIGN, "") == Verdict(word)  # type: ignore[arg-type]


async def test_a_comment_is_bounded(sandbox: Sandbox) -> None:
    """Whatever a moderator pastes there, a record keeps a sentence of printable characters."""
    data = {"id": 12, "commonStatus": "DECLINED", "globalComment": "no\n\x1b[31m" + "x" * 100_000, "text": ""}
    async with RawGateway((answering({"code": 0, "data": data}),)) as gateway, open_client(gateway.url) as client:
        found = await verdict(client, CAMPAIGN, "")
    assert isinstance(found, Verdict)
    assert found.comment.isprintable()
    assert len(found.comment) <= 500


async def test_statuses_of_a_hundred_and_of_those_that_are_known(sandbox: Sandbox) -> None:
    """Ids that the gateway doesn't know are left out."""
    async with open_client(sandbox.url) as client:
        sent = [await call(client, question(ordinary(number))) for number in range(2)]
        refused = await call(client, question(sandbox.recipient("undelivered")))
        ids = [each.message_id or 0 for each in (*sent, refused)]
        sandbox.post("/sandbox/clock", advance=60)
        found = await statuses(client, [*ids, *range(1, MOST_MESSAGES - 2)])
        assert found == {ids[0]: "DELIVRD", ids[1]: "DELIVRD", ids[2]: "UNDELIV"}
        assert await statuses(client, [1]) == {}


@pytest.mark.parametrize("data", [{"id": "1", "status": "DELIVRD"}, None, "x", 5])
async def test_statuses_that_cant_be_read_are_none(data: object) -> None:
    """Nothing is guessed."""
    async with RawGateway((answering({"code": 0, "data": data}),)) as gateway, open_client(gateway.url) as client:
        outcome = await statuses(client, [1])
    assert isinstance(outcome, Outcome)
    assert outcome.kind is Kind.UNKNOWN


async def test_only_what_was_asked_for_and_looks_like_a_status_counts() -> None:
    """Another's message, a word that is none, an id that only looks like one."""
    items = [
        {"id": "2", "status": "DELIVRD"},
        {"id": "1", "status": "delivered!"},
        {"id": 3.0, "status": "DELIVRD"},
        {"id": "4", "status": None},
        {"id": 5, "status": "A_NEW_ONE"},
        "x",
    ]
    async with RawGateway((answering({"code": 0, "data": items}),)) as gateway, open_client(gateway.url) as client:
        assert await statuses(client, [1, 3, 4, 5]) == {5: "A_NEW_ONE"}
