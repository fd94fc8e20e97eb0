"""Traces by OpenTelemetry: the span of an `enqueue`, and what a job's record keeps of its trace.

Spans and their names are those of OpenTelemetry's conventions for messaging. A message of `enqueue` continues its
caller's trace; those of `enqueue_many` each start a trace of their own, linked to the caller's: a campaign's spans
would be too many for one. A trace that isn't sampled leaves nothing in the record, and so costs the worker nothing.

Nobody is traced who doesn't use OpenTelemetry himself: where its API isn't imported yet, nothing here imports it, and
where no provider is set up, nothing is done. And no failure of a tracer is a job's: it ends here. No attribute has a
number, a text or a key.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeVar

from smsq.errors import QueueUnavailable
from smsq.lanes import Lane, queue_name
from smsq.ledger import NewJob

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer

P = ParamSpec("P")
T = TypeVar("T")
Attributes = Mapping[str, str | int]

SYSTEM: Final = "smsq"
_LINK: Final = "link "
_STORED: Final = re.compile(r"(link )?00-([0-9a-f]{32})-([0-9a-f]{16})-01", re.ASCII)

_log = logging.getLogger(__name__)


def on() -> bool:
    """Returns whether this process uses OpenTelemetry: its API is imported, and spans go somewhere.

    redis-py imports the API wherever it is installed.
    """
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@cache
def tracer() -> "Tracer":
    """Returns our tracer. Before the application has set up its provider it is one that follows it later."""
    from opentelemetry import trace

    return trace.get_tracer("smsq", version("smsq"))


def harmless(function: Callable[P, T]) -> Callable[P, T | None]:
    """Makes a function of one that traces: what it raises is said once in the log, and None is returned."""
    said = False

    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        nonlocal said
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a sampler's or an exporter's, whatever it is
            if not said:
                said = True
                _log.warning("tracing failed: %s", type(error).__name__)  # its words may hold anything
            return None

    return guarded


def describe(operation: str, lane: Lane, job_id: str = "") -> dict[str, str | int]:
    """Returns the attributes that every span about a job has."""
    about: dict[str, str | int] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": {"ask": "settle"}.get(operation, operation),  # the conventions have few types
        "messaging.destination.name": queue_name(lane),
    }
    return about | {"messaging.message.id": job_id} if job_id else about


def wall_clock() -> int:
    """Returns the time of spans, in unix ns. Nothing is judged by it."""
    return time.time_ns()


# -- producers

_OFF: Final = nullcontext("")


def sending(lane: Lane, jobs: Sequence[NewJob], *, together: bool) -> AbstractContextManager[str]:
    """Surrounds one hand-over to Redis with its span, ``send sms.<lane>``.

    Args:
        lane: The jobs' lane.
        jobs: What is handed over.
        together: Whether by `enqueue_many`.

    Returns:
        A context manager that gives what the jobs' records are to keep: '' for nothing.
    """
    return _sending(lane, jobs, together=together) if on() else _OFF


@contextmanager
def _sending(lane: Lane, jobs: Sequence[NewJob], *, together: bool) -> Iterator[str]:
    span = _start(lane, jobs, together=together)
    if span is None:
        yield ""
        return
    token = enter(span)
    try:
        yield _stored(span, together=together) or ""
    except BaseException as error:
        fail(span, type(error).__name__, "Redis didn't confirm" if isinstance(error, QueueUnavailable) else None)
        raise
    finally:
        leave(token)
        end(span)


@harmless
def _start(lane: Lane, jobs: Sequence[NewJob], *, together: bool) -> "Span":
    from opentelemetry.trace import SpanKind

    # With a key it may turn out to be another job, known before; the worker's spans say which.
    about = describe("send", lane, "" if together or jobs[0].key_hash else jobs[0].id)
    if together:
        about["messaging.batch.message_count"] = len(jobs)
    return tracer().start_span(f"send {queue_name(lane)}", kind=SpanKind.PRODUCER, attributes=about)


@harmless
def _stored(span: "Span", *, together: bool) -> str:
    context = span.get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return ""
    return f"{_LINK if together else ''}00-{context.trace_id:032x}-{context.span_id:016x}-01"


@harmless
def fail(span: "Span", kind: str, reason: str | None) -> None:
    """Marks a span as one of something that went wrong.

    Args:
        span: The span.
        kind: What, as one word of few.
        reason: In words that are fixed.
    """
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, reason))


@harmless
def enter(span: "Span") -> object:
    """Makes a span the current one, and returns what `leave` takes."""
    from opentelemetry import context, trace

    return context.attach(trace.set_span_in_context(span))


def leave(token: object) -> None:
    """Takes back what `enter` did; in the same context."""
    if token is not None:
        from opentelemetry import context

        with suppress(Exception):
            context.detach(token)  # type: ignore[arg-type] # what `attach` gave


@harmless
def end(span: "Span") -> None:
    """Ends a span."""
    span.end()


def bound(function: Callable[P, T]) -> Callable[P, T]:
    """Has a function find the trace of this moment wherever it is called: in another thread, or later."""
    if not on():
        return function
    from opentelemetry import context

    here = context.get_current()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        token = context.attach(here)
        try:
            return function(*args, **kwargs)
        finally:
            context.detach(token)

    return run


# -- workers


class Place(NamedTuple):
    """Where in the traces a span about a job belongs: what starting it takes."""

    context: "Context"
    links: "Sequence[Link]"


def place_of(stored: str) -> Place | None:
    """Reads what a record keeps.

    Args:
        stored: The record's ``trace``.

    Returns:
        The producer's trace, to be continued or linked to; None if it is none that we wrote.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    found = _STORED.fullmatch(stored)
    if found is None:
        return None
    linked, trace_id, span_id = found.groups()
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    if linked:
        return Place(Context(), [Link(context)])
    return Place(set_span_in_context(NonRecordingSpan(context), Context()), [])
