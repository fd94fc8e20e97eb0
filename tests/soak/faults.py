"""The faults: each brings something on, waits, and heals it. What they do follows from the dice they are given.

Faults of one domain come one after the other; those of different domains meet.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.soak.plant import Plant
from tests.support.waiting import wait_until

Inject = Callable[[Plant, Random], None]


class Domain(Enum):
    """What a fault is about."""

    WORKERS = "workers"
    PRODUCERS = "producers"
    REDIS = "redis"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        domain: What it is about.
        inject: Brings it on and heals it.
        what: In a few words.
    """

    domain: Domain
    inject: Inject
    what: str


FAULTS: Final[dict[str, Fault]] = {}
"""All kinds, by name."""


def _fault(domain: Domain) -> Callable[[Inject], Inject]:
    """Enters a function under its name."""

    def enter(inject: Inject) -> Inject:
        FAULTS[inject.__name__] = Fault(domain, inject, (inject.__doc__ or "").partition("\n")[0].rstrip("."))
        return inject

    return enter


# -- workers


@_fault(Domain.WORKERS)
def kill_worker(plant: Plant, dice: Random) -> None:
    """Kill -9 of a worker's main process."""
    worker = plant.any_worker(dice)
    children = worker.children()
    worker.process.kill()
    worker.process.wait()
    plant.replace_worker(worker)
    wait_until(lambda: not any(map(_lives, children)), timeout=60, what="a killed worker's children end by themselves")


@_fault(Domain.WORKERS)
def kill_child(plant: Plant, dice: Random) -> None:
    """Kill -9 of a prefork worker's child."""
    children = plant.any_worker(dice, with_children=True).children()
    if children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(dice.choice(children), signal.SIGKILL)


@_fault(Domain.WORKERS)
def freeze_worker(plant: Plant, dice: Random) -> None:
    """SIGSTOP of a worker for longer than the lease, now and then until others have settled its jobs."""
    tempo = plant.plan.tempo
    longest = tempo.settling + 8 if dice.random() < 0.4 else 2.0
    with plant.frozen(plant.any_worker(dice)):
        time.sleep(tempo.lease + dice.uniform(0.3, longest))


@_fault(Domain.WORKERS)
def rolling_restart(plant: Plant, dice: Random) -> None:
    """A worker, now and then each, is replaced: the new one starts, the old one gets SIGTERM."""
    plant.replace_the_dead()
    for worker in list(plant.workers) if dice.random() < 0.3 else [plant.any_worker(dice)]:
        plant.replace_worker(worker)
        worker.signal(signal.SIGTERM)
        plant.see_it_go(worker)


@_fault(Domain.WORKERS)
def hasty_restart(plant: Plant, dice: Random) -> None:
    """SIGTERM of a worker, and soon after a second one, SIGQUIT or kill -9."""
    worker = plant.any_worker(dice)
    worker.signal(signal.SIGTERM)
    time.sleep(dice.uniform(0.0, 1.0))
    children = worker.children()
    if worker.process.poll() is None:
        worker.signal(dice.choice((signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)))
    plant.see_it_go(worker)
    plant.replace_worker(worker)
    wait_until(lambda: not any(map(_lives, children)), timeout=60, what="a stopped worker's children end")


def _lives(pid: int) -> bool:
    """Whether a process still runs; one that has ended may be waiting for somebody to hear of it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123 - a line of /proc
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# -- producers


@_fault(Domain.PRODUCERS)
def kill_producer(plant: Plant, dice: Random) -> None:
    """Kill -9 of a producer; another process takes over its work."""
    plant.kill_producer(dice)


# -- Redis


@_fault(Domain.REDIS)
def kill_redis(plant: Plant, dice: Random) -> None:
    """Kill -9 of Redis, and a start on its append-only file."""
    plant.store.kill()


@_fault(Domain.REDIS)
def freeze_redis(plant: Plant, dice: Random) -> None:
    """SIGSTOP of Redis for some seconds."""
    plant.store.freeze(dice.uniform(0.5, plant.plan.tempo.freeze))


@_fault(Domain.REDIS)
def cut_connections(plant: Plant, dice: Random) -> None:
    """CLIENT KILL of every connection, some times over."""
    for _ in range(dice.randrange(1, 5)):
        with plant.store.client() as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
        time.sleep(dice.uniform(0.0, 0.5))


@_fault(Domain.REDIS)
def flush_scripts(plant: Plant, dice: Random) -> None:
    """SCRIPT FLUSH, some times over."""
    for _ in range(dice.randrange(1, 20)):
        with plant.store.client() as client:
            client.script_flush()
        time.sleep(dice.uniform(0.0, 0.1))


@_fault(Domain.REDIS)
def fill_memory(plant: Plant, dice: Random) -> None:
    """Memory is full (maxmemory, noeviction) for some seconds."""
    with plant.store.client() as client:
        client.config_set("maxmemory", "1mb")
        try:
            time.sleep(dice.uniform(0.5, 4.0))
        finally:
            client.config_set("maxmemory", "0")


@_fault(Domain.REDIS)
def restore_copy(plant: Plant, dice: Random) -> None:
    """An older copy of the append-only file is put back, seconds old or from before earlier faults."""
    copy = plant.store.copy
    if dice.random() < 0.7:
        copy = plant.store.put_copy_aside()
        time.sleep(dice.uniform(0.5, 4.0))
    plant.store.restore(copy)
    plant.store.put_copy_aside()


@_fault(Domain.REDIS)
def promote_replica(plant: Plant, dice: Random) -> None:
    """A replica that missed the last second or two takes the server's place."""
    plant.store.promote(dice.uniform(0.2, 2.0))
    plant.store.put_copy_aside()


