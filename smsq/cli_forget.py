"""`smsq forget`: erases a person from the ledger."""

import argparse
from collections.abc import Callable
from typing import Final

from smsq.cli_arguments import Parser
from smsq.cli_output import Exit, complain, print_json, print_rows
from smsq.errors import InvalidSms
from smsq.ledger import Erased
from smsq.operate import Operator
from smsq.recipient import canonical_recipient
from smsq.settings import Settings

_LEFT: Final = {
    "waiting": "waiting to be sent; --waiting cancels them",
    "under_way": "being sent, or asked about; give the command again later",
    "unusable": "a record that can't be used; see smsq parked",
    "locked": "encrypted with a key that isn't in SMSQ_ENCRYPTION_KEY here, so whose it is can't be told",
}


def add(command: Callable[[str, str], Parser]) -> None:
    """Adds the command.

    Args:
        command: Makes a command's parser, of its name and its purpose.
    """
    parser = command("forget", "Erases a phone number and its texts from the records of jobs that have ended")
    parser.set_defaults(run=_forget)
    parser.add_argument("number", metavar="NUMBER", help="the number, as for smsq send")
    parser.add_argument("--waiting", action="store_true", help="cancel what waits for this number, and erase it too")


def _forget(args: argparse.Namespace) -> Exit:
    try:
        number = canonical_recipient(args.number)
    except ValueError as error:
        raise InvalidSms({"NUMBER": str(error)}) from None
    operator = Operator(Settings.load())
    try:
        erased = operator.erase(number, cancel_waiting=args.waiting)
    finally:
        operator.close()
    return _show(erased, as_json=args.json)


def _show(erased: Erased, *, as_json: bool) -> Exit:
    """Prints the counts, and says what is left; then the number isn't forgotten yet."""
    counts: dict[str, object] = {"erased": erased.erased, "cancelled": erased.cancelled}
    if as_json:
        left = {"waiting": erased.waiting, "underWay": erased.under_way, "unusable": erased.unusable}
        print_json(counts | left | {"locked": erased.locked})
    else:
        print_rows(counts)
    for name, why in _LEFT.items():
        if count := getattr(erased, name):
            complain(f"{'1 job was' if count == 1 else f'{count} jobs were'} left alone: {why}")
    return Exit.FAILED if erased.left else Exit.DONE
