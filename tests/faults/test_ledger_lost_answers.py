"""Answers of Redis that a worker never gets: each script's first (F03), and the one that a killed worker waited for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smsq import keys
from smsq.scripts import script
from smsq.states import State
from tests.faults.conftest import MakeSite
from tests.faults.site import Site
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.wire import Wire
from tests.support.worker import Worker

JOBS = 10
#: What a worker asks of Redis on a job's way, in this order: a bell, and three scripts.
STEPS = {"bell": b"BRPOP", **{name: script(name).sha.encode() for name in ("take", "begin", "settle")}}


@contextmanager
def through_a_wire(make: MakeSite) -> Iterator[tuple[Site, Wire]]:
    """A site whose workers pass a wire, which is made when the server's port is known."""
    wires: list[Wire] = []

    def wire_to(port: int) -> str:
        wires.append(Wire(port).__enter__())
        return wires[0].redis_url

    here = make(through=wire_to)
    try:
        yield here, wires[0]
    finally:
        here.close()
        wires[0].__exit__(None, None, None)


def start_on(here: Site) -> Worker:
    """Starts a worker, and has it send a job: from here on it calls scripts by their SHA-1."""
    worker = here.start()
    (first,) = here.enqueue(1)
    assert here.end_of(first).state is State.SENT
    return worker


def test_each_scripts_first_answer_is_lost(site: MakeSite) -> None:
    """F03: it is sent again and answers the same: nothing is lost, sent twice or counted twice, no lease runs out."""
    with through_a_wire(site) as (here, wire):
        worker = start_on(here)
        jobs: list[str] = []
        for name in ("take", "begin", "settle", "take_due", "renew"):
            here.sandbox.post("/sandbox/latency", seconds=2.5 if name == "renew" else 0)
            cuts = wire.cuts
            wire.cut_before_answer(script(name).sha.encode())
            jobs += here.enqueue(JOBS)
            wait_until(lambda: wire.cuts > cuts, what="an answer is lost")  # noqa: B023 - called at once
        here.check_all_sent_once()
        ended = [here.queue.lookup(job_id) for job_id in jobs]
        assert {job.attempts for job in ended if job} == {1}
        assert not worker.lines("job.asking")
        here.same_processes()


@pytest.mark.parametrize(
    "step", ["take", *(pytest.param(step, marks=pytest.mark.long) for step in ("bell", "begin", "settle"))]
)
def test_a_worker_killed_between_two_commands_loses_nothing(site: MakeSite, step: str) -> None:
    """F29: Redis has done what it was asked, its answer is on its way, and the worker dies: another has the jobs."""
    with through_a_wire(site) as (here, wire):
        doomed = start_on(here)
        wire.cut_before_answer(STEPS[step], times=1000)
        jobs = here.enqueue(JOBS)
        wait_until(lambda: done(here.server, step, jobs), what="Redis has done it")
        doomed.kill()
        here.url = here.server.url
        here.start()
        here.check_all_sent_once()


def done(server: Server, step: str, jobs: list[str]) -> bool:
    """Returns whether Redis has done that step for one of the jobs at least."""
    with server.client() as client:
        states = {client.hget(keys.job(job_id), "state") for job_id in jobs}
        match step:
            case "bell":
                return not client.exists(keys.bell("normal"))
            case "take":
                return any(client.zscore(keys.DUE, job_id) for job_id in jobs)
            case "begin":
                return "sending" in states
            case _:
                return "sent" in states
