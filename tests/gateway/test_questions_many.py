"""Many questions at once: one sweep for all of them, single questions where that costs less, and an end (F93)."""

import asyncio
from dataclasses import replace

import pytest

from smsq.gateway.client import Client
from smsq.gateway.questions import Canary, Question
from tests.support.sandbox import Sandbox, ordinary

from .asking import ask_all, asking_calls, call, question, send_canary
from .calls import TOTAL_SECONDS, open_client
from .rawgateway import Exchange, RawGateway, answering

PAGE = 100


async def send_all(client: Client, jobs: list[Question]) -> list[int]:
    """Calls for jobs, a few at a time, in any order; returns the ids in the jobs' order."""
    slots = asyncio.Semaphore(8)

    async def one(asked: Question) -> int:
        async with slots:
            outcome = await call(client, asked)
        assert outcome.message_id
        return outcome.message_id

    return list(await asyncio.gather(*map(one, jobs)))


def jobs(count: int, first: int = 0) -> list[Question]:
    """Makes jobs to different numbers."""
    return [question(ordinary(first + number)) for number in range(count)]


async def test_one_sweep_answers_for_all(sandbox: Sandbox) -> None:
    """Two hundred found and fifty absent, with as many calls as the list has pages."""
    async with open_client(sandbox.url) as client:
        sent, unsent = jobs(200), jobs(50, first=1000)
        ids = await send_all(client, sent)
        canary = await send_canary(client)
        replies = await ask_all(client, [*unsent, *sent], canary)
    assert [reply.word for reply in replies] == ["absent"] * 50 + ["found"] * 200
    assert [reply.matches[0].message_id for reply in replies[50:]] == ids
    assert asking_calls(sandbox) == ["message/list"] * 3


async def test_a_sweep_ends_when_all_were_found(sandbox: Sandbox) -> None:
    """The newest come first, and so do those that are asked about."""
    async with open_client(sandbox.url) as client:
        await send_all(client, jobs(150, first=1000))
        canary = await send_canary(client)
        sent = jobs(10)
        await send_all(client, sent)
        replies = await ask_all(client, sent, canary)
    assert {reply.word for reply in replies} == {"found"}
    assert asking_calls(sandbox) == ["message/list"]


async def test_few_questions_are_asked_one_by_one_in_a_long_list(sandbox: Sandbox) -> None:
    """Seven pages are more than two questions and the canary; what the first page showed counts."""
    async with open_client(sandbox.url) as client:
        await send_all(client, jobs(600, first=1000))
        canary = await send_canary(client)
        [found, *absent] = jobs(3)
        await call(client, found)
        replies = await ask_all(client, [found, *absent], canary)
    assert [reply.word for reply in replies] == ["found", "absent", "absent"]
    assert asking_calls(sandbox) == ["message/list"] * 4


async def test_jobs_of_one_number_take_one_question(sandbox: Sandbox) -> None:
    """However long the list is, and however many they are."""
    async with open_client(sandbox.url) as client:
        await send_all(client, jobs(150, first=1000))
        same = [question(ordinary(1)) for _ in range(20)]
        await send_all(client, same[:10])
        replies = await ask_all(client, same)
    assert [reply.word for reply in replies] == ["found"] * 10 + ["empty"] * 10
    assert asking_calls(sandbox) == ["message/list"]


async def test_the_canary_must_be_in_the_sweep(sandbox: Sandbox) -> None:
    """A sweep that doesn't show it proves no absence, and still finds."""
    async with open_client(sandbox.url) as client:
        canary = await send_canary(client)
        sent, unsent = jobs(2)
        await call(client, sent)
        replies = await ask_all(client, [sent, unsent], replace(canary, message_id=canary.message_id - 1))
    assert [reply.word for reply in replies] == ["found", "cant_tell"]


async def test_without_tokens_the_sweep_is_read_to_its_end(sandbox: Sandbox) -> None:
    """The first message that fits may have a twin on the last page."""
    plain = [replace(asked, token="") for asked in jobs(4)]
    async with open_client(sandbox.url) as client:
        await call(client, plain[0])
        await send_all(client, jobs(120, first=1000))
        await call(client, plain[0])
        canary = await send_canary(client)
        replies = await ask_all(client, plain, canary)
    assert [(reply.word, len(reply.matches)) for reply in replies] == [("found", 2)] + [("absent", 0)] * 3
    assert asking_calls(sandbox) == ["message/list"] * 2