# -- the gateway


def _next_calls(plant: Plant, count: int, behaviour: str, method: str = "message/sendsmsmessage") -> None:
    """Has the gateway's next calls behave so, whoever they are for; until somebody says otherwise."""
    plant.sandbox.post("/sandbox/fail", **{"next": count, "as": behaviour, "method": method})


@_fault(Domain.GATEWAY)
def freeze_gateway(plant: Plant, dice: Random) -> None:
    """SIGSTOP of the gateway for some seconds: what was sent to it acts afterwards."""
    pid, tempo = plant.sandbox.process.pid, plant.plan.tempo
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        time.sleep(dice.uniform(0.5, tempo.freeze))
    finally:
        os.kill(pid, signal.SIGCONT)
    if (lasted := time.monotonic() - begun) > tempo.gateway_bound:
        plant.complaints.append(f"the machine is too busy: the gateway was frozen for {lasted:.1f} s, past its bound")


@_fault(Domain.GATEWAY)
def refuse_gateway(plant: Plant, dice: Random) -> None:
    """The gateway hangs up on everyone and refuses connections for some seconds."""
    plant.gate.refuse()
    try:
        time.sleep(dice.uniform(0.5, 5.0))
    finally:
        plant.gate.admit()


@_fault(Domain.GATEWAY)
def lose_answers(plant: Plant, dice: Random) -> None:
    """Messages are accepted, and their answers lost."""
    lost = ("closed-accepted", "reset-accepted", "half-status-line", "half-body", "hang-accepted", "json-cut")
    _next_calls(plant, dice.randrange(3, 12), dice.choice(lost))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def drop_calls(plant: Plant, dice: Random) -> None:
    """Messages are not accepted, and there is no answer that says so."""
    _next_calls(plant, dice.randrange(3, 12), dice.choice(("closed", "reset", "hang")))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def late_acceptance(plant: Plant, dice: Random) -> None:
    """Messages are accepted after their callers gave up."""
    with plant.late_or_frozen:
        _next_calls(plant, dice.randrange(2, 6), "late")
        time.sleep(2.0)
        _next_calls(plant, 0, "late")
        time.sleep(plant.plan.tempo.call_timeout + 0.5)  # the last of them has given up


@_fault(Domain.GATEWAY)
def server_errors(plant: Plant, dice: Random) -> None:
    """HTTP 5xx, some with and some without the message."""
    statuses = ("500", "502", "503", "504", "500-accepted", "502-accepted", "503-accepted", "504-accepted")
    _next_calls(plant, dice.randrange(3, 12), dice.choice(statuses))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def unclear_codes(plant: Plant, dice: Random) -> None:
    """Codes that don't say whether the message was accepted."""
    code = dice.choice((3, 10, 15, 77, 98, 100, 999))
    _next_calls(plant, dice.randrange(3, 12), f"code-{code}" + dice.choice(("", "-accepted")))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def slow_answers(plant: Plant, dice: Random) -> None:
    """Answers come late, now and then after the call's time."""
    timeout = plant.plan.tempo.call_timeout
    plant.sandbox.post(
        "/sandbox/latency", seconds=dice.choice((0.3, 0.6)) * timeout if dice.random() < 0.7 else timeout
    )
    try:
        time.sleep(dice.uniform(2.0, 6.0))
    finally:
        plant.sandbox.post("/sandbox/latency", seconds=0.0)


@_fault(Domain.GATEWAY)
def too_many_calls(plant: Plant, dice: Random) -> None:
    """Code 30, or HTTP 429."""
    _next_calls(plant, dice.randrange(3, 12), dice.choice(("code-30", "429", "code-99")))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def account_refused(plant: Plant, dice: Random) -> None:
    """The account is refused: a wrong key, a blocked account, another server."""
    _next_calls(plant, dice.randrange(1, 5), dice.choice(("code-8", "code-9", "code-13", "code-14")))
    time.sleep(2.0)


@_fault(Domain.GATEWAY)
def lists_fail(plant: Plant, dice: Random) -> None:
    """Questions get no answer."""
    _next_calls(plant, dice.randrange(3, 12), dice.choice(("503", "closed", "code-999", "hang")), "message/list")
    time.sleep(3.0)
    _next_calls(plant, 0, "503")


@_fault(Domain.GATEWAY)
def stale_list(plant: Plant, dice: Random) -> None:
    """The lists are behind for longer than they should be: only a canary tells."""
    tempo = plant.plan.tempo
    plant.sandbox.post("/sandbox/flags", list_delay_seconds=3 * tempo.settling)
    try:
        time.sleep(dice.uniform(tempo.settling, 2 * tempo.settling))
    finally:
        plant.sandbox.post("/sandbox/flags", list_delay_seconds=tempo.usual_delay)


def schedule(seed: int, kinds: tuple[str, ...], count: int, seconds: float) -> Mapping[Domain, list[tuple[float, str]]]:
    """Spreads faults over a soak: each kind as often as any other, in an order and at moments that the seed gives.

    Args:
        seed: The soak's.
        kinds: Which; one that is named twice comes twice as often.
        count: How many.
        seconds: The soak's length.

    Returns:
        For each domain its faults, each with its moment.
    """
    dice = Random(f"{seed}/faults")  # noqa: S311 - reproducible, not secret
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += dice.sample(kinds, len(kinds))
    planned: dict[Domain, list[tuple[float, str]]] = {domain: [] for domain in Domain}
    for place, kind in enumerate(drawn[:count]):
        planned[FAULTS[kind].domain].append((seconds * (place + dice.random()) / count, kind))
    return {domain: sorted(faults) for domain, faults in planned.items()}
