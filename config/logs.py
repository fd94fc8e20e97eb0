"""Logging: structlog for our lines and Celery's, JSON in production, readable on a terminal, nothing secret in either.

A line is an event's name and fields. What is bound with `structlog.contextvars` (a job's id, its attempt) is on every
line of that job.
"""

import base64
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from json import dumps
from typing import Any, Final
from urllib.parse import quote, quote_plus

import structlog
from pydantic_core import to_json
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

Report = Callable[[str, Mapping[str, Any]], None]

_SHOWN = "[secret]"
#: Shorter "secrets" would mask half the log; no key or password worth its name is that short.
_SHORTEST = 4


def _spellings(secret: str) -> set[str]:
    """Returns how a secret may be written: plainly, URL-encoded, in base64, and as JSON and Python quote it."""
    coded = {encode(secret.encode()).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    quoted = {dumps(secret), dumps(secret, ensure_ascii=False), repr(secret), ascii(secret)}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)} | coded | {each[1:-1] for each in quoted}


class Redactor:
    """Replaces secrets by value in a finished line, however they were written."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Keeps every spelling of each secret, longest first."""
        spellings: set[str] = set().union(*map(_spellings, secrets))
        self._spellings = sorted((each for each in spellings if len(each) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        """Returns the line without secrets."""
        for spelling in self._spellings:
            line = line.replace(spelling, _SHOWN)
        return line


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """The last step for other people's lines: whatever a library put into one, no secret leaves."""

    def __init__(self, redact: Redactor, processors: list[Processor]) -> None:
        super().__init__(foreign_pre_chain=_shared(), processors=processors)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _name_logger(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


#: Tracebacks without the frames' variables, which structlog shows by default: there are the number and the text.
_FRAMES: Final = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def _console() -> Processor:
    plain = structlog.dev.plain_traceback  # for the same reason: a library that is installed by chance shows variables
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28, exception_formatter=plain)


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return to_json(event, fallback=repr).decode()


def _reporting(report: Report) -> Processor:
    def tell(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
        with suppress(Exception):  # whoever hears of failures must not make one
            report(level, event)
        return event

    return tell


def set_up(*, level: str, celery_level: int, json: bool, secrets: Iterable[str], report: Report | None = None) -> None:
    """Sets up structlog for our lines and the standard library's logging for everybody else's, with one look.

    Our own lines don't pass through `logging`: one line a job is a tenth of what a job costs there.

    Args:
        level: The least level of our own lines.
        celery_level: The least level of everybody else's.
        json: JSON lines, or a readable console.
        secrets: What must never appear.
        report: Told of each of our own lines, before it is written: its level, and its fields.
    """
    render = [_FRAMES, _render_json] if json else [_console()]
    redact = Redactor(secrets)

    def redact_line(_: WrappedLogger, __: str, line: Any) -> str:  # noqa: ANN401 - what the renderer returned
        return redact(line)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _RedactingFormatter(redact, [_name_logger, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(celery_level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*_shared(), *([_reporting(report)] if report else []), *render, redact_line],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def wants_json(log_format: str) -> bool:
    """Returns whether lines are JSON: as asked, or where no person reads along."""
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
