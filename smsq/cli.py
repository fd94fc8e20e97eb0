"""The command `smsq`: reads arguments, runs one command, and turns what it raises into lines and an exit code.

The commands are in `smsq.cli_send`, `smsq.cli_operate`, `smsq.cli_forget`, `smsq.cli_top` and `smsq.cli_doctor`, each a
function that takes the parsed arguments and returns its exit code. Results and errors are printed as `smsq.cli_output`
says.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from smsq import cli_doctor, cli_forget, cli_operate, cli_send, cli_top
from smsq.cli_arguments import Parser, UsageError
from smsq.cli_output import (
    Exit,
    complain,
    drop_output,
    print_anything,
)
from smsq.errors import ConfigurationError, IdempotencyConflict, InvalidSms, QueueUnavailable

#: How options are called where `SmsQueue` has another name for them.
_OPTION: Final = {
    "batch_id": "--batch",
    "expires_in": "--expires-in",
    "idempotency_key": "--key",
    "lane": "--lane",
    "on_unknown": "--on-unknown",
    "send_at": "--send-at",
}

_CODES: Final = """\
exit codes: 0 done; 1 the job ended without being sent, wasn't final in time, couldn't be stopped or retried, or isn't
known; 2 the input is wrong; 3 Redis can't be reached. Errors go to standard error, one line each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments; None takes the process's own.

    Returns:
        The process's exit code (`smsq.cli_output.Exit`).
    """
    print_anything()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return Exit.CLOSED_PIPE
    except OSError as error:  # Redis's are `QueueUnavailable`; this is a full disk under standard output
        drop_output()
        complain(f"the result can't be written: {error.strerror}")
        return Exit.FAILED


def _run(argv: Sequence[str]) -> int:
    """Runs one command; what it raises on purpose becomes lines and an exit code."""
    try:
        args = _parse(argv)
        return int(args.run(args))
    except UsageError as error:
        complain(str(error))
    except InvalidSms as error:
        for field, rule in error.errors.items():
            complain(f"{_OPTION.get(field, field)}: {rule}")
    except ConfigurationError as error:
        for problem in error.problems:
            complain(problem)
    except IdempotencyConflict as error:
        complain(f"--key: {error}")
    except QueueUnavailable as error:
        complain(str(error))
        return Exit.UNREACHABLE
    return Exit.WRONG_INPUT


# -- arguments


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    words = cli_send.with_wait(argv)
    args, unknown = _parser().parse_known_args(words)
    if unknown:
        # Named by its number, for it may be the text. The last that is equal: those before it have been understood.
        number = max(number for number, word in enumerate(words, start=1) if word == unknown[0])
        what = "no such option" if unknown[0].startswith("-") else "one too many; a text in several words needs quotes"
        raise UsageError(f"argument {number}: {what} (see smsq {args.command} --help)")
    return args


def _parser() -> Parser:
    parser = Parser(
        prog="smsq",
        description="Sends SMS through a queue, looks them up, and operates the queue.",
        epilog=_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"smsq {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    every = Parser(add_help=False)
    every.add_argument("--json", action="store_true", help="print one line of JSON per result")

    def command(name: str, purpose: str) -> Parser:
        return commands.add_parser(
            name, parents=[every], help=purpose, description=f"{purpose}.", epilog=_CODES, allow_abbrev=False
        )

    for each in (cli_send, cli_operate, cli_forget, cli_top, cli_doctor):
        each.add(command)
    return parser


def _version() -> str:
    try:
        return metadata.version("smsq")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
