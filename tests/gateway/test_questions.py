"""One question, where campaign names carry tokens: found, absent, or nobody can tell (the contract, "Settling")."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from smsq.gateway.answers import Kind
from smsq.gateway.questions import Canary
from tests.support.sandbox import Sandbox, ordinary

from .asking import (
    CANARYS_NUMBER,
    NUMBER,
    ask_one,
    asking_calls,
    call,
    lost,
    question,
    send_canary,
    with_token,
)
from .calls import open_client

LOST = ["closed-accepted", "reset-accepted", "code-10-accepted", "code-999-accepted", "502-accepted", "json-cut"]
DAY = 86_400


@pytest.mark.parametrize("how", LOST)
async def test_a_lost_answer_is_found_with_its_ids(sandbox: Sandbox, how: str) -> None:
    """Found at once, with or without a canary, by one call."""
    async with open_client(sandbox.url) as client:
        asked = await lost(client, sandbox.recipient(how))
        for canary in (None, Canary(1, CANARYS_NUMBER)):
            reply = await ask_one(client, asked, canary)
            [message] = sandbox.messages()
            [match] = reply.matches
            assert (reply.word, reply.reason) == ("found", "")
            assert (match.message_id, match.campaign_id) == (message["messageId"], message["campaignId"])
            assert match.campaign_status == 2
    assert asking_calls(sandbox) == ["message/list"] * 2


@pytest.mark.parametrize("how", ["closed", "code-999", "503"])
async def test_what_the_gateway_does_not_have_is_absent_beside_a_canary(sandbox: Sandbox, how: str) -> None:
    """The list that shows the account's newest message, over the same window, doesn't show this one."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        reply = await ask_one(client, await lost(client, sandbox.recipient(how)), canary)
    assert (reply.word, reply.matches, reply.reason) == ("absent", (), "")
    assert asking_calls(sandbox) == ["message/list"] * 2


async def test_without_a_canary_nothing_found_proves_nothing(sandbox: Sandbox) -> None:
    """It is told apart from an absence that is proved (rule 14)."""
    async with open_client(sandbox.url) as client:
        reply = await ask_one(client, question())
    assert (reply.word, reply.proved) == ("empty", False)


async def test_a_list_that_shows_nothing_ever_is_not_believed(sandbox: Sandbox) -> None:
    """F62: a filter, a wrong window or a list that lags hides the canary as well; then nobody can tell."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = await lost(client, sandbox.recipient("closed-accepted"))
        sandbox.post("/sandbox/flags", list_delay_seconds=3600.0)
        reply = await ask_one(client, asked, canary)
        assert (reply.word, reply.reason) == ("cant_tell", "the list doesn't show a message that is known to exist")
        sandbox.post("/sandbox/clock", advance=3600)
        assert (await ask_one(client, asked, canary, later=3600)).word == "found"


async def test_a_canary_of_the_same_number_needs_no_call_of_its_own(sandbox: Sandbox) -> None:
    """The question's own list shows it."""
    async with open_client(sandbox.url) as client:
        outcome = await call(client, question())
        assert outcome.message_id
        assert (await ask_one(client, question(), Canary(outcome.message_id, NUMBER))).word == "absent"
    assert asking_calls(sandbox) == ["message/list"]


async def test_a_canary_is_the_message_not_its_number(sandbox: Sandbox) -> None:
    """Another message to the canary's number proves nothing, nor does its id under another number."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        for wrong in (replace(canary, message_id=canary.message_id - 1), replace(canary, recipient=ordinary(5))):
            assert (await ask_one(client, question(), wrong)).word == "cant_tell"


@pytest.mark.parametrize("flag", ["mass", "off", "nothing"])
async def test_the_type_filter_of_campaign_lists_changes_nothing(sandbox: Sandbox, flag: str) -> None:
    """F62: messages are asked for, not campaigns, whatever kinds of campaigns that list would show."""
    sandbox.post("/sandbox/flags", campaign_type_filter=flag)
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        assert (await ask_one(client, await lost(client, sandbox.recipient("closed-accepted")), canary)).word == "found"
        assert (await ask_one(client, await lost(client, sandbox.recipient("closed")), canary)).word == "absent"
    assert set(asking_calls(sandbox)) == {"message/list"}


@pytest.mark.parametrize("accounts", ["UTC", "Asia/Almaty", "Etc/GMT-6", "Etc/GMT+3", "Etc/GMT+12", "Etc/GMT-14"])
async def test_a_wrong_time_zone_hides_nothing(sandbox: Sandbox, accounts: str) -> None:
    """F63: whichever zone the gateway's times are in, and whichever is configured, what is there is found."""
    sandbox.post("/sandbox/flags", timezone=accounts)
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = await lost(client, sandbox.recipient("closed-accepted"))
        for ours in ("Asia/Almaty", "Etc/GMT+12", "Etc/GMT-14"):
            assert (await ask_one(client, asked, zone=ZoneInfo(ours))).word == "found"
            assert (await ask_one(client, question(), canary, zone=ZoneInfo(ours))).word == "absent"


