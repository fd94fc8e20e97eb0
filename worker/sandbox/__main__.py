"""The command line: ``python -m worker.sandbox --port N``."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from worker.sandbox import recipients
from worker.sandbox.flags import zone
from worker.sandbox.gateway import Account
from worker.sandbox.server import serve

EXIT_UNUSABLE_ADDRESS: Final = 3
"""The address can't be listened on."""

_MOST_PORTS: Final = 65_535


def _zone(name: str) -> ZoneInfo:
    try:
        return zone(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= _MOST_PORTS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {_MOST_PORTS}")
    return int(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.sandbox", description="A gateway to test against: speaks Mobizon's API, sends nothing."
    )
    parser.add_argument("--port", type=_port, default=8090, help="port to listen on, 0 for a free one (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--timezone", type=_zone, default=zone("Asia/Almaty"), help="the account's (%(default)s)")
    parser.add_argument(
        "--api-key", metavar="KEY", help="the one key that is accepted; without it any that isn't empty"
    )
    parser.add_argument(
        "--sender",
        action="append",
        metavar="NAME",
        help="a registered signature, the first one is the default; may be repeated (Brand)",
    )
    parser.add_argument("--recipients", action="store_true", help="print the recipients that misbehave, and end")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The command line after the program's name; by default this process's.

    Returns:
        The exit code.
    """
    wanted = _parser().parse_args(arguments)
    if wanted.recipients:
        print(recipients.as_text())
        return 0
    account = Account(api_key=wanted.api_key, senders=wanted.sender or ["Brand"], zone=wanted.timezone)
    try:
        asyncio.run(serve(account, wanted.host, wanted.port))
    except OSError as error:
        print(f"cannot listen on {wanted.host}, port {wanted.port}: {error.strerror}", file=sys.stderr)
        return EXIT_UNUSABLE_ADDRESS
    return 0


if __name__ == "__main__":
    sys.exit(main())
