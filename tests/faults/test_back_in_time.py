"""Redis comes back with less than it had: an older copy of its file, or a replica that lagged (F01, F02)."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smsq import Settings, Sms, SmsQueue
from smsq.states import State
from tests.sending.test_asking import SETTLES_SOON, settled
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers that settle within seconds."""
    made: list[Worker] = []

    def run(url: str, **settings: str) -> Worker:
        env = environment(url, sandbox.url, **{**SETTLES_SOON, **settings})
        made.append(Worker(tmp_path / f"worker{len(made)}.log", env))
        return made[-1].wait_ready()

    yield run
    for each in made:
        each.kill()


def enqueue(queue: SmsQueue, first: int, count: int) -> list[str]:
    """Enqueues messages to numbers of their own and returns the jobs' ids."""
    messages = (Sms(recipient=ordinary(number), text="Код") for number in range(first, first + count))
    return [job.id for job in queue.enqueue_many(messages)]


def test_an_older_copy_of_the_file_sends_nothing_twice(
    own_server: Callable[..., Server], sandbox: Sandbox, start: Callable[..., Worker]
) -> None:
    """F02: what the copy says is waiting was sent; the gateway is asked, and each number has one message."""
    server = own_server()
    queue = SmsQueue(server.url, settings=Settings.load(redis_url=server.url))
    worker = start(server.url)
    with server.client() as client:
        client.hset("smsq:pause", "all", "1 a test")
    jobs = enqueue(queue, 0, 20)
    server.stop()
    copy = server.folder.with_name("copy")
    shutil.copytree(server.folder, copy)
    server.start()
    with server.client() as client:
        client.delete("smsq:pause")
    assert {settled(queue, job_id) for job_id in jobs} == {State.SENT}
    server.kill()
    shutil.rmtree(server.folder)
    shutil.copytree(copy, server.folder)
    server.start()
    with server.client() as client:
        assert client.hlen("smsq:pause"), "it is the older copy"
        client.delete("smsq:pause")
    assert {settled(queue, job_id) for job_id in jobs} == {State.SENT}
    assert {sandbox.called(ordinary(number)) for number in range(20)} == {1}
    worker.wait_lines("job.in_doubt")


def test_a_replica_that_lagged_sends_nothing_twice(
    own_server: Callable[..., Server], sandbox: Sandbox, start: Callable[..., Worker]
) -> None:
    """F01: promoted, it still says `queued` of what the master had begun and settled."""
    master = own_server()
    replica = own_server("--repl-diskless-sync-delay", "0")
    with replica.client() as client:
        client.replicaof("127.0.0.1", str(master.port))
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica follows")
    queue = SmsQueue(master.url, settings=Settings.load(redis_url=master.url))
    with master.client() as client:
        client.hset("smsq:pause", "all", "1 a test")
    jobs = enqueue(queue, 0, 20)
    with master.client() as client:
        assert client.wait(1, 5000) == 1
    with replica.client() as client:
        client.replicaof("NO", "ONE")  # from here on it lags: what follows is the master's alone
    with master.client() as client:
        client.delete("smsq:pause")
    first = start(master.url)
    assert {settled(queue, job_id) for job_id in jobs} == {State.SENT}
    first.kill()
    master.kill()
    promoted = SmsQueue(replica.url, settings=Settings.load(redis_url=replica.url))
    with replica.client() as client:
        client.delete("smsq:pause")
    start(replica.url)
    assert {settled(promoted, job_id) for job_id in jobs} == {State.SENT}
    assert {sandbox.called(ordinary(number)) for number in range(20)} == {1}


def test_a_key_that_comes_again_after_a_failover_sends_nothing_twice(
    own_server: Callable[..., Server], sandbox: Sandbox, start: Callable[..., Worker]
) -> None:
    """Rule 21: the ledger has forgotten job and key; the producer that knows better has it asked about first."""
    server = own_server()
    queue = SmsQueue(server.url, settings=Settings.load(redis_url=server.url))
    start(server.url)
    sms = Sms(recipient=ordinary(0), text="Код")
    before = queue.enqueue(sms, idempotency_key="otp:1")
    assert settled(queue, before.id) is State.SENT
    server.kill()
    shutil.rmtree(server.folder)
    server.start()
    again = queue.enqueue(sms, idempotency_key="otp:1")
    new = queue.enqueue(Sms(recipient=ordinary(1), text="Код"), idempotency_key="otp:2")
    job = queue.wait(new.id, 20)
    assert job
    assert job.state is State.SENT, "a new key isn't held up"
    assert settled(queue, again.id) is State.SENT
    job = queue.lookup(again.id)
    assert job
    assert job.message_id == sandbox.messages()[0]["messageId"]
    assert sandbox.called(ordinary(0)) == 1
