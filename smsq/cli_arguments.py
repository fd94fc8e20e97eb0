"""How `smsq` reads its arguments. What was typed is never repeated: it may be a phone number or a message's text."""

import argparse
import re
from datetime import UTC, datetime
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

from smsq.errors import InvalidSms
from smsq.privacy import redact


class UsageError(Exception):
    """The arguments don't form a command; the text is the line to print."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError`, in one line and without what was typed."""

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print.

        Args:
            message: argparse's words. A value that they repeat is in quotes; only the possible choices come after it.

        Raises:
            UsageError: Always.
        """
        words = re.split(r":? ['\"]", message.removeprefix("argument "), maxsplit=1)[0]
        _, found, choices = message.rpartition(" (choose from ")
        if found:
            words += f", must be one of {choices.rstrip(')').translate(_NO_QUOTES)}"
        raise UsageError(f"{words} (see {self.prog} --help)")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the process after `--help` and `--version`, once what they print is out: a closed pipe shows here."""
        print(end="", flush=True)
        super().exit(status, message)


_NO_QUOTES: Final = {ord("'"): None}
_SECONDS_IN: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_TIME_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)")
_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}.*")
_GATEWAY_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST_LINE: Final = 200


def seconds(word: str) -> float:
    """Reads a time span: ``90``, ``90s``, ``1.5m``, ``2h``.

    Returns:
        The seconds.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (span := _TIME_SPAN.fullmatch(word)):
        raise argparse.ArgumentTypeError("must be a number of seconds, or one with its unit such as 90s, 3m or 2h")
    return float(span[1]) * _SECONDS_IN[span[2]]


def moment(word: str) -> datetime:
    """Reads a date and time in ISO 8601, such as ``2026-12-01T10:00+05:00``. A date alone says no time, so it is none.

    Returns:
        The moment; naive if it was given without an offset.

    Raises:
        ArgumentTypeError: It is none, or the calendar doesn't have it.
    """
    if not _DATE_AND_TIME.fullmatch(word):
        raise argparse.ArgumentTypeError(
            "must be a date and time such as 2026-12-01T10:00:00+05:00; without an offset it is in SMSQ_TIMEZONE"
        )
    try:
        return datetime.fromisoformat(word)
    except ValueError:
        raise argparse.ArgumentTypeError("isn't a date and time that the calendar has, or has a wrong offset") from None


def gateway_id(word: str) -> int:
    """Reads one of the gateway's ids.

    Raises:
        ArgumentTypeError: It isn't a whole number above 0 and below 2 to the 63rd.
    """
    if not _GATEWAY_ID.fullmatch(word) or int(word) >= 2**63:
        raise argparse.ArgumentTypeError("must be a whole number above 0, as the gateway gave it")
    return int(word)


def identifier(word: str) -> str:
    """Reads a job's id or a batch's name, whatever it looks like: Redis knows which exist.

    Raises:
        ArgumentTypeError: It isn't text: the bytes on the command line weren't UTF-8.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("isn't UTF-8") from None
    return word


def wanted(word: str) -> str:
    """Reads what a list is filtered by.

    Raises:
        ArgumentTypeError: It is empty, as a variable that isn't set, and would fit everything; or isn't UTF-8.
    """
    if not word:
        raise argparse.ArgumentTypeError("must not be empty")
    return identifier(word)


def number(word: str) -> int:
    """Reads how many results are wanted.

    Raises:
        ArgumentTypeError: It isn't a whole number above 0 of nine digits at most.
    """
    if not _NUMBER.fullmatch(word):
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return int(word)


def one_line_text(word: str) -> str:
    """Reads a reason that operators give. It is shown in lists and logs, so numbers as long as phones' are masked.

    Raises:
        ArgumentTypeError: It isn't one line of 1 to 200 characters.
    """
    if not (1 <= len(word) <= _LONGEST_LINE and word.isprintable() and word.strip()):
        raise argparse.ArgumentTypeError(f"must be one line of 1 to {_LONGEST_LINE} characters")
    return redact(word.strip())


def standard_input() -> str:
    """Reads a message's text from standard input, without the line break that `echo` and editors put at its end.

    Raises:
        InvalidSms: There is no standard input, or it isn't UTF-8.
    """
    try:
        with open(0, "rb", closefd=False) as stream:
            text = stream.read().decode()
    except (OSError, UnicodeDecodeError):
        raise InvalidSms({"text": "can't be read from standard input, which must be UTF-8"}) from None
    return re.sub(r"\r?\n\Z", "", text)


def in_zone(when: datetime, zone: ZoneInfo) -> datetime:
    """Gives a naive moment its zone, by the rule of `smsq.deferral`: of an hour that comes twice, the first is meant.

    Args:
        when: The moment; an aware one is left as it is.
        zone: The account's zone.

    Returns:
        The moment, aware.

    Raises:
        InvalidSms: A clock change skips the moment, or it is too far to be converted.
    """
    if when.tzinfo is not None:
        return when
    local = when.replace(tzinfo=zone)
    try:
        exists = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == when
    except OverflowError:  # the first and last days that a datetime can hold
        raise InvalidSms({"send_at": "is out of the calendar's range"}) from None
    if not exists:
        raise InvalidSms({"send_at": "doesn't exist: a clock change skips this time, so give an earlier or later one"})
    return local
