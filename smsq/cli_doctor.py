"""The commands for those who watch: `doctor` and `probe`."""

import argparse
from collections.abc import Callable
from typing import Final

from smsq.cli_arguments import Parser, identifier, seconds
from smsq.cli_output import Exit, complain, print_json, print_line
from smsq.doctor import DoctorSettings, examine
from smsq.probe import STALLED, probe, read_health
from smsq.settings import Settings

_WIDTH: Final = 12


def add(command: Callable[[str, str], Parser]) -> None:
    """Adds the commands.

    Args:
        command: Makes a command's parser, of its name and what it does.
    """
    _add_doctor(command("doctor", "Checks Redis, the gateway, the clocks and the workers, and says what to do"))
    _add_probe(command("probe", "Tells whether a worker consumes: for health checks"))


def _add_doctor(parser: Parser) -> None:
    parser.set_defaults(run=_doctor)


def _add_probe(parser: Parser) -> None:
    parser.set_defaults(run=_probe)
    parser.add_argument(
        "--worker", type=identifier, metavar="NAME", help="Celery's name for it (default: any worker of this host)"
    )
    parser.add_argument(
        "--stalled",
        type=seconds,
        default=STALLED,
        metavar="SECONDS",
        help=f"how long it may do nothing though it should (default: {STALLED:.0f})",
    )


def _doctor(args: argparse.Namespace) -> Exit:
    examined = examine(DoctorSettings.load())
    for each in examined.findings:
        if args.json:
            print_json({"check": each.name, "verdict": each.verdict, "text": each.text})
        else:
            print_line(f"{each.name:<{_WIDTH}} {each.verdict:<4}  {each.text}")
    if examined.unreachable:
        return Exit.UNREACHABLE
    return Exit.FAILED if any(each.verdict == "fail" for each in examined.findings) else Exit.DONE


def _probe(args: argparse.Namespace) -> Exit:
    probed = probe(read_health(Settings.load()), args.worker, limit=args.stalled)
    name = "" if probed.worker is None else f"{probed.worker}: "
    if args.json:
        print_json({"worker": probed.worker, "consumes": probed.complaint is None, "reason": probed.complaint})
    elif probed.complaint is None:
        print_line(f"{name}it consumes")
    if probed.complaint is None:
        return Exit.DONE
    complain(f"{name}{probed.complaint}")
    return Exit.FAILED
