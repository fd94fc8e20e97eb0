"""F38: whatever Redis does, a producer hears of it in time, with the reason; and goes on when Redis is well again."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from smsq import QueueUnavailable, Settings, Sms, SmsQueue, ledger
from smsq.candidate import Candidate
from smsq.connection import CONNECTIONS
from smsq.message import RULES_VERSION
from smsq.options import options_of
from smsq.scripts import Call
from smsq.states import State
from tests.ledger.troubles import QUICK, SLOW, OwnServer, Provokes, heard
from tests.support.wire import Wire

SMS = Sms(recipient="+77010000001", text="Код: 4711")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a trouble leaves to be cleaned up."""
    with ExitStack() as made:
        yield made


def enqueue_call(queue: SmsQueue) -> Call[list[ledger.Accepted]]:
    """An enqueue as a queue makes it, for whoever runs it with a limit of their own."""
    new = Candidate.of(SMS, "k", queue.settings).new
    return ledger.enqueue([new], options_of("normal", None, None, None, "ask"), RULES_VERSION)


@pytest.mark.parametrize("provoke", [*QUICK, *SLOW])
def test_threads_hear_the_reason(stack: ExitStack, own_server: OwnServer, provoke: Provokes) -> None:
    """The first call, the second and the third; and when Redis is well again, the next one is accepted."""
    trouble = provoke(stack, own_server)
    queue = SmsQueue(trouble.url)
    for _ in range(1 if provoke in SLOW else 3):
        with pytest.raises(QueueUnavailable) as raised:
            queue.enqueue(SMS, idempotency_key="k")
        heard(raised.value, trouble)
    if trouble.mend:
        trouble.mend()
        assert queue.enqueue(SMS, idempotency_key="k").state is State.QUEUED
    queue.close()


@pytest.mark.parametrize("provoke", [*QUICK, *SLOW])
def test_coroutines_hear_the_reason_and_the_loop_turns(
    stack: ExitStack, own_server: OwnServer, provoke: Provokes
) -> None:
    """Three calls at once and one after them; while they wait, other coroutines have their turns."""
    trouble = provoke(stack, own_server)

    async def scenario() -> None:
        queue = SmsQueue(trouble.url)
        calls = asyncio.gather(*(queue.aenqueue(SMS, idempotency_key="k") for _ in range(3)), return_exceptions=True)
        turns = await turns_until_done(calls)
        for error in calls.result():
            assert isinstance(error, QueueUnavailable)
            heard(error, trouble)
        if provoke in SLOW:
            assert turns > 20
        if trouble.mend:
            trouble.mend()
            assert (await queue.aenqueue(SMS, idempotency_key="k")).state is State.QUEUED
        await queue.aclose()

    asyncio.run(scenario())


async def turns_until_done(work: "asyncio.Future[Any]") -> int:
    """Returns how often another coroutine had its turn, at most one in 10 ms, until something was done."""
    turns = 0
    while not work.done():
        await asyncio.wait([work], timeout=0.01)
        turns += 1
    return turns


@pytest.mark.parametrize("provoke", SLOW)
def test_the_second_call_and_the_third_end_in_time_too(
    stack: ExitStack, own_server: OwnServer, provoke: Provokes
) -> None:
    """Also where the first one had a connection that worked."""
    trouble = provoke(stack, own_server)
    queue = SmsQueue(trouble.url)
    call = enqueue_call(queue)
    for _ in range(3):
        with pytest.raises(QueueUnavailable, match=trouble.reason):
            queue._sync.run(call, 0.2)
    queue.close()


def test_a_connection_that_worked_and_froze(own_server: OwnServer) -> None:
    """Frozen after the first job: the second and the third aren't accepted; thawed, the same keys are, once each."""
    server = own_server()
    queue = SmsQueue(server.url)
    queue.enqueue(SMS, idempotency_key="first")
    server.signal(signal.SIGSTOP)
    for key in ("second", "third"):
        with pytest.raises(QueueUnavailable, match="no answer in time"):
            queue.enqueue(SMS, idempotency_key=key)
    server.signal(signal.SIGCONT)
    jobs = {queue.enqueue(SMS, idempotency_key=key).id for key in ("first", "second", "third")}
    with server.client() as client:
        assert set(client.keys("smsq:job:*")) == {f"smsq:job:{job_id}" for job_id in jobs}
    queue.close()


