"""Failures as issues in Sentry, with `SENTRY_DSN`: failed and unknown jobs, and whatever else the log calls an error.

The SDK's Celery integration isn't used: it hooks into each task that succeeds too, and Celery has taken hold of what it
replaces before a worker can set it up. What is reported is what the log says, whose lines hold nothing personal, and
where in the code it was. An exception's own words, variables, arguments and breadcrumbs stay here: they may hold a
number.

Events leave by a thread of the SDK's, from a bounded queue: a Sentry that is slow or away holds nothing up. One issue
is told of once a minute at most: ten thousand refused numbers are one failure.
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from celery import signals
from celery.exceptions import Ignore, Retry

from smsq.errors import SmsNotSent, SmsUnknown
from tasks.request import Crashed

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: Seconds between two events of one issue, and how many issues are remembered.
_APART: Final = 60.0
_ISSUES: Final = 1000
#: Seconds that a process that ends gives the events that haven't left.
_FLUSH: Final = 1.0

#: Ends of jobs that the log calls warnings: one of each kind is an issue.
_ENDS: Final = frozenset({"job.failed", "job.unknown", "job.declined"})
#: The fields of a line that an event has, as tags to search by and as words to read.
_TAGS: Final = ("job_id", "lane", "code", "attempt", "error", "answer", "word", "check")
_WORDS: Final = ("reason", "wanted", "jobs", "count")
#: What stays of an event; everything else is taken out.
_KEPT: Final = frozenset(
    {
        *("event_id", "timestamp", "platform", "level", "logger", "message", "logentry", "exception", "fingerprint"),
        *("tags", "extra", "contexts", "release", "environment", "server_name", "sdk", "dist"),
    }
)
_KEPT_CONTEXTS: Final = ("runtime", "trace")
_NUMBERS: Final = re.compile(r"\d{5,}")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class _Apart:
    """Which issue was told of lately. Thread-safe.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, ...], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def since(self, issue: tuple[str, ...]) -> int | None:
        """Returns how often it occurred since it was told of; None if that was a moment ago."""
        now = self._clock()
        with self._lock:
            at, more = self._told.pop(issue, (-_APART, 0))
            if now - at < _APART:
                self._told[issue] = at, more + 1
                return None
            self._told[issue] = now, 0
            while len(self._told) > _ISSUES:
                del self._told[next(iter(self._told))]
            return more


_apart = _Apart()


def connect(dsn: str) -> None:
    """Has a worker, and the children that it forks, report.

    Args:
        dsn: Where the events go.
    """
    signals.celeryd_init.connect(partial(_start, dsn), weak=False)
    signals.task_failure.connect(_task_failed)
    signals.task_internal_error.connect(_task_failed)
    signals.worker_process_shutdown.connect(_flush)


def _start(dsn: str, **_: Any) -> None:  # noqa: ANN401 - a Celery signal's arguments
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger

    sentry_sdk.init(
        dsn=dsn,
        release=os.environ.get("SENTRY_RELEASE") or f"smsq@{version('smsq')}",
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda *_: None),  # its own writes to the terminal
            ExcepthookIntegration(),
            LoggingIntegration(level=None, event_level=logging.ERROR),  # Celery's lines, and other libraries'
        ],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        traces_sample_rate=None,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_metrics=False,
        enable_backpressure_handling=False,
        shutdown_timeout=_FLUSH,
        before_send=_scrub,
        before_send_transaction=_drop,
    )
    ignore_logger("celery.app.trace")  # what it says of tasks that raised comes by their signal


def _flush(**_: Any) -> None:  # noqa: ANN401
    """Lets a child's last events leave: it ends without the interpreter's own way out."""
    import sentry_sdk

    sentry_sdk.flush(_FLUSH)


def report(level: str, line: Mapping[str, Any]) -> None:
    """Takes in a line of our own log, and makes an event of it if it is one of a failure.

    Args:
        level: The line's.
        line: Its fields; ``event`` is its name.
    """
    name = str(line["event"])
    if not (name in _ENDS or level in ("error", "critical", "exception")):
        return
    crashed = sys.exc_info() if name.endswith(".crashed") or line.get("exc_info") else (None, None, None)
    # What tells issues apart: the code where there is one, else the words.
    kind = str(line.get("code", line.get("error", line.get("check", line.get("reason", "")))))
    _send(name, "warning" if name in _ENDS else "error", kind, line, crashed)


def _task_failed(task_id: str = "", exception: BaseException | None = None, **_: Any) -> None:  # noqa: ANN401
    """Takes in Celery's signal of a task that raised: what came of its job is in the log, anything else is a bug."""
    if exception is None or isinstance(exception, SmsNotSent | SmsUnknown | Crashed | Ignore | Retry):
        return
    name = type(exception).__name__
    crashed = type(exception), exception, exception.__traceback__
    _send("task.crashed", "error", name, {"job_id": task_id, "error": name}, crashed)


def _send(
    name: str, level: str, kind: str, line: Mapping[str, Any], crashed: ExcInfo | tuple[None, None, None]
) -> None:
    since = _apart.since((name, kind))
    if since is None:
        return
    import sentry_sdk
    from sentry_sdk.utils import event_from_exception

    event: Event = {"message": name}
    if crashed[1] is not None:
        event, _ = event_from_exception(crashed, client_options=sentry_sdk.get_client().options)
    event |= {
        "level": level,  # type: ignore[typeddict-item] # one of those that it knows
        "logger": "smsq",
        "fingerprint": [name, kind],
        "tags": {"event": name} | {each: str(line[each]) for each in _TAGS if each in line},
        "extra": {each: str(line[each]) for each in _WORDS if each in line} | ({"not_told": since} if since else {}),
    }
    sentry_sdk.capture_event(event)


def _scrub(event: "Event", hint: "Hint") -> "Event":  # noqa: ARG001 - the SDK's signature
    """Takes out of an event whatever may hold a number, a text or a key."""
    kept: Any = {name: value for name, value in event.items() if name in _KEPT}
    ours = kept.get("logger") == "smsq"
    if not ours:
        kept.pop("extra", None)  # a library's line has its arguments there
        kept.pop("message", None)
    if entry := kept.get("logentry"):
        # The words before they are filled in; some come as they are, with an exception's own in the lines that follow.
        first, _, _ = str(entry.get("message", "")).partition("\n")
        kept["logentry"] = {"message": _NUMBERS.sub("…", first)[:200]}
    if "contexts" in kept:
        kept["contexts"] = {name: kept["contexts"][name] for name in _KEPT_CONTEXTS if name in kept["contexts"]}
    for raised in (kept.get("exception") or {}).get("values", ()):
        raised["value"] = ""
        for frame in (raised.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    result: Event = kept
    return result


def _drop(event: "Event", hint: "Hint") -> None:
    """Spans are OpenTelemetry's."""
