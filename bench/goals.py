"""The goals that smsq has set itself, and what was reached."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bench.contenders import CONTENDERS
from bench.fair import SMALL
from bench.store import Results
from bench.tables import NONE, Table, number, times

_SAQS: Final = ("saq", "saq-uvloop")
_MANY, _SOON_MS, _PASSING_MS, _SHARING_MS, _WORKER_MB, _WAITING, _FINISHED = 30_000, 5, 250, 1000, 100, 600, 450
#: What counts as flat: counts and memory of two runs differ a little by chance.
_FLAT = 1.05


@dataclass(frozen=True, slots=True)
class Goal:
    """One of them.

    Attributes:
        label: What is measured.
        wanted: The goal in words.
        reached: The figure, with its unit.
        ratio: Reached, divided by what it is compared with in the same run, or by the goal.
        met: Whether it is reached; None if it wasn't measured.
    """

    label: str
    wanted: str
    reached: str
    ratio: float | None
    met: bool | None


def goals(results: Results) -> list[Goal]:
    """Returns all of them, in the order of the issue that set them."""
    return [*_speed(results), *_producing(results), *_footprint(results), *_fairness(results)]


def table(results: Results) -> Table:
    """Returns them as a table."""
    words = {True: "yes", False: "**no**", None: NONE}
    rows = [(goal.label, goal.wanted, goal.reached, times(goal.ratio), words[goal.met]) for goal in goals(results)]
    return Table("Goals", ("goal", "wanted", "reached", "ratio", "met"), rows)


def _at_least(label: str, wanted: str, reached: str, ratio: float | None, limit: float) -> Goal:
    return Goal(label, wanted, reached, ratio, None if ratio is None else ratio >= limit)


def _at_most(label: str, wanted: str, reached: str, ratio: float | None, limit: float) -> Goal:
    return Goal(label, wanted, reached, ratio, None if ratio is None else ratio <= limit)


def _under(label: str, value: float | None, limit: float, unit: str) -> Goal:
    ratio = None if value is None else value / limit
    return _at_most(label, f"at most {number(limit, unit)}", number(value, unit), ratio, 1.0)


def _speed(results: Results) -> Iterator[Goal]:
    rate = results.get("drain-0.smsq", "rate")
    yield _at_least(
        "drain, gateway at once",
        "at least 2× SAQ on uvloop",
        number(rate, "jobs/s"),
        results.ratio("drain-0.smsq", "rate", "drain-0.saq-uvloop", "rate"),
        2.0,
    )
    yield _at_least(
        "drain, gateway 50 ms",
        "at least 0.95× the bare aiohttp loop",
        number(results.get("drain-50.smsq", "rate"), "jobs/s"),
        results.ratio("drain-50.smsq", "rate", "drain-50.bare", "rate"),
        0.95,
    )
    yield _at_least(
        "drain, 1,000 slots, gateway 200 ms",
        "at least 0.75× its own rate at once",
        number(results.get("slots.smsq", "rate"), "jobs/s"),
        results.ratio("slots.smsq", "rate", "drain-0.smsq", "rate"),
        0.75,
    )
    costs = [results.ratio("drain-0.smsq", "cpu_ms", f"drain-0.{saq}", "cpu_ms") for saq in _SAQS]
    yield _at_most(
        "worker CPU a job",
        "at most 0.6× SAQ's, the better one",
        number(results.get("drain-0.smsq", "cpu_ms"), "ms"),
        max((cost for cost in costs if cost is not None), default=None),
        0.6,
    )


def _producing(results: Results) -> Iterator[Goal]:
    peers = [each.name for each in CONTENDERS if each.queued and each.name != "smsq"]
    ratios = [results.ratio("drain-0.smsq", "enqueue_p50", f"drain-0.{peer}", "enqueue_p50") for peer in peers]
    yield _at_most(
        "`enqueue`, p50",
        "at most the fastest peer's",
        number(results.get("drain-0.smsq", "enqueue_p50"), "ms"),
        max((ratio for ratio in ratios if ratio is not None), default=None),
        1.0,
    )
    few, many = (results.get(f"bulk-{size}.smsq", "per_second") for size in ("few", "many"))
    slower = min((rate for rate in (few, many) if rate is not None), default=None)
    yield _at_least(
        "`enqueue_many`",
        f"at least {_MANY:,} jobs/s",
        number(slower, "jobs/s"),
        None if slower is None else slower / _MANY,
        1.0,
    )
    yield _at_most(
        "the producer's peak memory, ten times the iterator",
        "flat",
        number(results.get("bulk-many.smsq", "peak_mb"), "MB"),
        results.ratio("bulk-many.smsq", "peak_mb", "bulk-few.smsq", "peak_mb"),
        _FLAT,
    )


def _footprint(results: Results) -> Iterator[Goal]:
    yield _under("idle pick-up, p50", results.get("pickup.smsq", "p50"), _SOON_MS, "ms")
    yield _under(
        "worker's memory, 100 slots, end of a long run", results.get("steady.smsq", "rss_last_mb"), _WORKER_MB, "MB"
    )
    yield _at_most(
        "worker's memory, last tenth against first",
        "flat",
        number(results.get("steady.smsq", "rss_last_mb"), "MB"),
        results.ratio("steady.smsq", "rss_last_mb", "steady.smsq", "rss_first_mb"),
        _FLAT,
    )
    yield _under("Redis, a waiting job", results.get("kept.smsq", "waiting_bytes"), _WAITING, "B")
    yield _under("Redis, a finished job", results.get("kept.smsq", "finished_bytes"), _FINISHED, "B")
    depths = results.plan["sizes"]["depths"]
    few, many = f"depth-{depths[0]}.smsq", f"depth-{depths[-1]}.smsq"
    yield _at_most(
        f"Redis commands a job, those within scripts too, {depths[-1]:,} waiting",
        f"as with {depths[0]:,}",
        number(results.get(many, "job_all_commands")),
        results.ratio(many, "job_all_commands", few, "job_all_commands"),
        _FLAT,
    )


def _fairness(results: Results) -> Iterator[Goal]:
    campaign = results.plan["sizes"]["campaign"]
    many = f"{campaign:,} bulk jobs"
    for name, label, figure, limit in (
        ("urgent-limited", f"urgent past {many}, limited to 20/s, p99", "p99", _PASSING_MS),
        ("urgent-hanging", f"urgent past {many}, the gateway hangs on bulk, p99", "p99", _PASSING_MS),
        ("urgent-cancelled", f"urgent past {many}, which were cancelled, p99", "p99", _PASSING_MS),
        ("urgent-expired", f"urgent past {many}, which have expired, p99", "p99", _PASSING_MS),
        ("normal-hanging", f"normal past {many}, the gateway hangs on bulk, p99", "p99", _PASSING_MS),
        ("bulk-last", f"bulk past {campaign:,} urgent and normal jobs, p99", "p99", _SHARING_MS),
        ("bulk-batch", f"the last of a batch of {SMALL} after {many}", "longest", _SHARING_MS),
    ):
        step = f"fair-{name}.smsq"
        goal = _under(label, results.get(step, figure), limit, "ms")
        if results.get(step, "missing"):
            goal = replace(goal, met=False)
        yield goal
