"""F03: the answer to a script is lost, and the runner sends it again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from smsq import Sms, SmsQueue, keys, ledger
from smsq.async_connection import AsyncRunner
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.ledger import NewJob, Options
from smsq.scripts import Call
from smsq.settings import Settings
from smsq.states import State
from tests.ledger.actor import LEASE, RESERVATION, RETENTION, Actor, message, outcome
from tests.support.server import Server
from tests.support.wire import Wire

Answer = Any
Runs = Callable[[Wire, Call[Answer]], Answer]
FIRST_USE = ledger.lookup("job", "nobody's")


def run_in_a_thread(wire: Wire, call: Call[Answer]) -> Answer:
    """Runs a call on a connection that has been used, and loses its first answer."""
    runner = SyncRunner(Settings.load(redis_url=wire.redis_url).address)
    runner.run(FIRST_USE, 5)
    wire.cut_before_answer(b"EVAL")
    try:
        return runner.run(call, 5)
    finally:
        runner.close()


def run_in_a_loop(wire: Wire, call: Call[Answer]) -> Answer:
    """The same from an event loop."""

    async def scenario() -> Answer:
        runner = AsyncRunner(Settings.load(redis_url=wire.redis_url).address)
        await runner.run(FIRST_USE, 5)
        wire.cut_before_answer(b"EVAL")
        try:
            return await runner.run(call, 5)
        finally:
            await runner.close()

    return asyncio.run(scenario())


def lose_first_answer(act: Actor, server: Server, run: Runs, call: Call[Answer]) -> Answer:
    """Runs a call whose first answer is lost; afterwards the ledger must be sound."""
    with Wire(server.port) as wire:
        answer = run(wire, call)
        assert (wire.cuts, wire.connections) == (1, 2)
    act.look()
    return answer


def enqueue(act: Actor, key: str) -> Call[Answer]:
    """An enqueue of two jobs, with or without idempotency keys."""
    new = [NewJob(act.new_id(), message(), key and key + str(number), "content") for number in range(2)]
    return ledger.enqueue(new, Options("bulk", "b"), 1)


def begin(act: Actor) -> Call[Answer]:
    """A begin of a taken job."""
    job_id = act.enqueue()
    act.take()
    return act.begin_call([job_id])


def cancel(act: Actor) -> Call[Answer]:
    """A cancel of a waiting job."""
    return ledger.cancel(act.enqueue(), retention=RETENTION)


def cancel_batch(act: Actor) -> Call[Answer]:
    """A batch's cancellation."""
    act.enqueue(batch_id="b")
    act.in_state(State.RETRYING, batch_id="b")
    return ledger.cancel_batch("b")


def watch(act: Actor) -> Call[Answer]:
    """A registration to be woken."""
    return ledger.watch(act.enqueue())


runs = pytest.mark.parametrize("run", [run_in_a_thread, run_in_a_loop])


@runs
@pytest.mark.parametrize("key", ["", "key"])
def test_enqueue_accepts_once(act: Actor, server: Server, run: Runs, key: str) -> None:
    """Each job is on its lane once, and answered as accepted."""
    answer = lose_first_answer(act, server, run, enqueue(act, key))
    assert [job.state for job in answer] == [State.QUEUED] * 2
    assert [job.batch_id for job in answer] == ["b"] * 2
    assert act.look().lists[keys.waiting("bulk", "b")] == [job.id for job in answer]


@runs
def test_begin_gives_the_same_token(act: Actor, server: Server, run: Runs) -> None:
    """Begun once: one attempt, the message, and what is left of the lease."""
    [begun] = lose_first_answer(act, server, run, begin(act))
    assert (begun.word, begun.attempts, begun.message.decode()) == ("begun", 1, message())
    assert 0 < begun.lease_left <= LEASE


@runs
@pytest.mark.parametrize("to", [state for state in State if state is not State.CANCELLED])
def test_settle_writes_once(act: Actor, server: Server, run: Runs, to: State) -> None:
    """Settled, with the number of calls counted once."""
    job_id = act.in_state(State.SENDING)
    call = act.settle_call(outcome(job_id, to, calls=3))
    assert lose_first_answer(act, server, run, call) == ["settled"]
    job = act.lookup(job_id)
    assert (job.state, job.attempts) == (to, 3)
    assert act.run(call) == ["settled"]
    assert act.lookup(job_id) == job


@runs
@pytest.mark.parametrize(("prepare", "answer"), [(cancel, "cancelled"), (cancel_batch, 2), (watch, True)])
def test_cancel_and_watch_answer_as_the_first_time(
    act: Actor, server: Server, run: Runs, prepare: Callable[[Actor], Call[Answer]], answer: Answer
) -> None:
    """Whoever cancels hears how many were stopped; whoever waits is registered."""
    assert lose_first_answer(act, server, run, prepare(act)) == answer


@runs
def test_ids_that_were_taken_for_nobody_come_back(act: Actor, server: Server, run: Runs) -> None:
    """What the first run took waits one reservation: it is neither lost nor handed out twice."""
    ids = [act.enqueue() for _ in range(4)]
    call = act.take_call(2)
    taken = lose_first_answer(act, server, run, call)
    assert [job.id for job in taken.jobs] == ids[2:]
    act.pass_time(RESERVATION)
    act.take_due()
    assert sorted(act.take()) == ids


@runs
def test_what_is_done_stays_done(act: Actor, server: Server, run: Runs) -> None:
    """Handing back, a purge and the dispatcher's look find nothing left to do the second time."""
    job_id = act.enqueue()
    act.take()
    assert lose_first_answer(act, server, run, ledger.untake([job_id])) == 0
    assert act.take() == [job_id]
    act.pass_time(RESERVATION)
    assert lose_first_answer(act, server, run, act.due_call()).entries == 0
    assert lose_first_answer(act, server, run, ledger.purge("normal", 10, retention=RETENTION)).removed == 0
    assert act.lookup(job_id).state is State.CANCELLED


def test_an_answer_lost_on_a_first_connection_is_told(act: Actor, server: Server) -> None:
    """The caller hears that nobody knows; called again with the same key, it is the same job, enqueued once."""
    sms = Sms(recipient="+77010000001", text="Код: 4711")
    act.enqueue()
    with Wire(server.port) as wire:
        queue = SmsQueue(wire.redis_url)
        wire.cut_before_answer(b"EVAL")
        with pytest.raises(QueueUnavailable, match="the connection was closed"):
            queue.enqueue(sms, idempotency_key="otp:1")
        job = queue.enqueue(sms, idempotency_key="otp:1")
        assert queue.enqueue(sms, idempotency_key="otp:1") == job
        queue.close()
    assert len(act.look().jobs) == 2
