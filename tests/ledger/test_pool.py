"""F40, F43, F54: connections that idle, are shared by threads, survive forks, and are as few as documented."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue
from smsq.connection import CONNECTIONS, WAITERS
from smsq.states import State
from tests.ledger.actor import Actor, outcome
from tests.support.sandbox import ROOT
from tests.support.server import Server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis

SMS = Sms(recipient="+77010000001", text="Код: 4711")

FORK = """
import os, sys, threading
from smsq import Sms, SmsQueue

sms = Sms(recipient="+77010000001", text="Код: 4711")
queue = SmsQueue(sys.argv[1])
queue.enqueue(sms, idempotency_key="before")
stop = threading.Event()

def busy():
    number = 0
    while not stop.is_set():
        number += 1
        job = queue.enqueue(sms, idempotency_key=f"busy:{number}")
        assert queue.lookup(job.id) == job

threads = [threading.Thread(target=busy) for _ in range(4)]
for thread in threads:
    thread.start()
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for number in range(100):
            job = queue.enqueue(sms, idempotency_key=f"child:{child}:{number}")
            assert queue.lookup(job.id) == job
        os._exit(0)
    children.append(pid)
statuses = [os.waitpid(pid, 0)[1] for pid in children]
stop.set()
for thread in threads:
    thread.join()
for number in range(100):
    queue.enqueue(sms, idempotency_key=f"after:{number}")
print(statuses)
"""

LOOPS = """
import asyncio, gc, sys
from smsq import Sms, SmsQueue

gc.disable()  # nobody else must close what they leave
queue = SmsQueue(sys.argv[1])
for _ in range(5):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(queue.aenqueue(Sms(recipient="+77010000001", text="Код: 4711")))
    loop.close()
sys.stdin.read()
"""

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent, gevent.pool
from smsq import Sms, SmsQueue

queue = SmsQueue(sys.argv[1])
turns = 0

def tick():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)

ticker = gevent.spawn(tick)
pool = gevent.pool.Pool(50)
sms = [Sms(recipient=str(77010000000 + number), text="Код: 4711") for number in range(1000)]
ids = pool.map(lambda each: queue.enqueue(each).id, sms)
assert len(set(ids)) == 1000
assert pool.map(lambda job_id: queue.lookup(job_id).state, ids[:50]) == ["queued"] * 50
assert turns > 100, turns
print("done")
"""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for these tests alone: they count its connections, and another test's queue may not be collected yet."""
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