async def test_what_was_sent_days_ago_is_found(sandbox: Sandbox) -> None:
    """F63: lists without both dates are cut to yesterday; the window runs from the call to now."""
    async with open_client(sandbox.url) as client:
        asked = await lost(client, sandbox.recipient("closed-accepted"))
        sandbox.post("/sandbox/clock", advance=5 * DAY)
        assert (await ask_one(client, asked, later=5 * DAY)).word == "found"


async def test_parts_of_a_number_are_other_numbers(sandbox: Sandbox) -> None:
    """F64: a longer number that contains ours has the same text, even our token, and fills the first page."""
    longer = f"43{NUMBER}"
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = question()
        assert (await call(client, replace(asked, recipient=longer))).kind is Kind.ACCEPTED
        assert (await ask_one(client, asked, canary)).word == "absent"
        outcome = await call(client, asked)
        for _ in range(100):
            await call(client, question(longer))
        reply = await ask_one(client, asked, canary)
    assert [match.message_id for match in reply.matches] == [outcome.message_id]


async def test_jobs_of_the_same_text_and_number_are_told_apart(sandbox: Sandbox) -> None:
    """Each has its own token, so one's message is never another's."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        jobs = [question() for _ in range(3)]
        outcomes = [await call(client, asked) for asked in jobs[:2]]
        replies = [await ask_one(client, asked, canary) for asked in jobs]
    assert [[match.message_id for match in reply.matches] for reply in replies] == [
        [outcomes[0].message_id],
        [outcomes[1].message_id],
        [],
    ]
    assert [reply.word for reply in replies] == ["found", "found", "absent"]


async def test_a_token_is_the_whole_last_word_of_the_name(sandbox: Sandbox) -> None:
    """Names that hold the token elsewhere, or as part of a word, are not the job's; those that end with it are."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = question()
        own = asked.token
        for other in (f"x{own}", f"{own}a", f"#{own}", f"{own} {question().token}", own.upper()):
            await call(client, with_token(asked, other))
        assert (await ask_one(client, asked, canary)).word != "found"
        outcome = await call(client, asked, name="Код для входа #1")
        [match] = (await ask_one(client, asked, canary)).matches
    assert match.message_id == outcome.message_id


async def test_all_messages_of_a_job_are_told_oldest_first(sandbox: Sandbox) -> None:
    """That the promise was broken must show."""
    async with open_client(sandbox.url) as client:
        asked = question()
        ids = [(await call(client, asked)).message_id for _ in range(2)]
        reply = await ask_one(client, asked)
    assert [match.message_id for match in reply.matches] == ids


async def test_a_message_without_any_token_may_be_ours_changed(sandbox: Sandbox) -> None:
    """F70, for names: if the provider dropped ours, number and figures are as ours, and nobody says "absent"."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        asked = question()
        await call(client, with_token(asked, ""), name="otp")
        reply = await ask_one(client, asked, canary)
        assert (reply.word, len(reply.matches), reply.proved) == ("near", 1, True)
        assert (await ask_one(client, replace(asked, text="Код: 4712"), canary)).word == "absent"
        assert (await ask_one(client, asked)).word == "cant_tell"


@pytest.mark.parametrize(("how", "status"), [("moderated", 1), ("declined", 1), ("undelivered", 2)])
async def test_the_campaigns_status_is_told(sandbox: Sandbox, how: str, status: int) -> None:
    """1 while it waits for moderation, and when it was declined: such a message never leaves."""
    async with open_client(sandbox.url) as client:
        asked = question(sandbox.recipient(how))
        assert (await call(client, asked)).campaign_status == status
        assert [match.campaign_status for match in (await ask_one(client, asked)).matches] == [status]
        sandbox.post("/sandbox/clock", advance=3600)
        later = {"moderated": 2, "declined": 1, "undelivered": 2}[how]
        assert [match.campaign_status for match in (await ask_one(client, asked, later=3600)).matches] == [later]
