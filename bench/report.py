"""From results to tables, documents and plots."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import goals, scaling
from bench.contenders import BY_NAME
from bench.environments import PLOT_PACKAGES, python_with
from bench.fair import CASES
from bench.plan import LATENCIES
from bench.processes import ROOT, MeasurementError
from bench.store import Results
from bench.tables import Table, number, times

_BEGIN, _END = "<!-- measured: written by `python -m bench report` -->", "<!-- measured: end -->"

_BARS = "![jobs a second and CPU a job](performance.svg)"
_CURVES = "![what waits, and what it costs; workers and throughput](scaling.svg)"


def show(results: Results, console: Console) -> None:
    """Prints what was measured, and what failed."""
    for table in (*performance(results), *scaling.tables(results)):
        if table.rows:
            table.show(console)
    for step, error in results.errors.items():
        console.print(f"failed: {step}: {_short(error)}", markup=False)


def write(results: Results, docs: Path) -> None:
    """Writes the measured parts of the documents, and their plots.

    Args:
        results: What was measured.
        docs: The folder of `performance.md` and `scaling.md`.

    Raises:
        MeasurementError: The plots can't be drawn.
    """
    _replace(
        docs / "performance.md",
        [_conditions(results), _BARS, *map(_section, performance(results)), *_failures(results)],
    )
    arithmetic = scaling.arithmetic(results)
    parts = [_section(table) for table in (*scaling.tables(results), *arithmetic) if table.rows]
    _replace(docs / "scaling.md", [_conditions(results), _CURVES, *parts])
    _plot(scaling.bars(results, [BY_NAME[name] for name in results.plan["peers"]]), "bars", docs / "performance.svg")
    _plot(scaling.curves(results), "curves", docs / "scaling.svg")


def performance(results: Results) -> list[Table]:
    """Returns the tables of `performance.md`."""
    return [table for table in (goals.table(results), *_contenders(results), _fair(results)) if table.rows]


def _contenders(results: Results) -> list[Table]:
    """Returns the tables with a row for each contender."""
    names = [name for name in results.plan["peers"] if f"drain-0.{name}" in results.rounds]
    drains = [
        (
            BY_NAME[name].label,
            number(results.get(f"drain-0.{name}", "rate")),
            times(results.ratio(f"drain-0.{name}", "rate", "drain-0.saq-uvloop", "rate")),
            number(results.get(f"drain-50.{name}", "rate")),
            times(results.ratio(f"drain-50.{name}", "rate", "drain-50.bare", "rate")),
            number(results.get(f"drain-0.{name}", "cpu_ms")),
            times(results.ratio(f"drain-0.{name}", "cpu_ms", "drain-0.saq-uvloop", "cpu_ms")),
            number(results.get(f"drain-0.{name}", "rss_mb")),
            number(max(results.most(f"drain-{latency}.{name}", "twice") or 0.0 for latency in LATENCIES)),
        )
        for name in names
    ]
    queued = [name for name in results.plan["peers"] if BY_NAME[name].queued]
    messages = [
        (
            BY_NAME[name].label,
            number(results.get(f"drain-0.{name}", "enqueue_p50")),
            number(results.get(f"drain-0.{name}", "enqueue_p99")),
            number(results.get(f"drain-0.{name}", "enqueue_per_second")),
            number(results.get(f"bulk-few.{name}", "per_second")),
            number(results.get(f"pickup.{name}", "p50")),
            number(results.get(f"pickup.{name}", "p99")),
            number(results.get(f"kept.{name}", "waiting_bytes")),
            number(results.get(f"kept.{name}", "finished_bytes")),
        )
        for name in queued
        if {f"drain-0.{name}", f"pickup.{name}", f"kept.{name}"} & results.rounds.keys()
    ]
    return [
        Table(
            "Working off a backlog, 100 in flight",
            ("", "jobs/s, gateway at once", "of SAQ on uvloop", "jobs/s, 50 ms", "of the bare call",
             "worker CPU ms/job", "of SAQ on uvloop", "RSS MB", "sent twice"),
            drains,
        ),
        Table(
            "Enqueuing, idle pick-up, and Redis's memory",
            ("", "enqueue p50 ms", "p99 ms", "enqueue/s", "in bulk/s", "pick-up p50 ms", "p99 ms",
             "waiting job B", "finished job B"),
            messages,
        ),
    ]  # fmt: skip


def _fair(results: Results) -> Table:
    rows = [
        (case.label, *(number(results.get(step, figure)) for figure in ("p50", "p99", "longest", "missing")),
         number(results.get(step, "bulk_meanwhile")))
        for name, case in CASES.items()
        if (step := f"fair-{name}.smsq") in results.rounds
    ]  # fmt: skip
    headers = ("lane and situation", "p50 ms", "p99 ms", "longest ms", "never came", "bulk calls meanwhile")
    return Table("One worker, a campaign waits: from `enqueue` to the gateway", headers, rows)


def _conditions(results: Results) -> str:
    machine, sizes = results.machine, results.plan["sizes"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in _MACHINE)
    file = "with an append-only file" if results.plan["appendonly"] else "without an append-only file"
    return (
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memory']}, "
        f"{machine['system']}; {versions}; Redis {file}. {sizes['jobs']:,} jobs a drain; "
        f"{results.plan['rounds']} rounds, of which medians, and ratios within a round."
    )


_MACHINE = {"date", "processor", "cores", "memory", "system"}


def _section(table: Table) -> str:
    return f"### {table.title}\n\n{table.markdown()}"


def _failures(results: Results) -> list[str]:
    lines = [f"- {step}: {_short(error)}" for step, error in sorted(results.errors.items())]
    return ["### What failed\n\n" + "\n".join(lines)] if lines else []


def _short(error: str) -> str:
    """Returns an error's beginning and its last line, where a log says what it came to."""
    first, *rest = error.splitlines()
    return f"{first[:80]} … {rest[-1][:80]}" if rest else first[:160]


def _replace(document: Path, parts: list[str]) -> None:
    """Puts the measured part into a document, between its markers."""
    text = document.read_text(encoding="utf-8")
    if _BEGIN not in text or _END not in text:
        raise MeasurementError(f"{document} has no place for what was measured: {_BEGIN} … {_END}")
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    document.write_text(f"{head}{_BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{_END}{tail}", encoding="utf-8")


def _plot(data: dict[str, Any], kind: str, picture: Path) -> None:
    """Draws a picture, in an environment that has what draws."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(data, file)
        file.flush()
        command = [python_with("plot", PLOT_PACKAGES), "-m", "bench.plot", kind, file.name, str(picture)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MeasurementError(f"{picture.name} can't be drawn: {ended.stderr[-300:]}")
