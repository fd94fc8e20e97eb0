"""What a worker's traces show of a job: its work on it, each call of the gateway, and what asking came to.

A job is traced if its `enqueue` was (`smsq.tracing`); for any other nothing is done here. Names and attributes are
those of OpenTelemetry's conventions for messaging and for HTTP; ``smsq.…`` are our own.
"""

from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from pydantic import AnyHttpUrl

from smsq.gateway.answers import Kind, Outcome
from smsq.ledger import Question, Settlement, Told
from smsq.ledger.asking import AnswerWord
from smsq.scripts import boot_time
from smsq.states import State
from smsq.tracing import Place, describe, end, enter, fail, harmless, leave, place_of, tracer, wall_clock
from tasks.hold import Hold

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_METHOD: Final = "sendSmsMessage"


class Untraced:
    """The work on a job that nobody traces; all of it does nothing."""

    def __enter__(self) -> Self:
        """Begins the work."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Ends it."""

    async def call(self, sending: Awaitable[Outcome]) -> Outcome:
        """Makes one call of the gateway, and returns what it came to."""
        return await sending

    def settled(self, settlement: Settlement) -> None:
        """Notes what becomes of the job."""


_UNTRACED: Final = Untraced()


class Work(Untraced):
    """A worker's work on a job, from begin to settle: the span ``process sms.<lane>`` and one in it for each call.

    Args:
        hold: The job, begun.
        place: Where in the traces it belongs.
        api_url: The gateway's server.
    """

    def __init__(self, hold: Hold, place: Place, api_url: AnyHttpUrl) -> None:
        self._hold = hold
        self._place = place
        self._attempt = hold.begun.attempts
        self._server: dict[str, str | int] = {"server.address": api_url.host or "", "server.port": api_url.port or 443}
        self._span: Span | None = None
        self._token: object = None

    def __enter__(self) -> Self:
        """Starts the span, as of the begin, and makes it the current one."""
        self._span = self._start()
        self._token = None if self._span is None else enter(self._span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Ends the span."""
        leave(self._token)
        if self._span is not None:
            end(self._span)

    @harmless
    def _start(self) -> "Span":
        from opentelemetry.trace import SpanKind

        hold, lane = self._hold, self._hold.begun.lane
        return tracer().start_span(
            f"process sms.{lane}",
            context=self._place.context,
            links=self._place.links,
            kind=SpanKind.CONSUMER,
            attributes=describe("process", lane, hold.job_id) | {"smsq.attempt": self._attempt},
            start_time=wall_clock() - int((boot_time() - hold.begun_at) * 1e9),
        )

    async def call(self, sending: Awaitable[Outcome]) -> Outcome:
        """Makes one call of the gateway, within a span of its own."""
        span = self._start_call()
        if span is None:
            return await sending
        self._attempt += 1
        token, outcome = enter(span), None
        try:
            outcome = await sending
            return outcome
        finally:
            leave(token)
            if outcome:
                self._note(span, outcome)
            end(span)

    @harmless
    def _start_call(self) -> "Span":
        from opentelemetry.trace import SpanKind

        about = self._server | {"http.request.method": "POST", "smsq.attempt": self._attempt}
        return tracer().start_span(f"POST {_METHOD}", kind=SpanKind.CLIENT, attributes=about)

    @staticmethod
    @harmless
    def _note(span: "Span", outcome: Outcome) -> None:
        span.set_attribute("smsq.outcome", str(outcome.kind))
        if outcome.http_status is not None:
            span.set_attribute("http.response.status_code", outcome.http_status)
        if outcome.code is not None:
            span.set_attribute("smsq.gateway.code", outcome.code)
        if outcome.kind not in (Kind.ACCEPTED, Kind.NOT_CALLED):
            fail(span, _kind(outcome.code, str(outcome.kind)), outcome.reason)

    def settled(self, settlement: Settlement) -> None:
        """Notes what becomes of the job."""
        if self._span is not None:
            _end_as(self._span, settlement)


@harmless
def _end_as(span: "Span", settlement: Settlement) -> None:
    to, error = settlement.to, settlement.error
    span.set_attribute("smsq.state", "asking" if to is State.SENDING else str(to))
    if settlement.ids:
        span.set_attribute("smsq.message_id", settlement.ids[0])
        span.set_attribute("smsq.campaign_id", settlement.ids[1])
    if error and to in (State.FAILED, State.UNKNOWN):
        fail(span, _kind(error.code, str(to)), error.reason)


def _kind(code: int | None, otherwise: str) -> str:
    return otherwise if code is None else f"code {code}"


def processing(hold: Hold, api_url: AnyHttpUrl) -> Untraced:
    """Returns what surrounds the work on a job that has begun: with spans, if it is traced.

    Args:
        hold: The job.
        api_url: The gateway's server.
    """
    place = _place(hold.begun.trace) if hold.begun.trace else None
    return _UNTRACED if place is None else Work(hold, place, api_url)


_place = harmless(place_of)


@harmless
def asked(question: Question, told: Told, word: AnswerWord, *, began: int) -> None:
    """Tells a job's trace, if it has one, what the gateway answered and what followed: a span ``ask sms.<lane>``.

    Args:
        question: What was asked.
        told: What the gateway said.
        word: What became of the job.
        began: When the round of questions began, unix time in ns.
    """
    if not question.trace or (place := place_of(question.trace)) is None:
        return
    from opentelemetry.trace import SpanKind

    span = tracer().start_span(
        f"ask sms.{question.lane}",
        context=place.context,
        links=place.links,
        kind=SpanKind.INTERNAL,
        attributes=describe("ask", question.lane, question.job_id)
        | {
            "smsq.attempt": question.attempts,
            "smsq.answer": told.word,
            "smsq.state": {"again": "queued", "later": "asking"}.get(word, word),
        },
        start_time=began,
    )
    if word in ("failed", "unknown"):
        fail(span, word, told.reason or None)
    span.end()