async def test_messages_that_are_sent_meanwhile_hide_none(sandbox: Sandbox) -> None:
    """F64: each page begins further back in the list than it would have; what is repeated counts once."""
    others = iter(range(5000, 6000))
    async with open_client(sandbox.url) as client:

        async def permit() -> None:
            await send_all(client, [question(ordinary(next(others))) for _ in range(30)])

        sent = jobs(250)
        ids = await send_all(client, sent)
        replies = await ask_all(client, sent, permit=permit)
    assert [[match.message_id for match in reply.matches] for reply in replies] == [[each] for each in ids]


@pytest.mark.parametrize("how", ["code-30", "429", "code-8", "code-14", "500", "code-12"])
async def test_a_failure_of_the_sweep_ends_the_round(sandbox: Sandbox, how: str) -> None:
    """Nobody goes on with hundreds of single questions then; each job hears the reason."""
    sandbox.post("/sandbox/fail", next=1000, method="message/list", **{"as": how})
    async with open_client(sandbox.url) as client:
        replies = await ask_all(client, jobs(50))
    assert len({(reply.word, reply.reason) for reply in replies}) == 1
    assert replies[0].word == "cant_tell"
    assert len(asking_calls(sandbox)) == 1


@pytest.mark.parametrize(("how", "calls"), [("code-30", 1), ("code-9", 1), ("500", 2), ("closed", 2), ("code-12", 4)])
async def test_failures_of_single_questions_end_the_round(sandbox: Sandbox, how: str, calls: int) -> None:
    """At once if all calls are concerned, else after two in a row; a refused parameter concerns its own call only."""
    asked = jobs(4)
    seen = 0

    async def permit() -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            sandbox.post("/sandbox/fail", next=1000, method="message/list", **{"as": how})

    async with open_client(sandbox.url) as client:
        await send_all(client, jobs(7 * PAGE, first=1000))
        replies = await ask_all(client, asked, permit=permit)
    assert [reply.word for reply in replies] == ["cant_tell"] * 4
    assert len(asking_calls(sandbox)) == 1 + calls


async def test_failures_with_answers_between_them_end_nothing(sandbox: Sandbox) -> None:
    """A gateway that stumbles now and then answers most questions."""
    seen = 0

    async def permit() -> None:
        nonlocal seen
        seen += 1
        if seen % 2 == 0:
            sandbox.post("/sandbox/fail", next=1, method="message/list", **{"as": "500"})

    async with open_client(sandbox.url) as client:
        await send_all(client, jobs(9 * PAGE, first=1000))
        replies = await ask_all(client, jobs(6), permit=permit)
    assert [reply.word for reply in replies] == ["cant_tell", "empty"] * 3


async def test_what_is_known_when_the_time_is_over_is_told(sandbox: Sandbox) -> None:
    """The first page was read; the second never came, since the pace allowed no second call in time."""
    calls = 0

    async def permit() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            await asyncio.Event().wait()

    async with open_client(sandbox.url) as client:
        old, new = jobs(120), jobs(3, first=1000)
        await send_all(client, old)
        await send_all(client, new)
        replies = await ask_all(client, [*new, *old], permit=permit, within=TOTAL_SECONDS)
    assert [reply.word for reply in replies[:3]] == ["found"] * 3
    assert {reply.reason for reply in replies if reply.word == "cant_tell"} == {"there was no time left to ask"}
    assert sum(reply.word == "found" for reply in replies) == PAGE


async def test_a_sweep_that_doesnt_add_up_is_replaced_by_single_questions() -> None:
    """A list may be damaged where nobody's number is; asked by its number, a job is absent all the same."""
    canary_item = {"id": "5", "campaignId": "6", "to": "77010000009"}

    async def behave(exchange: Exchange) -> None:
        """Shows the canary, and damage in the list of all numbers."""
        if "criteria[to]" in exchange.form:
            items = [canary_item] if exchange.form["criteria[to]"] == "77010000009" else []
        else:
            items = [{"id": "x", "campaignId": "1", "to": "1"}, canary_item]
        data = {"items": items, "totalItemCount": str(len(items))}
        await answering({"code": 0, "data": data, "message": ""})(exchange)

    async with RawGateway((behave,)) as gateway, open_client(gateway.url) as client:
        asked = [question("77010000001"), question("77010000002")]
        replies = await ask_all(client, asked, Canary(5, "77010000009"))
    assert [reply.word for reply in replies] == ["absent", "absent"]
    assert len(gateway.exchanges) == 4


async def test_no_questions_take_no_call(sandbox: Sandbox) -> None:
    """Nothing in, nothing out."""
    async with open_client(sandbox.url) as client:
        assert await ask_all(client, []) == []
    assert asking_calls(sandbox) == []
