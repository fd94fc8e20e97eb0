"""A call that is cancelled says what that means for the message, and leaves other calls alone."""

import asyncio
from types import CoroutineType
from typing import Any

import pytest

from smsq.gateway.answers import Fault, Kind, Outcome
from smsq.gateway.client import outcome_of

from .calls import open_client, resting, send, until
from .rawgateway import Exchange, RawGateway, answering, hanging, waiting_for


async def cancel(call: "asyncio.Task[Outcome]") -> asyncio.CancelledError:
    """Cancels the call and returns what it raised."""
    call.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await call
    assert call.cancelled()
    return caught.value


async def test_a_call_cancelled_after_it_was_written_is_unknown() -> None:
    """The cancellation carries the outcome, and the connection is reset."""
    async with RawGateway((hanging,)) as gateway, open_client(gateway.url) as client:
        call = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        outcome = outcome_of(await cancel(call))
        assert outcome == Outcome(kind=Kind.UNKNOWN, reason=Fault.CANCELLED)
        await until(lambda: gateway.endings)
        assert gateway.endings == ["reset"]


async def test_a_call_cancelled_before_it_was_written_is_not_sent() -> None:
    """Cancelled while it waits for a free connection, it never reaches the gateway."""
    answer = asyncio.Event()
    async with (
        RawGateway((waiting_for(answer, answering()),)) as gateway,
        open_client(gateway.url, connections=1) as client,
    ):
        first = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        second = asyncio.create_task(send(client))
        await asyncio.sleep(0)
        outcome = outcome_of(await cancel(second))
        assert outcome == Outcome(kind=Kind.TRY_AGAIN, reason=Fault.CANCELLED)
        answer.set()
        assert (await first).kind is Kind.ACCEPTED
        assert len(gateway.exchanges) == 1


async def test_a_cancelled_call_is_an_ordinary_cancellation() -> None:
    """Time limits and task groups around the call work as with any other awaitable."""
    async with RawGateway((hanging,)) as gateway, open_client(gateway.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await send(client)
        async with asyncio.TaskGroup() as group:
            call = group.create_task(send(client))
            await until(lambda: len(gateway.exchanges) == 2)
            call.cancel()
        assert call.cancelled()


async def test_a_cancelled_call_brings_no_exception_of_the_http_library() -> None:
    """Neither as its cause nor as its context."""
    async with RawGateway((hanging,)) as gateway, open_client(gateway.url) as client:
        call = asyncio.create_task(send(client))
        await until(lambda: gateway.exchanges)
        cancelled = await cancel(call)
        assert (cancelled.__cause__, cancelled.__context__) == (None, None)


def test_the_cancellation_of_something_else_says_nothing() -> None:
    """Only a call's own cancellation has an outcome."""
    assert outcome_of(asyncio.CancelledError("shutdown")) is None


def awaited(task: "asyncio.Task[Any]") -> list[str]:
    """Names the coroutines that a task waits in, from its own to the innermost."""
    names: list[str] = []
    coroutine: object = task.get_coro()
    while isinstance(coroutine, CoroutineType):
        names.append(coroutine.cr_code.co_name)
        coroutine = coroutine.cr_await
    return names


async def test_a_call_cancelled_in_the_moment_of_its_answer_leaves_the_next_one_alone() -> None:
    """The connection may already serve another call when the cancelled one comes to clean up."""
    rest = asyncio.Event()

    async def answer_in_two_parts(exchange: Exchange) -> None:
        """Leaves the last byte for later."""
        exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await rest.wait()
        exchange.writer.write(b"}")

    async with (
        RawGateway((answer_in_two_parts, answering())) as gateway,
        open_client(gateway.url, connections=1) as client,
    ):
        first = asyncio.create_task(send(client))
        # Only a call that has its headers and waits for the body leaves its connection before it wakes up.
        await until(lambda: "_wait" in awaited(first))
        rest.set()
        while not resting(client):  # noqa: ASYNC110 - each turn of the loop, to be there before the call wakes up
            await asyncio.sleep(0)
        first.cancel()
        second = await send(client)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert second.kind is Kind.ACCEPTED
        assert gateway.connections == 1
