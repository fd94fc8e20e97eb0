"""What is measured, in which order, and with how many jobs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from bench import depth, drain, fair, singles
from bench.contenders import BY_NAME, SMSQ, Contender
from bench.drain import Figures

LATENCIES: Final = (0, 50)
#: A worker that waits for very many slow calls at once.
MANY_SLOTS, MANY_SLOTS_LATENCY = 1000, 200.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything.

    Attributes:
        jobs: Jobs of one drain.
        slots_seconds: Seconds that a drain with 1,000 slots, or with several workers, takes at best.
        steady: Jobs of the run that watches the worker's memory.
        bulk: Two sizes for `enqueue_many`.
        pickups: Single messages to an idle worker.
        kept: Jobs whose bytes in Redis are counted.
        depths: Numbers of waiting jobs.
        idle: Seconds that an idle worker is watched.
        campaign: Jobs that wait while urgent ones pass.
        singles: How many pass.
    """

    jobs: int = 6000
    slots_seconds: float = 6.0
    steady: int = 100_000
    bulk: tuple[int, int] = (100_000, 1_000_000)
    pickups: int = 300
    kept: int = 10_000
    depths: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    idle: float = 10.0
    campaign: int = 100_000
    singles: int = 300


QUICK: Final = Sizes(1000, 1.5, 5000, (5_000, 20_000), 50, 1000, (1_000, 10_000), 3.0, 10_000, 60)

#: Parts by name: `run` measures all, the others one each.
PARTS: Final = ("drain", "slots", "pickup", "single", "scale", "fair")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for.

    Attributes:
        parts: Some of `PARTS`.
        peers: Names of contenders.
        rounds: How often what varies is measured: each round measures every contender once.
        sizes: How much.
        appendonly: Whether Redis keeps an append-only file, as production has it.
    """

    parts: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    sizes: Sizes
    appendonly: bool = True

    def described(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return asdict(self)

    @property
    def contenders(self) -> list[Contender]:
        """Who is measured."""
        return [BY_NAME[name] for name in self.peers]


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement: its name, its round, and how it is made."""

    name: str
    round: int
    contender: Contender
    measure: Callable[[], Figures]


def steps(plan: Plan, present: Sequence[Contender]) -> Iterator[Step]:
    """Yields the measurements of a plan, round by round, the contenders one after the other in each.

    Args:
        plan: What is asked for.
        present: Those contenders that could be installed.
    """
    for number in range(1, plan.rounds + 1):
        if "drain" in plan.parts:
            yield from _drains(plan, present, number)
        if SMSQ in present and "slots" in plan.parts:
            yield _slots(plan, number)
        if "pickup" in plan.parts:
            yield from _pick_ups(plan, present, number)
    # What is left is counted rather than timed, or long enough to stand alone: once.
    if "single" in plan.parts:
        yield from _once(plan, present)
    if SMSQ in present and "scale" in plan.parts:
        yield from _scale(plan)
    if SMSQ in present and "fair" in plan.parts:
        yield from _fair(plan)


def _drains(plan: Plan, present: Sequence[Contender], number: int) -> Iterator[Step]:
    jobs = plan.sizes.jobs
    for latency in LATENCIES:
        for each in present:
            measure = partial(drain.drain, each, latency=latency, jobs=jobs, appendonly=plan.appendonly)
            yield Step(f"drain-{latency}.{each.name}", number, each, measure)


def _slots(plan: Plan, number: int) -> Step:
    measure = partial(
        drain.many_slots,
        SMSQ,
        slots=MANY_SLOTS,
        latency=MANY_SLOTS_LATENCY,
        jobs=int(plan.sizes.slots_seconds * MANY_SLOTS * 1000 / MANY_SLOTS_LATENCY),
        appendonly=plan.appendonly,
    )
    return Step("slots.smsq", number, SMSQ, measure)


def _pick_ups(plan: Plan, present: Sequence[Contender], number: int) -> Iterator[Step]:
    for each in present:
        if each.queued:
            measure = partial(singles.pick_up, each, count=plan.sizes.pickups, appendonly=plan.appendonly)
            yield Step(f"pickup.{each.name}", number, each, measure)


def _once(plan: Plan, present: Sequence[Contender]) -> Iterator[Step]:
    sizes = plan.sizes
    for each in present:
        if each.bulk:
            measure = partial(singles.bulk, each, count=sizes.bulk[0], appendonly=plan.appendonly)
            yield Step(f"bulk-few.{each.name}", 1, each, measure)
    for each in present:
        if each.queued:
            yield Step(f"kept.{each.name}", 1, each, partial(singles.kept, each, jobs=sizes.kept))
    if SMSQ in present:
        measure = partial(singles.bulk, SMSQ, count=sizes.bulk[1], appendonly=plan.appendonly)
        yield Step("bulk-many.smsq", 1, SMSQ, measure)
        yield Step("steady.smsq", 1, SMSQ, partial(drain.steady, SMSQ, jobs=sizes.steady, appendonly=plan.appendonly))


def _scale(plan: Plan) -> Iterator[Step]:
    sizes = plan.sizes
    for slots in (100, 500):
        for count in (1, 2, 4):
            measure = partial(depth.workers, count=count, slots=slots, latency=200, seconds=sizes.slots_seconds)
            yield Step(f"workers-{slots}-{count}.smsq", 1, SMSQ, measure)
    for waiting in sizes.depths:
        yield Step(f"depth-{waiting}.smsq", 1, SMSQ, partial(depth.depth, waiting=waiting, seconds=sizes.idle))
        yield Step(f"schedule-{waiting}.smsq", 1, SMSQ, partial(depth.schedule, waiting=waiting, seconds=sizes.idle))


def _fair(plan: Plan) -> Iterator[Step]:
    sizes = plan.sizes
    for name, case in fair.CASES.items():
        measure = partial(fair.fair, case, waiting=sizes.campaign, count=sizes.singles, appendonly=plan.appendonly)
        yield Step(f"fair-{name}.smsq", 1, SMSQ, measure)
