"""The recipients that bring each misbehaviour on, as payment providers' test cards do.

All are ordinary, possible Kazakh mobile numbers in the block ``7700 000 xxxx``; the last four digits say what happens:

======  ====================================================================================
0CCC    the API's code CCC; the message isn't accepted
1CCC    the message is accepted, and the answer is the API's code CCC all the same
2SSS    HTTP status SSS; the message isn't accepted
3SSS    the message is accepted, and the answer is HTTP status SSS all the same
4xxx    the connection: no answer, half an answer, late, slow, endless
5xxx    the first two calls for this number fail as 0xxx, 2xxx or 4xxx do, later ones are accepted
6xxx    the account, the number and the message: no money, no route, moderation, delivery
7xxx    garbage (`worker.sandbox.garbage`)
======  ====================================================================================

A number that isn't in the table is simply accepted. Each behaviour has a name too, for ``POST /sandbox/fail``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from aiohttp import web

from worker.sandbox import wire
from worker.sandbox.envelope import DONE, FAILED, INVALID, Data, body_of_json, envelope
from worker.sandbox.message import Fate

BLOCK: Final = "7700000"
FAILING_CALLS: Final = 2
"""How many calls of a 5xxx number fail."""


class Acceptance(Enum):
    """Whether the gateway takes the message, whatever it answers."""

    NEVER = "never"
    AT_ONCE = "at once"
    LATE = "late"


class Taken(NamedTuple):
    """What an answer can be made of.

    Attributes:
        campaign_id: The campaign's id; of a message that isn't accepted, one that nobody has.
        message_id: The message's id, likewise.
        status: The status to answer.
        recipient: The number that was called for; empty for a method that sends nothing.
        text: The text that was sent; likewise.
    """

    campaign_id: int
    message_id: int
    status: int
    recipient: str
    text: str


Answer = Callable[[Taken], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A row of the table.

    Attributes:
        digits: The last four digits of its recipient.
        name: What ``POST /sandbox/fail`` calls it.
        sentence: What it does.
        acceptance: Whether and when the message is accepted.
        answer: Makes the answer.
        calls: How many calls of its recipient behave so; later ones are simply accepted. None for all.
        fate: What becomes of an accepted message.
    """

    digits: str
    name: str
    sentence: str
    acceptance: Acceptance
    answer: Answer
    calls: int | None = None
    fate: Fate = Fate.DELIVERED

    @property
    def recipient(self) -> str:
        """The number that brings it on."""
        return BLOCK + self.digits


def accepted(taken: Taken) -> web.Response:
    """Answers as live servers do: ids as strings, the status as a number."""
    return envelope(
        DONE, {"campaignId": str(taken.campaign_id), "messageId": str(taken.message_id), "status": taken.status}
    )


def refused(code: int, data: Data = None, message: str | None = None) -> Answer:
    """Makes an answer of the API's code; `{recipient}` and `{text}` in its words are filled in.

    Real servers quote what they were given, so a client that logs their words logs a number or a text.
    """

    def fill(words: str, taken: Taken) -> str:
        return words.replace("{recipient}", taken.recipient).replace("{text}", taken.text)

    def answer(taken: Taken) -> web.StreamResponse:
        filled = {name: fill(words, taken) for name, words in data.items()} if isinstance(data, dict) else data
        return envelope(code, filled, None if message is None else fill(message, taken))

    return answer


def http_status(status: int, headers: dict[str, str] | None = None) -> Answer:
    """Makes an answer with a status of HTTP and a page for people, as a proxy before the gateway sends it."""

    def answer(taken: Taken) -> web.StreamResponse:  # noqa: ARG001 - an Answer
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    return answer


def _body(taken: Taken) -> bytes:
    body = accepted(taken).body
    assert isinstance(body, bytes)  # noqa: S101 - made of bytes a line above
    return body


def _head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length


_NEVER, _AT_ONCE = Acceptance.NEVER, Acceptance.AT_ONCE

_CODES: Final[dict[int, tuple[Data, str]]] = {
    1: ({"recipient": "Неверный номер"}, "validation error, data names the field"),
    2: ("", "record not found, data is an empty string"),
    3: (None, "unidentified application error"),
    4: (None, "wrong module"),
    5: ([], "wrong method"),
    6: ([], "wrong format"),
    8: ([], "wrong or expired key"),
    9: ([], "no access to the method"),
    10: ([], "data could not be saved"),
    11: (None, "a parameter is missing"),
    12: (None, "a parameter breaks a restriction"),
    13: ("api.other-server.example", "another server serves the account; data names its domain"),
    14: ([], "the account is blocked"),
    15: (None, "the operation failed"),
    30: ([], "too many calls to the method"),
    77: ([], "a code that nobody documented"),
    98: ({"errors": ""}, "done in part"),
    99: ([], "nothing was processed"),
    100: (4711, "sent to background execution; data is the task's id"),
    999: (None, "general service error"),
}
_CODES_AFTER_ACCEPTANCE: Final = (3, 10, 15, 77, 98, 100, 999)

