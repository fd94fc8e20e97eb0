"""The command line: ``python -m bench``, or ``make bench QUICK=1 ROUNDS=3 JOBS=6000 PEERS="smsq saq"``."""

import argparse
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import report
from bench.contenders import BY_NAME, Contender
from bench.drain import Figures
from bench.environments import HOME, python_of
from bench.plan import PARTS, QUICK, Plan, Sizes, Step, steps
from bench.processes import ROOT, MeasurementError
from bench.progress import Steps
from bench.store import Results, Store

_DONE, _FAILED, _INTERRUPTED = 0, 1, 130
_ROUNDS: Final = 3
#: Characters in a line when nobody watches.
_PLAIN_WIDTH: Final = 170


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures smsq beside other queues, prints tables, and writes docs/performance.md and "
        "docs/scaling.md after a whole run. A run that was stopped goes on where it was.",
        epilog=f"peers: {' '.join(BY_NAME)}",
    )
    what = ("run", "scale", "fair", "report")
    parser.add_argument("what", nargs="?", choices=what, default="run", help="run measures all (%(default)s)")
    parser.add_argument(
        "--quick", action="store_true", help="few jobs, one round, no scale: minutes; writes no document"
    )
    parser.add_argument("--rounds", type=_positive, help=f"how often each contender is measured ({_ROUNDS})")
    parser.add_argument("--jobs", type=_positive, help=f"jobs of one drain ({Sizes().jobs})")
    parser.add_argument("--peers", nargs="+", choices=BY_NAME, metavar="PEER", help="who is measured (all)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what is measured (all)")
    parser.add_argument("--no-aof", action="store_true", help="Redis without its append-only file")
    parser.add_argument("--results", type=Path, default=HOME / "results", help="where results are kept")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where `report` finds the documents")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    sizes = QUICK if given.quick else Sizes()
    parts: tuple[str, ...] = (given.what,) if given.what in PARTS else PARTS
    if given.quick and given.what == "run":
        parts = tuple(part for part in parts if part != "scale")
    return Plan(
        parts=tuple(given.parts or parts),
        peers=tuple(given.peers or BY_NAME),
        rounds=given.rounds or (1 if given.quick else _ROUNDS),
        sizes=replace(sizes, jobs=given.jobs) if given.jobs else sizes,
        appendonly=not given.no_aof,
    )


def _install(plan: Plan, store: Store, console: Console) -> list[Contender]:
    """Makes the environments; who can't be installed is named, here and in the report, and left out."""
    present = []
    for contender in plan.contenders:
        step = Step(f"install.{contender.name}", 1, contender, partial(_installed, contender))
        outcome = _measure(step, store)
        if store.has(step):
            present.append(contender)
        else:
            console.print(f"left out: {contender.label}: {outcome}", markup=False)
    return present


def _installed(contender: Contender) -> Figures:
    python_of(contender)
    return {}


def _measure(step: Step, store: Store) -> str:
    """Makes one measurement, keeps it, and returns a line about it."""
    try:
        figures = step.measure()
    except (MeasurementError, OSError, ValueError) as error:  # one contender's failure isn't the others'
        store.put(step, error=f"{type(error).__name__}: {error}")
        return f"failed: {error}"
    store.put(step, figures=figures)
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _run(plan: Plan, store: Store, console: Console) -> None:
    if store.open(plan):
        console.print(f"going on with the run in {store.folder}", markup=False)
    present = _install(plan, store, console)
    todo = [step for step in steps(plan, present) if not store.has(step)]
    with Steps(console, len(todo)) as shown:
        for step in todo:
            shown.begin(step.name)
            shown.end(step.name, _measure(step, store))
    store.finish()


def main() -> int:
    """Runs the command.

    Returns:
        The exit code: 0 when everything was measured, 1 when something failed, 130 when interrupted.
    """
    given = _parser().parse_args()
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)  # as Ctrl-C does: the processes are ended first
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    folder = given.results if given.what in ("run", "report") else given.results.with_name(f"results-{given.what}")
    try:
        if given.what == "report":
            report.write(Results.read(given.results), given.docs)
            return _DONE
        _run(_plan(given), Store(folder), console)
        results = Results.read(folder)
        report.show(results, console)
        if given.what == "run" and not (given.quick or given.peers or given.parts or given.no_aof):
            report.write(results, given.docs)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return _INTERRUPTED
    except FileNotFoundError as error:
        console.print(f"no such file: {error.filename}; `python -m bench` measures first", markup=False)
        return _FAILED
    except MeasurementError as error:
        console.print(f"the documents aren't written: {error}; `python -m bench report` tries again", markup=False)
        return _FAILED
    return _FAILED if results.errors else _DONE


if __name__ == "__main__":
    sys.exit(main())