def run(program: str, url: str) -> str:
    """Runs a program of its own and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program, url], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def ours(client: "redis.Redis") -> int:
    """Returns how many connections a server has from us."""
    return sum(each["name"] == "smsq" for each in client.client_list())


def test_f40_ten_thousand_jobs_leave_no_subscription_and_no_connection(queue: SmsQueue, client: "redis.Redis") -> None:
    """One connection serves them all, one after the other, and nobody subscribes to anything."""
    before = client.info("clients")["connected_clients"]
    for _ in range(10_000):
        queue.enqueue(SMS)
    assert client.pubsub_channels() == []
    assert client.pubsub_numpat() == 0
    assert ours(client) == 1
    assert client.info("clients")["connected_clients"] == before + 1
    queue.close()
    wait_until(lambda: client.info("clients")["connected_clients"] == before, what="the connection is gone")


def test_threads_share_a_few_connections(queue: SmsQueue, client: "redis.Redis") -> None:
    """Two hundred threads, each job accepted once, on no more connections than documented."""
    with ThreadPoolExecutor(200) as pool:
        ids = {job.id for job in pool.map(lambda _: queue.enqueue(SMS), range(2000))}
    assert len(ids) == 2000
    assert ours(client) <= CONNECTIONS


def test_coroutines_share_a_few_connections(queue: SmsQueue, client: "redis.Redis") -> None:
    """The same in a loop."""

    async def scenario() -> None:
        jobs = await asyncio.gather(*(queue.aenqueue(SMS) for _ in range(300)))
        assert len({job.id for job in jobs}) == 300
        assert ours(client) <= CONNECTIONS
        await queue.aclose()

    asyncio.run(scenario())
    wait_until(lambda: ours(client) == 0, what="the connections are gone")


def test_loops_that_come_and_go_leave_nothing(queue: SmsQueue, client: "redis.Redis") -> None:
    """A web handler that calls `asyncio.run` for each job and never closes the queue keeps no connection."""
    for _ in range(20):
        asyncio.run(queue.aenqueue(SMS))
    wait_until(lambda: ours(client) == 0, what="the connections of ended loops are gone")


def test_loops_that_end_in_no_order_leave_one(server: Server, client: "redis.Redis") -> None:
    """A loop that was closed without finishing what was in it: the next one closes its connection."""
    program = subprocess.Popen([sys.executable, "-c", LOOPS, server.url], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_until(lambda: client.llen("sms.normal") == 5, what="all are enqueued")
        wait_until(lambda: ours(client) == 1, what="the connections of ended loops are gone")
    finally:
        program.communicate()
    assert program.returncode == 0


def test_f43_a_connection_that_the_server_closed_for_idling(own_server: Callable[..., Server]) -> None:
    """The first call after it succeeds, in threads and in loops, again and again."""
    server = own_server("--timeout", "1")
    queue = SmsQueue(server.url)

    def all_closed() -> bool:
        with server.client() as client:
            return ours(client) == 0

    async def in_a_loop() -> None:
        await queue.aenqueue(SMS)
        await asyncio.to_thread(wait_until, all_closed, what="the server has closed the connection")
        await queue.aenqueue(SMS)
        await queue.aclose()

    for _ in range(2):
        queue.enqueue(SMS)
        wait_until(all_closed, what="the server has closed the connection")
    asyncio.run(in_a_loop())
    queue.close()


def test_f43_connections_that_were_killed(queue: SmsQueue, client: "redis.Redis") -> None:
    """All idle ones at once: each next call replaces one, and says nothing of it."""
    for _ in range(5):
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: queue.enqueue(SMS), range(40)))
        client.client_kill_filter(_type="normal", skipme=True)
    queue.enqueue(SMS)


def test_a_queue_survives_forks(server: Server, client: "redis.Redis") -> None:
    """Parent and children go on with connections of their own, forked with calls in flight."""
    assert run(FORK, server.url) == "[0, 0, 0, 0]"
    assert client.llen("sms.normal") == len(client.keys("smsq:job:*"))
    wait_until(lambda: ours(client) == 0, what="the connections are gone")


def test_f54_a_patched_process_enqueues(server: Server, client: "redis.Redis") -> None:
    """Under gevent's patches a thousand jobs are accepted, with other greenlets having their turns."""
    assert run(GEVENT, server.url) == "done"
    assert client.llen("sms.normal") == 1000


def test_more_who_wait_than_connections(queue: SmsQueue, act: Actor) -> None:
    """Who finds no connection to wait on still gets the job: as it is when time is up, or as it ended."""
    crowd = WAITERS + 20
    job_id = act.enqueue()

    async def scenario() -> None:
        jobs = await asyncio.gather(*(queue.await_result(job_id, 0.2) for _ in range(crowd)))
        assert [job.state for job in jobs if job] == [State.QUEUED] * crowd
        waiting = asyncio.gather(*(queue.await_result(job_id, 60) for _ in range(crowd)))
        await asyncio.to_thread(wait_until, lambda: blocked() == WAITERS, what="as many wait as can")
        act.start(job_id)
        act.settle(outcome(job_id, State.SENT))
        assert [job.state for job in await waiting if job] == [State.SENT] * crowd
        await queue.aclose()

    def blocked() -> int:
        return int(act.client.info("clients")["blocked_clients"])

    asyncio.run(scenario())


@pytest.mark.parametrize("timeout", [0.2, 60])
def test_more_threads_that_wait_than_connections(queue: SmsQueue, act: Actor, timeout: float) -> None:
    """The same in threads."""
    crowd = WAITERS + 20
    job_id = act.enqueue()
    with ThreadPoolExecutor(crowd) as pool:
        waiting = [pool.submit(queue.wait, job_id, timeout) for _ in range(crowd)]
        if timeout > 1:
            blocked = act.client.info
            wait_until(lambda: blocked("clients")["blocked_clients"] == WAITERS, what="as many wait as can")
            act.start(job_id)
            act.settle(outcome(job_id, State.SENT))
        states = [job.state for each in waiting if (job := each.result(30))]
    assert states == [State.SENT if timeout > 1 else State.QUEUED] * crowd
