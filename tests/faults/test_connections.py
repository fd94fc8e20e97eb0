"""How many connections to Redis there are: as few as documented, named, and no more after faults (F41)."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from smsq import QueueUnavailable, Sms
from smsq.connection import CONNECTIONS
from tests.faults.conftest import MakeSite
from tests.faults.site import Site, last
from tests.support.sandbox import ordinary
from tests.support.waiting import wait_until

#: What a worker has, whatever its concurrency ("about 15" in the README): Celery's, and those to the ledger.
BROKER: Final = 10
LEDGER: Final = 8
VISITORS: Final = 200


def counted(site: Site) -> Counter[str]:
    """Counts the server's connections by their name, but for the one that asks."""
    with site.server.client() as client:
        own = str(client.client_id())
        return Counter(each["name"] for each in client.client_list() if each["id"] != own)


@contextmanager
def crowd(site: Site) -> Iterator[None]:
    """Has two hundred threads of one web process come, enqueue a few messages and go, again and again."""
    over = threading.Event()

    def visit(number: int) -> None:
        for _ in range(3):
            with suppress(QueueUnavailable):
                site.queue.enqueue(Sms(recipient=ordinary(number), text="Привет"))
            over.wait(2)

    def come_and_go() -> None:
        while not over.is_set():
            visitors = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
            for each in visitors:
                each.start()
            for each in visitors:
                each.join()

    host = threading.Thread(target=come_and_go)
    host.start()
    try:
        yield
    finally:
        over.set()
        host.join()


@pytest.mark.parametrize(
    ("rounds", "seconds"), [(2, 0), pytest.param(20, 60, marks=[pytest.mark.long, pytest.mark.timeout(2400)])]
)
def test_connections_are_few_and_as_few_after_each_restart(site: MakeSite, rounds: int, seconds: int) -> None:
    """F41: they are as few as documented ten seconds after each restart, each has a name, none outlives its owner."""
    here = site()
    worker = here.start("-c", "500")
    here.sandbox.post("/sandbox/latency", seconds=0.5)

    def as_documented() -> bool:
        found = counted(here)
        few = found["smsq-broker"] <= BROKER and found["smsq"] <= CONNECTIONS + LEDGER
        return few and found.keys() == {"smsq", "smsq-broker"}

    with crowd(here):
        wait_until(as_documented, what="as documented")
        for _ in range(rounds):
            here.server.kill()
            here.server.start()
            here.check_consumes()
            wait_until(as_documented, timeout=10, what="as documented again")
            last(seconds)
    here.queue.close()
    wait_until(lambda: counted(here)["smsq"] <= LEDGER, what="only the worker's are left")
    assert worker.stop() == 0
    wait_until(lambda: not counted(here), what="none outlives the worker")
