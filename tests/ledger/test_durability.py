"""What "accepted" waits for: `SMSQ_DURABILITY`."""

import asyncio
from collections.abc import Callable

import pytest

from smsq import Sms, SmsQueue
from smsq.durability import Durability
from smsq.errors import QueueUnavailable
from smsq.job import Job
from smsq.settings import Settings
from smsq.states import State
from tests.support.server import Server
from tests.support.waiting import wait_until

SMS = Sms(recipient="+77010000001", text="Код: 4711")
Enqueues = Callable[[SmsQueue], Job]


def in_a_thread(queue: SmsQueue) -> Job:
    """Enqueues a message with a key."""
    return queue.enqueue(SMS, idempotency_key="k")


def in_a_loop(queue: SmsQueue) -> Job:
    """The same from an event loop."""

    async def scenario() -> Job:
        try:
            return await queue.aenqueue(SMS, idempotency_key="k")
        finally:
            await queue.aclose()

    return asyncio.run(scenario())


enqueues = pytest.mark.parametrize("enqueue", [in_a_thread, in_a_loop])


def made(server: Server, durability: Durability) -> SmsQueue:
    """Makes a queue that waits for what a setting says."""
    return SmsQueue(settings=Settings.load(redis_url=server.url, durability=durability))


def warmed(server: Server) -> Server:
    """Lets a server see the scripts, so that each call is one command from then on."""
    queue = SmsQueue(server.url)
    job = queue.enqueue(SMS)
    queue.cancel(job.id)
    queue.cancel(batch_id="none")
    queue.close()
    return server


def times(server: Server, command: str) -> int:
    """Returns how often a server has run a command."""
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


@enqueues
def test_disk_is_confirmed_by_the_append_only_file(own_server: Callable[..., Server], enqueue: Enqueues) -> None:
    """Each accepted job was waited for, and is there after a kill; a repeat is waited for too."""
    server = warmed(own_server("--appendfsync", "always"))
    queue = made(server, Durability.DISK)
    job = enqueue(queue)
    assert enqueue(queue).id == job.id
    assert times(server, "waitaof") == 2
    server.kill()
    server.start()
    assert queue.lookup(job.id) == job
    queue.close()


@enqueues
def test_replica_is_confirmed_by_a_replica(own_server: Callable[..., Server], enqueue: Enqueues) -> None:
    """The replica has the job when the caller hears of it."""
    master = warmed(own_server("--repl-diskless-sync-delay", "0"))
    replica = own_server("--replicaof", "127.0.0.1", str(master.port))
    with replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica follows")
    queue, there = made(master, Durability.REPLICA), SmsQueue(replica.url)
    job = enqueue(queue)
    assert there.lookup(job.id) == job
    assert times(master, "wait") == 1
    queue.close()
    there.close()


@enqueues
def test_a_write_that_no_replica_has_is_not_accepted(own_server: Callable[..., Server], enqueue: Enqueues) -> None:
    """The caller hears that it wasn't confirmed, each time; it is written all the same, and the key gives that job."""
    server = own_server()
    queue = made(server, Durability.REPLICA)
    for _ in range(2):
        with pytest.raises(QueueUnavailable, match="not confirmed by a replica in time"):
            enqueue(queue)
    easy = made(server, Durability.MEMORY)
    job = enqueue(easy)
    assert job.state is State.QUEUED
    with server.client() as client:
        assert client.keys("smsq:job:*") == [f"smsq:job:{job.id}"]
    queue.close()
    easy.close()


@enqueues
def test_disk_without_an_append_only_file_is_refused(own_server: Callable[..., Server], enqueue: Enqueues) -> None:
    """The reason names what is switched off."""
    queue = made(own_server("--appendonly", "no"), Durability.DISK)
    with pytest.raises(QueueUnavailable, match=r"can't confirm writes.*appendonly"):
        enqueue(queue)
    queue.close()


def test_memory_waits_for_nothing(own_server: Callable[..., Server]) -> None:
    """The default costs one command a job."""
    server = own_server()
    queue = made(server, Durability.MEMORY)
    in_a_thread(queue)
    assert (times(server, "wait"), times(server, "waitaof")) == (0, 0)
    queue.close()


def test_a_cancellation_is_confirmed_too(own_server: Callable[..., Server]) -> None:
    """True means that it holds; asked again, something is written first, for there to be something to confirm."""
    server = warmed(own_server("--appendfsync", "always"))
    queue = made(server, Durability.DISK)
    job = queue.enqueue(SMS, batch_id="b")
    assert queue.cancel(job.id)
    assert queue.cancel(job.id)
    assert queue.cancel(batch_id="b") == queue.cancel(batch_id="b") == 0
    assert times(server, "waitaof") == 5
    queue.close()
