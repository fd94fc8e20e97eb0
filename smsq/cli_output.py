"""What `smsq` prints, and its exit codes.

Results go to standard output, as aligned rows or, with ``--json``, as one line of JSON each. Errors go to standard
error, one line each. Names are the API's where it has one.
"""

import io
import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from smsq.batch import Batch
from smsq.job import Job
from smsq.segments import Segments, measure
from smsq.states import State

#: Characters that force UCS-2 and are named; of a Cyrillic text, nobody wants to read all.
_NAMED: Final = 8

_STATUS: Final = {1: "waits for moderation", 2: "sent"}


class Exit(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    """It did what was asked; a job that it shows was sent or is under way."""
    FAILED = 1
    """The job ended without being sent, wasn't final in time, couldn't be stopped, or isn't known."""
    WRONG_INPUT = 2
    """An argument, the message or a setting breaks a rule; nothing was done."""
    UNREACHABLE = 3
    """Redis didn't answer in time. Given again, every command is safe; `send` is with a `--key`."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells say it."""
    CLOSED_PIPE = 141
    """Who read the output has left: 128 and the number of SIGPIPE."""


def outcome(job: Job) -> Exit:
    """Returns the exit code that a job's state stands for, and says why if it isn't 0."""
    if not job.state.final or job.state is State.SENT:
        return Exit.DONE
    complain(f"the job ended as {job.state}" + (f": {job.error}" if job.error else ""))
    return Exit.FAILED


def not_known(what: str) -> Exit:
    """Says that there is no such job or batch, and returns the exit code for that."""
    complain(f"the {what} isn't known: it never was, or is older than SMSQ_RETENTION_DAYS")
    return Exit.FAILED


def show_job(job: Job | None, *, as_json: bool) -> Exit:
    """Prints what a lookup returned, and returns the exit code that it stands for."""
    if job is None:
        return not_known("job")
    print_job(job, as_json=as_json)
    return outcome(job)


def print_job(job: Job, *, as_json: bool) -> None:
    """Prints a job; rows without a value are left out, the keys of the JSON object never are."""
    if as_json:
        print_json(job.as_dict())
        return
    status = job.campaign_status
    said = "declined" if job.state is State.FAILED else _STATUS.get(status or 0, "not documented")
    rows = {
        "job": job.id,
        "state": job.state,
        "messageId": job.message_id,
        "campaignId": job.campaign_id,
        "status": status and f"{status} ({said})",
        "delivery": job.delivery,
        "attempts": job.attempts,
        "error": job.error,
    }
    print_rows(rows)


def show_batch(batch: Batch | None, *, as_json: bool, stopped: int | None = None) -> Exit:
    """Prints a batch's counts.

    Args:
        batch: What the lookup returned.
        as_json: Whether it is printed as JSON.
        stopped: How many jobs were waiting when the batch was cancelled, if it just was.

    Returns:
        The exit code: a batch that is known is done, whatever became of its jobs.
    """
    if batch is None:
        return not_known("batch")
    if as_json:
        print_json(batch.as_dict() | ({} if stopped is None else {"stopped": stopped}))
        return Exit.DONE
    counts: dict[str, object] = {state: number for state, number in batch.counts.items() if number}
    if batch.moderation or batch.declined:
        counts |= {"moderation": batch.moderation, "declined": batch.declined}
    counts |= batch.deliveries
    first, last = (when.isoformat(timespec="seconds") for when in (batch.first, batch.last))
    print_rows({"batch": batch.id, "jobs": batch.total} | counts | {"first": first, "last": last, "stopped": stopped})
    return Exit.DONE


def show_size(size: Segments, text: str, *, as_json: bool) -> Exit:
    """Prints what a text costs and, if it costs more than it would in GSM-7, which characters are the reason.

    Args:
        size: The text's size.
        text: The text, which isn't printed.
        as_json: Whether it is printed as JSON, which names these characters in any case.

    Returns:
        The exit code.
    """
    if as_json:
        print_json({"encoding": size.encoding, "units": size.units, "billed": size.billed, "forcing": size.forcing})
        return Exit.DONE
    rows: dict[str, object] = {"encoding": size.encoding, "units": size.units, "segments": size.billed}
    if (in_gsm := _in_gsm(size, text)) < size.billed:
        rows |= {"forced by": _named(size.forcing), "in GSM-7": f"{in_gsm} segment{'s' if in_gsm > 1 else ''}"}
    print_rows(rows)
    return Exit.DONE


def warn_of_size(size: Segments, text: str) -> None:
    """Says, beside the result, which characters make a text UCS-2, where that costs a segment."""
    if (in_gsm := _in_gsm(size, text)) < size.billed:
        complain(f"note: {size.billed} segments instead of {in_gsm}, because of {_named(size.forcing)}")


def _in_gsm(size: Segments, text: str) -> int:
    """What GSM-7 would cost, had the text one of its characters in place of each that it lacks."""
    return measure(text.translate(dict.fromkeys(map(ord, size.forcing), "?"))).billed


def _named(characters: Sequence[str]) -> str:
    """Names characters by their code, what can be seen beside it as it is and the rest in Unicode's words."""
    names = []
    for char in characters[:_NAMED]:
        visible = char.isprintable() and not unicodedata.combining(char)
        names.append(f"U+{ord(char):04X} {char if visible else unicodedata.name(char, '')}".rstrip())
    more = len(characters) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def print_json(result: Mapping[str, Any]) -> None:
    """Prints one result as a line of JSON, in ASCII so that no terminal's or pipe's encoding can harm it."""
    print(json.dumps(result), flush=True)


def print_rows(rows: Mapping[str, object]) -> None:
    """Prints one result for people: a row for each name that has a value, in two columns as wide as for all names."""
    width = max(map(len, rows)) + 2
    lines = [f"{name:<{width}}{one_line(str(value))}" for name, value in rows.items() if value is not None]
    print("\n".join(lines), flush=True)


def print_line(line: str) -> None:
    """Prints one line for people."""
    print(_steers_nothing(line), flush=True)


def complain(line: str) -> None:
    """Prints one line to standard error."""
    print(one_line(line), file=sys.stderr, flush=True)


def one_line(words: str) -> str:
    """Returns the same words on one line, without characters that would steer a terminal: some come from outside."""
    return _steers_nothing(" ".join(words.split()))


def _steers_nothing(words: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)


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