_RETRY_AFTER: Final = {"Retry-After": "1"}
# A client that follows it makes a second call, which shows in the calls, and for 3307 a second message.
_ELSEWHERE: Final = {"Location": "/service/message/sendsmsmessage?output=json&api=v1"}
_STATUSES: Final[dict[int, tuple[dict[str, str] | None, str]]] = {
    307: (_ELSEWHERE, "redirect to the same address"),
    403: (None, "forbidden, as a proxy says it"),
    404: (None, "not found, as a proxy says it"),
    408: (None, "request time-out"),
    429: (_RETRY_AFTER, "too many requests, Retry-After: 1"),
    500: (None, "internal server error"),
    502: (None, "bad gateway"),
    503: (_RETRY_AFTER, "service unavailable, Retry-After: 1"),
    504: (None, "gateway time-out"),
}
_STATUSES_AFTER_ACCEPTANCE: Final = (307, 408, 500, 502, 503, 504)


def _codes() -> Iterator[Behaviour]:
    for code, (data, sentence) in _CODES.items():
        yield Behaviour(f"0{code:03}", f"code-{code}", f"API code {code}: {sentence}", _NEVER, refused(code, data))
    for code in _CODES_AFTER_ACCEPTANCE:
        data, sentence = _CODES[code]
        told = f"accepted, yet answered with API code {code}: {sentence}"
        yield Behaviour(f"1{code:03}", f"code-{code}-accepted", told, _AT_ONCE, refused(code, data))


def _statuses() -> Iterator[Behaviour]:
    for status, (headers, sentence) in _STATUSES.items():
        yield Behaviour(f"2{status}", f"{status}", f"HTTP {status}: {sentence}", _NEVER, http_status(status, headers))
    for status in _STATUSES_AFTER_ACCEPTANCE:
        headers, sentence = _STATUSES[status]
        told = f"accepted, yet answered with HTTP {status}: {sentence}"
        yield Behaviour(f"3{status}", f"{status}-accepted", told, _AT_ONCE, http_status(status, headers))


def _connection() -> Iterator[Behaviour]:
    def row(digits: str, name: str, sentence: str, acceptance: Acceptance, answer: Answer) -> Behaviour:
        return Behaviour(digits, name, sentence, acceptance, answer)

    yield row("4001", "hang", "never answers", _NEVER, lambda _: wire.Silence())
    yield row("4002", "hang-accepted", "accepted, and never answers", _AT_ONCE, lambda _: wire.Silence())
    yield row(
        "4003",
        "late",
        "never answers, and accepts 20 s (flag late_seconds, on the sandbox's clock) after the caller hung up",
        Acceptance.LATE,
        lambda _: wire.Silence(),
    )
    yield row("4004", "closed", "closes without a byte", _NEVER, lambda _: wire.Broken())
    yield row("4005", "reset", "resets the connection without a byte", _NEVER, lambda _: wire.Broken(reset=True))
    yield row("4006", "closed-accepted", "accepted, then closes without a byte", _AT_ONCE, lambda _: wire.Broken())
    yield row(
        "4007", "reset-accepted", "accepted, then resets the connection", _AT_ONCE, lambda _: wire.Broken(reset=True)
    )
    yield row(
        "4008", "half-status-line", "accepted, then half a status line", _AT_ONCE, lambda _: wire.Broken(b"HTTP/1.1 2")
    )
    yield row(
        "4009",
        "half-body",
        "accepted, then headers and half of the body",
        _AT_ONCE,
        lambda taken: wire.Broken(_head(len(_body(taken))) + _body(taken)[:20]),
    )
    yield row(
        "4010",
        "drip-headers",
        "accepted, then a byte of the answer each 0.4 s, from the first one on",
        _AT_ONCE,
        lambda taken: wire.Broken(_head(len(_body(taken))) + _body(taken), drip=True),
    )
    yield row(
        "4011",
        "drip-body",
        "accepted, then headers at once and a byte of the body each 0.4 s",
        _AT_ONCE,
        lambda taken: wire.dripped(_body(taken)),
    )
    yield row("4012", "endless", "accepted, then a body that doesn't end", _AT_ONCE, lambda t: wire.endless(_body(t)))
    yield row("4013", "huge", "accepted, then a body of 200 MB", _AT_ONCE, lambda taken: wire.huge(_body(taken)))
    yield row("4014", "slow", "accepted, and answers after 3 s", _AT_ONCE, lambda taken: wire.Delayed(_body(taken)))
