"""The command line: ``python -m tests.soak``, or ``make soak JOBS=10000 SEED=1``."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from smsq.durability import Durability
from tests.soak.faults import FAULTS
from tests.soak.mutants import MUTANTS
from tests.soak.plant import Plan
from tests.soak.run import soak
from tests.soak.tempo import LONG

_JOBS_PER_MINUTE = 850
_FAULTS_PER_MINUTE = 11
_POOLS: tuple[tuple[str, ...], ...] = (
    ("-c", "20"),
    ("-c", "20"),
    ("-P", "threads", "-c", "8"),
    ("-P", "prefork", "-c", "3"),
)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {name:18} {fault.what}" for name, fault in FAULTS.items())
    mutants = "\n".join(f"  {name:18} {mutant.what}" for name, mutant in MUTANTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Mixes faults at random under load, then compares what producers were promised, what the ledger "
        "says\nand what the gateway accepted. Exit code 0: nothing lost, twice, wrong or stuck; 1: something is.",
        epilog=f"faults:\n{kinds}\n\nmechanisms that can be taken out:\n{mutants}",
    )
    parser.add_argument("--jobs", type=_positive, default=10_000, help="messages to enqueue (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what messages and faults follow from (%(default)s)")
    parser.add_argument(
        "--minutes", type=float, help=f"for producers and faults (a minute for {_JOBS_PER_MINUTE} jobs)"
    )
    parser.add_argument("--faults", type=_positive, help=f"how many ({_FAULTS_PER_MINUTE} a minute)")
    parser.add_argument("--kinds", nargs="+", choices=FAULTS, metavar="KIND", help="which (all)")
    parser.add_argument(
        "--durability", type=Durability, choices=[Durability.MEMORY, Durability.DISK],
        help="SMSQ_DURABILITY (memory for even seeds, disk for odd ones)",
    )  # fmt: skip
    parser.add_argument("--mutant", choices=MUTANTS, metavar="NAME", help="run without a mechanism")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    mutant = MUTANTS[given.mutant] if given.mutant else None
    minutes = given.minutes or max(1.0, given.jobs / _JOBS_PER_MINUTE)
    return Plan(
        seed=given.seed,
        jobs=given.jobs,
        faults=given.faults or round(minutes * _FAULTS_PER_MINUTE),
        kinds=tuple(given.kinds or (mutant.faults if mutant else FAULTS)),
        seconds=minutes * 60,
        durability=given.durability or (Durability.DISK if given.seed % 2 else Durability.MEMORY),
        tempo=LONG,
        pools=(mutant and mutant.pools) or _POOLS,
        mutant=given.mutant,
    )


def main() -> int:
    """Runs the command and returns its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C does: the processes are ended first
    plan = _plan(_parser().parse_args())
    folder = Path(tempfile.mkdtemp(prefix="smsq-soak-"))
    report = soak(plan, folder, lambda line: print(line, file=sys.stderr, flush=True))
    print(report.as_text())
    if report.clean:
        shutil.rmtree(folder)
        return 0
    print(f"books and logs are in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
