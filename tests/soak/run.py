"""One soak, from the first process to the comparison of the books."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from smsq import Job, QueueUnavailable
from tests.soak import promises
from tests.soak.books import Accepted, Record, compare
from tests.soak.faults import FAULTS, Domain, schedule
from tests.soak.plant import Plan, Plant
from tests.soak.promises import Promise
from tests.soak.report import Report

Say = Callable[[str], None]

#: The zone of the sandbox's times.
_ZONE: Final = ZoneInfo("Asia/Almaty")
#: Seconds that a producer may need after its last message is due: it offers until Redis answers.
_PRODUCERS_LATE: Final = 120.0
_LOOK: Final = 0.5
_TELL: Final = 10.0


def soak(plan: Plan, folder: Path, say: Say) -> Report:
    """Runs a soak.

    Args:
        plan: What it is to be.
        folder: Where the processes' files go.
        say: Hears of progress, a line at a time.

    Returns:
        What it came to.
    """
    with Plant(folder, plan) as plant:
        say(f"{len(plan.pools)} workers are ready")
        plant.start_producers()
        begun = time.monotonic()
        faults = _bring_on_faults(plant, begun, say)
        plant.wait_for_producers(max(0.0, begun + plan.seconds - time.monotonic()) + _PRODUCERS_LATE)
        say("every message was offered, every fault healed; waiting until the ledger is at rest")
        _wait_for_rest(plant, say)
        plant.replace_the_dead()
        plant.rest()
        return _compare(plant, faults, time.monotonic() - begun)


def _bring_on_faults(plant: Plant, begun: float, say: Say) -> Counter[str]:
    plan = plant.plan
    planned = schedule(plan.seed, plan.kinds, plan.faults, plan.seconds)
    done: Counter[str] = Counter()

    def bring_on(domain: Domain) -> None:
        dice = Random(f"{plan.seed}/{domain.value}")  # noqa: S311 - reproducible, not secret
        for moment, kind in planned[domain]:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            say(f"{time.monotonic() - begun:7.1f} s  {kind}")
            FAULTS[kind].inject(plant, dice)
            done[kind] += 1

    with ThreadPoolExecutor(len(Domain)) as threads:
        for each in [threads.submit(bring_on, domain) for domain in Domain]:
            each.result()
    return done


def _wait_for_rest(plant: Plant, say: Say) -> None:
    """Waits until no job but the trickle's waits for anything, or patience is at an end."""
    deadline = time.monotonic() + plant.plan.tempo.patience
    told = time.monotonic()
    promised = promises.read(plant.producers_books(), plant.traffic)
    open_jobs = {job_id for promise in promised.values() for job_id in promise.job_ids}
    while time.monotonic() < deadline:
        open_jobs = {job_id for job_id in open_jobs if not _is_final(_look_up(plant, job_id))}
        canaries = promises.read([plant.trickles_book()], plant.traffic)
        others = plant.store.waiting() - {job_id for promise in canaries.values() for job_id in promise.job_ids}
        if not open_jobs and not others:
            return
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            say(f"{len(open_jobs | others)} jobs are open")
        time.sleep(_LOOK)
    plant.complaints.append(f"{len(open_jobs | others)} jobs never came to rest: {sorted(open_jobs | others)[:5]} …")


def _is_final(job: Job | None) -> bool:
    return job is None or job.state.final


def _look_up(plant: Plant, job_id: str) -> Job | None:
    while True:
        try:
            return plant.queue.lookup(job_id)
        except QueueUnavailable:  # a busy machine: no fault is on any more
            time.sleep(_LOOK)


def _compare(plant: Plant, faults: Counter[str], seconds: float) -> Report:
    plan = plant.plan
    promised = promises.read([*plant.producers_books(), plant.trickles_book()], plant.traffic)
    _let_canaries_end(plant, promised)
    records = {job_id: _record(_look_up(plant, job_id)) for promise in promised.values() for job_id in promise.job_ids}
    messages = plant.sandbox.messages()
    by_number: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        number = plant.traffic.number_of(message["text"])
        assert number is not None, "the gateway accepted a text that nobody wrote"
        by_number[number].append(message)
    accepted = {number: [_accepted(each) for each in each_number] for number, each_number in by_number.items()}
    known = {number: plant.traffic.message(number) for number in promised}
    counters = plant.store.counters()
    return Report(
        plan=plan,
        faults=faults,
        verdict=compare(known, promised, records, accepted, plant.store.rollbacks, bound=plan.tempo.gateway_bound),
        messages=len(messages),
        seconds=seconds,
        longest_delay=max(_delays(plant, promised, accepted), default=0.0),
        parked=counters["parked"],
        repaired=counters.get("repaired", 0),
        complaints=tuple(plant.complaints),
    )


def _let_canaries_end(plant: Plant, promised: Mapping[int, Promise]) -> None:
    """Waits for the trickle's last messages; one whose answer was lost stays open, as nothing newer comes."""
    for number, promise in promised.items():
        if number >= plant.plan.jobs:
            for job_id in promise.job_ids:
                plant.queue.wait(job_id, 10)


def _record(job: Job | None) -> Record | None:
    if job is None:
        return None
    return Record(job.state, job.message_id, job.campaign_id, job.error.reason if job.error else "")


def _accepted(message: Mapping[str, Any]) -> Accepted:
    at = datetime.strptime(message["acceptedTs"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE).timestamp()
    monotonic = at - (time.time() - time.monotonic())
    return Accepted(int(message["messageId"]), int(message["campaignId"]), monotonic)


def _delays(
    plant: Plant, promised: Mapping[int, Promise], accepted: Mapping[int, Sequence[Accepted]]
) -> Iterator[float]:
    """Yields seconds from each message's first offer, or its `send_at`, to its acceptance."""
    for number, promise in promised.items():
        if promise.job_ids and number in accepted:
            due = promise.offers[0].offered + (plant.traffic.message(number).group.delay or 0.0)
            yield accepted[number][0].at - due
