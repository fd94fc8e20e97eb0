"""The bench runs, and its results become tables, documents and plots' data."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from bench import report, scaling
from bench.contenders import CONTENDERS, SMSQ
from bench.drain import Figures
from bench.fair import CASES
from bench.plan import PARTS, Plan, Sizes, Step, steps
from bench.store import Results, Store
from tests.support.sandbox import ROOT

if TYPE_CHECKING:
    from bench.tables import Table

#: What the smallest run leaves out is filled with made-up figures, so that each table has all its rows.
_MADE_UP = dict.fromkeys(("rate", "cpu_ms", "redis_cpu_ms", "rss_mb", "enqueue_p50", "enqueue_p99", "p99"), 1.5)


def _bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_smallest_run_measures(tmp_path: Path) -> None:
    """Ours alone, one round: every figure is there, nothing is lost or sent twice, and the tables are printed."""
    folder = tmp_path / "results"
    ran = _bench("--quick", "--jobs", "200", "--parts", "drain", "--peers", "smsq", "--results", str(folder))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = Results.read(folder)
    assert results.rounds.keys() == {"install.smsq", "drain-0.smsq", "drain-50.smsq"}
    for step in ("drain-0.smsq", "drain-50.smsq"):
        [figures] = results.rounds[step]
        assert figures["done"] == figures["wanted"] == 220
        assert figures["twice"] == 0
        assert {"rate", "rss_mb", "enqueue_p50", "enqueue_p99", "enqueue_per_second"} <= figures.keys()
    for words in ("drain, gateway 50 ms", "Working off a backlog", "Enqueuing, idle pick-up"):
        assert words in ran.stdout
    assert json.loads((folder / "plan.json").read_text())["finished"]


@pytest.fixture
def plan() -> Plan:
    """The plan of a whole run, with one round."""
    return Plan(PARTS, tuple(each.name for each in CONTENDERS), 1, Sizes())


def _measured(plan: Plan, folder: Path) -> Results:
    """The results of a whole run, made up."""
    store = Store(folder)
    assert not store.open(plan)
    for step in steps(plan, CONTENDERS):
        store.put(step, figures=_MADE_UP | dict.fromkeys(_figures_of(step), 2.0))
    return Results.read(folder)


def _figures_of(step: Step) -> list[str]:
    kinds = ("paused", "limited", "scheduled")
    each = ("commands", "inner_commands", "all_commands", "us_per_script", "redis_cpu_ms", "worker_cpu_ms")
    by_kind = {
        "kept": ["waiting_bytes", "finished_bytes"],
        "bulk": ["per_second", "peak_mb"],
        "steady": ["rss_first_mb", "rss_last_mb"],
        "workers": ["possible", "worker_cores", "redis_cores", "gateway_cores", "clients"],
        "depth": ["bytes", *(f"job_{name}" for name in each), *(f"{kind}_{name}" for kind in kinds for name in each)],
        "schedule": ["bytes", *(f"scheduled_{name}" for name in each)],
        "fair": ["longest", "missing", "bulk_meanwhile"],
        "drain": ["enqueue_per_second", "enqueue_redis_cpu_ms"],
        "pickup": ["p50"],
    }
    return ["p50", *by_kind.get(step.name.split("-")[0].split(".")[0], [])]


def test_whole_results_fill_every_table(plan: Plan, tmp_path: Path) -> None:
    """Each table has its rows, each row as many cells as there are headers; each goal has a verdict."""
    results = _measured(plan, tmp_path / "results")
    goals, drains, messages, fair = report.performance(results)
    shapes: list[tuple[Table, int]] = [(drains, len(CONTENDERS)), (messages, len(CONTENDERS) - 1), (fair, len(CASES))]
    workers, depths, idle = scaling.tables(results)
    shapes += [(workers, 6), (depths, 4), (idle, 12)]
    for table, rows in shapes:
        assert len(table.rows) == rows, table.title
    for table in (goals, drains, messages, fair, workers, depths, idle, *scaling.arithmetic(results)):
        assert {len(row) for row in table.rows} == {len(table.headers)}, table.title
    assert {row[-1] for row in goals.rows} <= {"yes", "**no**"}
    passing = [row[-1] for row in goals.rows if "past" in row[0]]
    assert passing == ["**no**"] * 6  # made up: some never came
    assert json.dumps(scaling.bars(results, CONTENDERS))
    assert None not in scaling.curves(results)["job_commands"]


def test_what_failed_is_told_and_tried_again(plan: Plan, tmp_path: Path) -> None:
    """A stopped run goes on: what was measured stays, what failed is measured again, and the report names it."""
    store = Store(tmp_path / "results")
    store.open(plan)
    good = Step("drain-0.smsq", 1, SMSQ, Figures)
    bad = Step("pickup.smsq", 1, SMSQ, Figures)
    store.put(good, figures=_MADE_UP)
    store.put(bad, error="MeasurementError: no message arrived\nat the gateway")
    assert store.open(plan)
    assert store.has(good)
    assert not store.has(bad)
    console = Console(width=200, record=True, quiet=False)
    report.show(Results.read(store.folder), console)
    assert "failed: pickup.smsq: MeasurementError: no message arrived … at the gateway" in console.export_text()
    store.finish()
    assert not store.open(plan)  # a finished run is kept beside, and a new one begins
    assert len(list(tmp_path.iterdir())) == 2


def test_documents_have_a_place_for_what_is_measured(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`report` replaces what stands between the markers and leaves the words around it alone."""
    drawn: list[Any] = []
    monkeypatch.setattr(report, "_plot", lambda _, kind, picture: drawn.append((kind, picture.name)))
    for name in ("performance.md", "scaling.md"):
        words = (ROOT / "docs" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(f"{words}\nWords after it.\n", encoding="utf-8")
    results = _measured(plan, tmp_path / "results")
    report.write(results, tmp_path)
    once = [(tmp_path / name).read_text(encoding="utf-8") for name in ("performance.md", "scaling.md")]
    report.write(results, tmp_path)
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("performance.md", "scaling.md")] == once
    assert all(text.startswith("# ") and text.endswith("\nWords after it.\n") for text in once)
    assert "| drain, gateway at once |" in once[0]
    assert "### What it takes" in once[1]
    assert drawn == [("bars", "performance.svg"), ("curves", "scaling.svg")] * 2
