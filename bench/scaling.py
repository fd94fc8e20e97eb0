"""What the figures mean for large numbers: tables of the curves, and the arithmetic of `docs/scaling.md`."""

import math
from collections.abc import Sequence
from typing import Any, Final

from bench.contenders import Contender
from bench.store import Results
from bench.tables import Table, number, times

_SLOTS = 100
#: What the real gateway may take to answer, in ms: a guess to be replaced by what one sees.
_GATEWAY_MS: Final = 200.0
_A_DAY, _BURST, _BURST_SECONDS = 10_000_000, 1_000_000, 600.0
#: How many times its average the busiest minute of a day may be.
_PEAK = 10.0
#: How busy a core may be planned to be.
_HEADROOM = 0.6
_RETENTION_DAYS = (7, 1)
#: Connections a worker and a producer process hold (README, "Scaling and watching").
_WORKER_CONNECTIONS, _PRODUCER_CONNECTIONS, _PRODUCERS = 15, 16, 20


def tables(results: Results) -> list[Table]:
    """Returns the measured tables of `scaling.md`; without rows where nothing was measured."""
    return [_workers(results), _depths(results), _idle(results)]


def _workers(results: Results) -> Table:
    rows = []
    for slots in (100, 500):
        for count in (1, 2, 4):
            step, single = f"workers-{slots}-{count}.smsq", f"workers-{slots}-1.smsq"
            if step in results.rounds:
                figures = ("rate", "possible", "worker_cores", "redis_cores", "gateway_cores", "clients")
                cells = [number(results.get(step, figure)) for figure in figures]
                growth = times(results.ratio(step, "rate", single, "rate"))
                rows.append((f"{count} × {slots} slots", cells[0], growth, *cells[1:]))
    headers = (
        "workers",
        "jobs/s",
        "of one",
        "slots allow",
        "workers, cores",
        "Redis, cores",
        "gateway, cores",
        "connections",
    )
    return Table("Workers on one Redis, gateway 200 ms", headers, rows)


def _depths(results: Results) -> Table:
    rows = [
        (f"{waiting:,}", *(number(results.get(f"depth-{waiting}.smsq", figure)) for figure in (
            "bytes", "job_commands", "job_inner_commands", "job_redis_cpu_ms", "job_worker_cpu_ms")))
        for waiting in results.plan["sizes"]["depths"]
        if f"depth-{waiting}.smsq" in results.rounds
    ]  # fmt: skip
    headers = (
        "waiting jobs",
        "bytes each",
        "commands a job",
        "within scripts",
        "Redis CPU ms/job",
        "worker CPU ms/job",
    )
    return Table("A job's cost, by how many wait", headers, rows)


def _idle(results: Results) -> Table:
    cases = (("paused", "depth"), ("limited", "depth"), ("scheduled", "schedule"))
    words = {"paused": "lane paused", "limited": "limited to 20/s", "scheduled": "all scheduled for tomorrow"}
    figures = ("commands", "inner_commands", "us_per_script", "redis_cpu_ms", "worker_cpu_ms")
    rows = [
        (
            f"{words[case]}, {waiting:,}",
            *(number(results.get(f"{step}-{waiting}.smsq", f"{case}_{name}")) for name in figures),
        )
        for case, step in cases
        for waiting in results.plan["sizes"]["depths"]
        if f"{step}-{waiting}.smsq" in results.rounds
    ]
    headers = ("what waits", "commands/s", "within scripts/s", "µs a script", "Redis CPU ms/s", "worker CPU ms/s")
    return Table("A second of a worker that has nothing to call for", headers, rows)