def test_fifty_threads_at_once(own_server: OwnServer) -> None:
    """On a frozen server each of them hears of it in its own time; after the thaw the same keys are accepted."""
    server = own_server()
    queue = SmsQueue(server.url)

    def enqueue(number: int) -> str:
        try:
            return queue.enqueue(SMS, idempotency_key=f"k{number}").id
        except QueueUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(50) as pool:
        server.signal(signal.SIGSTOP)
        for error in pool.map(enqueue, range(50)):
            assert error.endswith((": no answer in time", ": every connection of this process is in use"))
        server.signal(signal.SIGCONT)
        ids = set(pool.map(enqueue, range(50)))
    with server.client() as client:
        assert set(client.keys("smsq:job:*")) == {f"smsq:job:{job_id}" for job_id in ids}
        assert sum(each["name"] == "smsq" for each in client.client_list()) <= CONNECTIONS
    queue.close()


def test_two_hundred_tasks_at_once(own_server: OwnServer) -> None:
    """Each of many more tasks than connections hears of a frozen server, also who gets one in the last moment."""
    server = own_server()
    queue = SmsQueue(server.url)

    async def all_at_once() -> list[object]:
        await queue.aenqueue(SMS)
        server.signal(signal.SIGSTOP)
        tasks = (queue.aenqueue(SMS, idempotency_key=f"k{number}") for number in range(200))
        # Well under the five seconds after which redis-py gives up by itself.
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 4.5)

    answers = asyncio.run(all_at_once())
    server.signal(signal.SIGCONT)
    assert [type(answer) for answer in answers] == [QueueUnavailable] * 200


def test_a_pool_that_is_used_up_names_itself(own_server: OwnServer) -> None:
    """While others hold every connection, the next one hears why it waited in vain."""
    server = own_server()
    queue = SmsQueue(server.url)
    call = enqueue_call(queue)
    server.signal(signal.SIGSTOP)

    async def in_a_loop() -> None:
        holding = [asyncio.create_task(hold()) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0)
        with pytest.raises(QueueUnavailable, match="every connection of this process is in use"):
            await queue._runner().run(call, 0.2)
        server.signal(signal.SIGCONT)
        await asyncio.gather(*holding)
        await queue.aclose()

    async def hold() -> None:
        await queue._runner().run(call, 60)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        holding = [pool.submit(queue._sync.run, call, 60) for _ in range(CONNECTIONS)]
        while queue._sync._free._value:
            threading.Event().wait(0.01)
        with pytest.raises(QueueUnavailable, match="every connection of this process is in use"):
            queue._sync.run(call, 0.2)
        server.signal(signal.SIGCONT)
        for each in holding:
            each.result()
    server.signal(signal.SIGSTOP)
    asyncio.run(in_a_loop())
    queue.close()


def test_a_server_that_answers_slowly_is_given_up_in_time(own_server: OwnServer) -> None:
    """Each step of a new connection has its answer well within the limit; all of them together don't."""
    with Wire(own_server().port) as wire:
        wire.delay(0.15)
        queue = SmsQueue(wire.redis_url)
        call = enqueue_call(queue)
        with pytest.raises(QueueUnavailable, match="no answer in time"):
            queue._sync.run(call, 0.3)

        async def in_a_loop() -> None:
            with pytest.raises(QueueUnavailable, match="no answer in time"):
                await queue._runner().run(call, 0.3)
            await queue.aclose()

        asyncio.run(in_a_loop())


def test_an_answer_that_is_cut_off_is_asked_for_again(own_server: OwnServer) -> None:
    """Half an answer is none: the connection is replaced, and the script runs again."""
    server = own_server()
    with Wire(server.port) as wire:
        queue = SmsQueue(wire.redis_url)
        job = queue.enqueue(SMS)
        wire.cut_after(1)
        lookups: list[Callable[[], Awaitable[object]]] = [lambda: queue.alookup(job.id)]
        with pytest.raises(QueueUnavailable, match="the connection was closed"):
            queue.lookup(job.id)
        for lookup in lookups:
            with pytest.raises(QueueUnavailable, match="the connection was closed"):
                asyncio.run(closing(queue, lookup))
        wire.cut_after(None)
        assert queue.lookup(job.id) == job
        queue.close()


async def closing(queue: SmsQueue, lookup: Callable[[], Awaitable[object]]) -> None:
    """Looks up in a loop, and closes what it used."""
    try:
        await lookup()
    finally:
        await queue.aclose()


def test_settings_reach_the_connection(own_server: OwnServer) -> None:
    """The database of the address is the one that is used, and connections have our name."""
    server = own_server()
    queue = SmsQueue(settings=Settings.load(redis_url=server.url.removesuffix("0") + "3"))
    queue.enqueue(SMS)
    with server.client() as client:
        assert client.info("keyspace").keys() == {"db3"}
        assert [each["name"] for each in client.client_list()].count("smsq") == 1
    queue.close()
