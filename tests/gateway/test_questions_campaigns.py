"""Lists that leave the undocumented campaign out: campaign/get tells whose a message is, if need be."""

import pytest

from smsq.gateway import inquiry
from tests.support.sandbox import Sandbox, ordinary

from .asking import (
    NUMBER,
    TEXT,
    ask_all,
    ask_one,
    asking_calls,
    call,
    question,
    send_canary,
    with_token,
)
from .calls import open_client
from .rawgateway import Exchange, RawGateway, answering


async def test_campaigns_are_asked_for_where_the_list_leaves_them_out(sandbox: Sandbox) -> None:
    """Those of the asked number only, newest first, each once, until the job's own is found."""
    sandbox.post("/sandbox/flags", nested_campaign=False)
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        jobs = [question() for _ in range(3)]
        outcomes = [await call(client, asked) for asked in jobs]
        await call(client, question(ordinary(2)))
        [match] = (await ask_one(client, jobs[1], canary)).matches
        assert (match.message_id, match.campaign_status) == (outcomes[1].message_id, 2)
        assert asking_calls(sandbox) == ["message/list", "campaign/get", "campaign/get"]
        assert (await ask_one(client, question(), canary)).word == "absent"


async def test_a_campaign_that_cant_be_read_leaves_it_open(sandbox: Sandbox) -> None:
    """Its message may be the job's."""
    sandbox.post("/sandbox/flags", nested_campaign=False)
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        await call(client, question())
        for how, reason in {"code-2": "code 2: record not found", "html-200": "the answer isn't the API's"}.items():
            sandbox.post("/sandbox/fail", next=1, method="campaign/get", **{"as": how})
            reply = await ask_one(client, question(), canary)
            assert (reply.word, reply.reason) == ("cant_tell", reason)
        sandbox.post("/sandbox/fail", next=1, method="campaign/get", **{"as": "code-0-data-empty"})
        reply = await ask_one(client, question(), canary)
        assert (reply.word, reply.reason) == ("cant_tell", "a campaign in question can't be read")


async def test_another_campaigns_answer_leaves_it_open() -> None:
    """What campaign/get says counts for the campaign that was asked for."""

    async def behave(exchange: Exchange) -> None:
        """Lists a message without its campaign, and tells of another one."""
        item = {"id": "5", "campaignId": "6", "to": NUMBER, "text": TEXT}
        listed = "/list" in exchange.request_line
        data = {"items": [item], "totalItemCount": "1"} if listed else {"id": "7", "name": question().token}
        await answering({"code": 0, "data": data})(exchange)

    async with RawGateway((behave,)) as gateway, open_client(gateway.url) as client:
        reply = await ask_one(client, question())
    assert (reply.word, reply.reason) == ("cant_tell", "a campaign in question can't be read")


async def test_a_round_asks_for_each_campaign_once_and_not_for_too_many(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit nobody can tell: single calls for hundreds of messages would starve the others."""
    monkeypatch.setattr(inquiry, "MOST_CAMPAIGNS", 2)
    sandbox.post("/sandbox/flags", nested_campaign=False)
    async with open_client(sandbox.url) as client:
        for _ in range(2):
            await call(client, question())
        assert [reply.word for reply in await ask_all(client, [question(), question()])] == ["empty"] * 2
        assert asking_calls(sandbox) == ["message/list", "campaign/get", "campaign/get"]
        await call(client, question())
        reply = await ask_one(client, question())
    assert (reply.word, reply.reason) == ("cant_tell", "a campaign in question can't be read")


async def test_campaigns_without_a_name_are_nobodys_in_question(sandbox: Sandbox) -> None:
    """Somebody sends from the provider's panel to the same number, another text: that hides nothing."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        await call(client, with_token(question(text="Скидка 20% сегодня"), ""))
        assert (await ask_one(client, question(), canary)).word == "absent"
    assert asking_calls(sandbox) == ["message/list", "campaign/get", "message/list"]