def arithmetic(results: Results) -> list[Table]:
    """Returns the sums for ten million a day and a million in ten minutes; none if a figure for them is missing."""
    needed = {
        "cpu": results.get("drain-50.smsq", "cpu_ms"),
        "redis": results.get("drain-50.smsq", "redis_cpu_ms"),
        "enqueue": results.get("drain-50.smsq", "enqueue_redis_cpu_ms"),
        "enqueue_many": results.get("bulk-few.smsq", "redis_cpu_ms"),
        "waiting": results.get("kept.smsq", "waiting_bytes"),
        "finished": results.get("kept.smsq", "finished_bytes"),
        "many": results.get("bulk-few.smsq", "per_second"),
    }
    known = {name: value for name, value in needed.items() if value is not None}
    if len(known) < len(needed):
        return []
    average = _A_DAY / 86400
    cases = (
        (f"{_A_DAY:,} a day, at {_PEAK:g}× the average", average * _PEAK, "enqueue"),
        (f"{_BURST:,} in ten minutes", _BURST / _BURST_SECONDS, "enqueue_many"),
    )
    columns = [_sums(rate, known, known[way]) for _, rate, way in cases]
    rows = [(label, *(column[label] for column in columns)) for label in columns[0]]
    memory = [
        (
            f"{_A_DAY:,} a day, finished jobs kept for {days} day{'s' if days > 1 else ''}",
            number(_A_DAY * days * known["finished"] / 1e9, "GB"),
        )
        for days in _RETENTION_DAYS
    ]
    memory.append((f"{_BURST:,} waiting", number(_BURST * known["waiting"] / 1e9, "GB")))
    return [
        Table("What it takes", ("", *(label for label, *_ in cases)), rows),
        Table("Redis's memory", ("", "takes"), memory),
    ]


def _sums(rate: float, known: dict[str, float], enqueuing: float) -> dict[str, str]:
    """Returns what a rate takes; `enqueuing` is Redis's CPU for it, in ms a job."""
    in_flight = rate * _GATEWAY_MS / 1000
    cores = rate * known["cpu"] / 1000
    # One more than the calls need, so that one may be lost or restarted.
    workers = max(math.ceil(in_flight / _SLOTS), math.ceil(cores / _HEADROOM)) + 1
    redis = (known["redis"] + enqueuing) / 1000
    connections = workers * _WORKER_CONNECTIONS + _PRODUCERS * _PRODUCER_CONNECTIONS
    return {
        "messages a second": number(rate),
        f"calls in flight, gateway {_GATEWAY_MS:g} ms": number(in_flight),
        "workers' CPU, cores": number(cores),
        f"workers of {_SLOTS} slots, with one to spare": str(workers),
        "Redis's CPU for enqueuing and working off, cores": number(rate * redis),
        f"where one Redis is {_HEADROOM:.0%} busy, messages a second": number(_HEADROOM / redis),
        "enqueuing a million from one process": number(1e6 / known["many"], "s"),
        f"connections, with {_PRODUCERS} producer processes": str(connections),
        "`SMSQ_RATE_LIMIT` must allow": f"{math.ceil(rate)}/s",
    }


def bars(results: Results, contenders: Sequence[Contender]) -> dict[str, Any]:
    """Returns what the plot of the contenders shows."""
    found = [each for each in contenders if f"drain-0.{each.name}" in results.rounds]
    return {
        "labels": [each.label for each in found],
        "rates": [results.get(f"drain-0.{each.name}", "rate") for each in found],
        "rates_50": [results.get(f"drain-50.{each.name}", "rate") for each in found],
        "cpu": [results.get(f"drain-0.{each.name}", "cpu_ms") for each in found],
        "ours": next((index for index, each in enumerate(found) if each.name == "smsq"), 0),
    }


def curves(results: Results) -> dict[str, Any]:
    """Returns what the plot of the curves shows."""
    depths = [waiting for waiting in results.plan["sizes"]["depths"] if f"depth-{waiting}.smsq" in results.rounds]
    figures = ("job_commands", "job_inner_commands", "bytes")
    idle = ("redis_cpu_ms", "worker_cpu_ms")
    return {
        "waiting": depths,
        **{name: [results.get(f"depth-{waiting}.smsq", name) for waiting in depths] for name in figures},
        **{f"{case}_{name}": [results.get(f"{step}-{waiting}.smsq", f"{case}_{name}") for waiting in depths]
           for case, step in (("paused", "depth"), ("limited", "depth"), ("scheduled", "schedule")) for name in idle},
        "workers": {str(slots): [results.get(f"workers-{slots}-{count}.smsq", "rate") for count in (1, 2, 4)]
                    for slots in (100, 500)},
    }  # fmt: skip
