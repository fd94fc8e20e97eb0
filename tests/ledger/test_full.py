"""F04: a Redis whose memory is full accepts nothing new, and drains. And what a job costs of that memory."""

from collections.abc import Callable, Iterator

import pytest

from smsq import Sms, SmsQueue, ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.ledger import Settlement
from smsq.settings import Settings
from smsq.states import State
from tests.ledger.actor import DAY, NONCE, Actor, outcome
from tests.ledger.snapshot import Snapshot
from tests.support.server import Server

#: A text of one UCS-2 segment.
TEXT = ("Құрметтіқаламгеркодыңыздыешкімгебермеңіз" * 2)[:70]
JOBS = 10_000


@pytest.fixture
def own(own_server: Callable[..., Server]) -> Iterator[Actor]:
    """Someone who acts on a ledger of a server that may be harmed."""
    server = own_server("--appendonly", "no")
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    with server.client() as client:
        yield Actor(client, runner)
    runner.close()


def test_what_is_accepted_goes_on_when_memory_is_full(own: Actor) -> None:
    """Nothing new is accepted, and each transition of what is there works, sound at every moment."""
    sending, lost, put_off = (own.in_state(state) for state in (State.SENDING, State.SENDING, State.RETRYING))
    scheduled = own.in_state(State.SCHEDULED)
    in_batch = own.enqueue(lane="bulk", batch_id="b")
    reserved = own.enqueue()
    own.take(1)
    waiting = own.enqueue()
    queue = SmsQueue(settings=Settings.load(redis_url=f"redis://127.0.0.1:{own.runner.address.hosts[0][1]}/0"))
    own.client.config_set("maxmemory", 1)

    with pytest.raises(QueueUnavailable, match="its memory is full"):
        queue.enqueue(Sms(recipient="+77010000001", text=TEXT), idempotency_key="k")
    with pytest.raises(QueueUnavailable, match="its memory is full"):
        own.run(ledger.watch(waiting))
    assert queue.lookup(scheduled) is not None
    own.look()
    assert own.settle(outcome(sending, State.SENT)) == "settled"
    own.look()
    assert own.begin(reserved, "second").word == "begun"
    own.look()
    assert own.settle(outcome(reserved, State.RETRYING, token="second")) == "settled"
    own.look()
    assert queue.cancel(scheduled)
    own.look()
    assert own.take(1) == [waiting]
    own.look()
    assert own.run(ledger.untake([waiting])) == 1
    own.look()
    assert queue.cancel(batch_id="b") == 1
    own.look()
    assert own.purge("bulk").cancelled == 1
    own.pass_time(2 * DAY)
    assert own.take_due().events == [(lost, "lost")]
    taken = own.look()
    states = {job_id: record["state"] for job_id, record in taken.jobs.items()}
    assert states == {
        sending: "sent",
        lost: "sending",
        put_off: "queued",
        scheduled: "cancelled",
        in_batch: "cancelled",
        reserved: "queued",
        waiting: "queued",
    }
    assert taken.idempotency == {}

    own.client.config_set("maxmemory", 0)
    assert queue.enqueue(Sms(recipient="+77010000001", text=TEXT), idempotency_key="k").state is State.QUEUED
    own.look()
    queue.close()


def used_memory(act: Actor) -> int:
    """Returns the bytes that the server's data takes."""
    return int(act.client.info("memory")["used_memory"])


def test_what_a_job_costs(own: Actor) -> None:
    """A waiting one of a Cyrillic segment at most 600 bytes, a finished one with its ids and indexes at most 450."""
    port = own.runner.address.hosts[0][1]
    queue = SmsQueue(f"redis://127.0.0.1:{port}/0")
    own.in_state(State.SENT)
    empty = used_memory(own)
    messages = (Sms(recipient=f"770100{number:05}", text=TEXT) for number in range(JOBS))
    ids = [job.id for job in queue.enqueue_many(messages, lane="bulk")]
    waiting = (used_memory(own) - empty) / JOBS
    for start in range(0, JOBS, 500):
        chunk = ids[start : start + 500]
        own.take(500, ["bulk"])
        own.run(own.begin_call(chunk))
        settlements = [
            Settlement(job_id, NONCE, State.SENT, 1, ids=(number, number, 2), recipient="77010000001")
            for number, job_id in enumerate(chunk, 10**9 + start)
        ]
        words = own.run(own.settle_call(*settlements))
        assert set(words) == {"settled"}
    finished = (used_memory(own) - empty) / JOBS
    queue.close()
    assert len(Snapshot.read(own.client).due) == 0
    assert waiting <= 600, f"{waiting:.0f} bytes"
    assert finished <= 450, f"{finished:.0f} bytes"
