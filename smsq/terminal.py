"""What every command of `smsq` has in common: exit codes, arguments that are read from words, and what is printed.

Results go to standard output, as aligned rows or, with ``--json``, as one line of JSON each. Errors go to standard
error, one line each, and never repeat what was typed: it may be a phone number or a message's text.
"""

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, NoReturn


class Exit(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    """It did what was asked; a job that it shows was sent or is under way."""
    FAILED = 1
    """The job ended without being sent, wasn't final in time, couldn't be stopped, or isn't known."""
    WRONG_INPUT = 2
    """An argument, the message or a setting breaks a rule; nothing was done."""
    UNREACHABLE = 3
    """A service didn't answer in time; the same command can be given again."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells say it."""
    CLOSED_PIPE = 141
    """Who read the output has left: 128 and the number of SIGPIPE."""


class UsageError(Exception):
    """The arguments don't form a command; the text is the line to print."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError`, in one line and without what was typed."""

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print.

        Args:
            message: argparse's words. Where they go on to repeat a value, it is in quotes and comes last.

        Raises:
            UsageError: Always.
        """
        words = re.split(r":? ['\"]", message.removeprefix("argument "), maxsplit=1)[0]
        raise UsageError(f"{words} (see {self.prog} --help)")


_SECONDS_IN: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_TIME_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)")
_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}.*")
_GATEWAY_ID: Final = re.compile(r"[1-9][0-9]{0,18}")


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
        ArgumentTypeError: It isn't a whole number above 0 of 19 digits at most.
    """
    if not _GATEWAY_ID.fullmatch(word):
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


def print_json(result: Mapping[str, Any]) -> None:
    """Prints one result as a line of JSON, in ASCII so that no terminal's or pipe's encoding can harm it."""
    print(json.dumps(result), flush=True)


def print_rows(rows: Mapping[str, object]) -> None:
    """Prints one result for people: a row for each name that has a value, in two columns."""
    width = max(map(len, rows)) + 2
    lines = [f"{name:<{width}}{one_line(str(value))}" for name, value in rows.items() if value is not None]
    print("\n".join(lines), flush=True)


def complain(line: str) -> None:
    """Prints one line to standard error."""
    print(one_line(line), file=sys.stderr, flush=True)


def one_line(words: str) -> str:
    """Returns the same words on one line, without characters that would steer a terminal: some come from outside."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(words.split()))


def print_anything() -> None:
    """Has the standard streams escape what their encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Sends to nowhere what is left in standard output's buffer: at exit, Python would try to write it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
