"""Logging: structlog for our lines and Celery's, JSON in production, readable on a terminal, nothing secret in either.

A line is an event's name and fields. What is bound with `structlog.contextvars` (a job's id, its attempt) is on every
line of that job.
"""

import base64
import logging
import sys
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SHOWN = "[secret]"
#: Shorter "secrets" would mask half the log; no key or password worth its name is that short.
_SHORTEST = 4


class Redactor:
    """Replaces secrets by value in a finished line, however they were written: plainly, URL-encoded, in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Keeps every spelling of each secret, longest first."""
        spellings: set[str] = set()
        for secret in secrets:
            encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
            spellings |= {secret, quote(secret, safe=""), quote_plus(secret), encoded}
        self._spellings = sorted((each for each in spellings if len(each) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        """Returns the line without secrets."""
        for spelling in self._spellings:
            line = line.replace(spelling, _SHOWN)
        return line


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """The last step of every handler: whatever a library put into a line or a traceback, no secret leaves."""

    def __init__(self, redact: Redactor, processors: list[Processor]) -> None:
        super().__init__(foreign_pre_chain=_shared(), processors=processors)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _name_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def set_up(*, level: str, celery_level: int, json: bool, secrets: Iterable[str]) -> None:
    """Sets up structlog and the standard library's logging for this process.

    Args:
        level: The least level of our own lines.
        celery_level: The least level of everybody else's.
        json: JSON lines, or a readable console.
        secrets: What must never appear.
    """
    renderer: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _RedactingFormatter(
            Redactor(secrets), [_name_level, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(celery_level)
    logging.getLogger("smsq").setLevel(level.upper())
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def wants_json(log_format: str) -> bool:
    """Returns whether lines are JSON: as asked, or where no person reads along."""
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
