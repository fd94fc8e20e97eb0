"""Children of a prefork pool are killed, in mid-call and again and again: nothing is lost, and the worker goes on."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smsq import Sms, keys
from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.faults.site import Site
from tests.support.jobs import in_state, make_due
from tests.support.waiting import wait_until
from tests.support.worker import Worker

PREFORK = ("-P", "prefork", "-c", "4")


def children(worker: Worker) -> list[int]:
    """Returns the process ids of a worker's children."""
    return [int(each) for each in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def kill_children(worker: Worker) -> None:
    """Kills them all, and waits until the pool has replaced them."""
    doomed = wait_until(lambda: children(worker), what="the pool has children")
    for child in doomed:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: not set(doomed) & set(children(worker)), what="they are gone")


@contextmanager
def children_die(worker: Worker, seconds: float) -> Iterator[Callable[[], int]]:
    """Kills a worker's children again and again, so many seconds apart; gives the number of rounds so far."""
    over = threading.Event()
    rounds: list[int] = []

    def run() -> None:
        while not over.wait(seconds):
            kill_children(worker)
            rounds.append(len(rounds))

    killer = threading.Thread(target=run, name="killer")
    killer.start()
    try:
        yield lambda: len(rounds)
    finally:
        over.set()
        killer.join()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_children_killed_in_mid_call_cost_nothing(site: MakeSite, rounds: int) -> None:
    """F32: four calls are out, all four children die: found by asking; what they had not begun goes to their heirs."""
    here = site()
    worker = here.start(*PREFORK)
    for _ in range(rounds):
        here.sandbox.post("/sandbox/latency", seconds=1.5)
        before = len(here.sandbox.calls())
        here.enqueue(12)
        here.calls_are_out(before + 4)
        kill_children(worker)
        here.sandbox.post("/sandbox/latency", seconds=0)
        here.check_all_sent_once()
    here.same_processes()
    worker.wait_lines("job.asking")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [4, pytest.param(90, marks=pytest.mark.long)])
def test_a_pool_whose_children_die_again_and_again_consumes(site: MakeSite, rounds: int) -> None:
    """F33: every two seconds all children die, under load; then they don't, and jobs flow, commands are answered."""
    here = site()
    worker = here.start(*PREFORK)
    here.sandbox.post("/sandbox/latency", seconds=0.2)
    with children_die(worker, 2.0) as so_far:
        while so_far() < rounds:
            here.enqueue(10)
            done = so_far()
            wait_until(lambda: so_far() > done, what="the next round")  # noqa: B023
    here.check_consumes()
    here.same_processes()
    here.check_all_sent_once()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_job_that_kills_its_workers_is_put_aside(site: MakeSite) -> None:
    """F18: each child that calls for it dies, and the gateway never has it: parked in the end, while others flow."""
    here, deaths = site(), 3
    worker = here.start("-P", "prefork", "-c", "1", SMSQ_MAX_LOSSES=str(deaths))
    number = here.sandbox.recipient("hang")
    job_id = here.queue.enqueue(Sms(recipient=number, text="Код")).id
    for death in range(1, deaths + 1):
        others_flow_until(here, lambda: here.sandbox.called(number) == death)  # noqa: B023 - called at once
        kill_children(worker)
        with here.server.client() as client:
            make_due(client, job_id)  # the end of its lease
    job = here.end_of(job_id)
    assert (job.state, job.attempts) == (State.FAILED, deaths)
    assert job.error
    assert job.error.reason == "its workers died during the call, again and again"
    with here.server.client() as client:
        assert client.hexists(keys.PARKED, job_id)
    assert [line["job_id"] for line in worker.wait_lines("job.asking", deaths)] == [job_id] * deaths
    assert (here.sandbox.called(number), here.sandbox.counts()[number]) == (deaths, 0)
    here.check_consumes()
    here.same_processes()


def others_flow_until(here: Site, condition: Callable[[], bool]) -> None:
    """Has other jobs sent, one after the other, until a condition holds."""
    while not condition():
        (other,) = here.enqueue(1)
        wait_until(lambda: condition() or in_state(here.queue, other, State.SENT), what="another is sent")  # noqa: B023
