"""The recipients that bring each misbehaviour on, as payment providers' test cards do.

All are ordinary, possible Kazakh mobile numbers in the block ``7700 000 xxxx``; the last four digits say what happens:

======  ================================================================================
0CCC    the API's code CCC; the message isn't accepted
1CCC    the message is accepted, and the answer is the API's code CCC all the same
2SSS    HTTP status SSS; the message isn't accepted
3SSS    the message is accepted, and the answer is HTTP status SSS all the same
4xxx    the connection: no answer, half of one, a late, slow or endless one
5xxx    the first two calls for this number fail, later ones are simply accepted
6xxx    the account, the number and the message: no money, no route, moderation, delivery
7xxx    garbage, most of it in place of the ids of an accepted message
======  ================================================================================

A number that isn't in the table is simply accepted.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.sandbox import wire
from worker.sandbox.behaviours import (
    Acceptance,
    Behaviour,
    accepted,
    accepted_body,
    accepted_whole,
    http_status,
    refused,
)
from worker.sandbox.envelope import FAILED, INVALID, Data
from worker.sandbox.garbage import GARBAGE
from worker.sandbox.message import Fate

_NEVER, _AT_ONCE, _LATE = Acceptance.NEVER, Acceptance.AT_ONCE, Acceptance.LATE
_FAILING_CALLS: Final = 2

_CODES: Final[dict[int, tuple[Data, str]]] = {
    1: ({"recipient": "Номер {recipient} неверен"}, "validation error; data names the field"),
    2: ("", "record not found; data is an empty string"),
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
_CODES_YET_ACCEPTED: Final = (3, 10, 15, 77, 98, 100, 999)
"""Those of which the contract says that the message may have been accepted."""

_RETRY_AFTER: Final = {"Retry-After": "1"}
# A client that follows it calls again, which shows in the calls, and for 3307 in a second message.
_TO_ITSELF: Final = {"Location": "/service/message/sendsmsmessage?output=json&api=v1"}
_STATUSES: Final[dict[int, tuple[Mapping[str, str] | None, str]]] = {
    307: (_TO_ITSELF, "a redirect to the same address"),
    403: (None, "forbidden"),
    404: (None, "not found"),
    408: (None, "request time-out"),
    429: (_RETRY_AFTER, "too many requests, with Retry-After: 1"),
    500: (None, "internal server error"),
    502: (None, "bad gateway"),
    503: (_RETRY_AFTER, "service unavailable, with Retry-After: 1"),
    504: (None, "gateway time-out"),
}
_STATUSES_YET_ACCEPTED: Final = (307, 408, 500, 502, 503, 504)


def _answers_of_the_api() -> Iterator[Behaviour]:
    for code, (data, sentence) in _CODES.items():
        yield Behaviour(f"0{code:03}", f"code-{code}", f"API code {code}: {sentence}", _NEVER, refused(code, data))
    for code in _CODES_YET_ACCEPTED:
        data, sentence = _CODES[code]
        told = f"accepted, yet answered with API code {code}: {sentence}"
        yield Behaviour(f"1{code:03}", f"code-{code}-accepted", told, _AT_ONCE, refused(code, data))


def _answers_of_http() -> Iterator[Behaviour]:
    for status, (headers, sentence) in _STATUSES.items():
        yield Behaviour(f"2{status}", f"{status}", f"HTTP {status}: {sentence}", _NEVER, http_status(status, headers))
    for status in _STATUSES_YET_ACCEPTED:
        headers, sentence = _STATUSES[status]
        told = f"accepted, yet answered with HTTP {status}: {sentence}"
        yield Behaviour(f"3{status}", f"{status}-accepted", told, _AT_ONCE, http_status(status, headers))


_CONNECTION: Final = (
    Behaviour("4001", "hang", "never answers", _NEVER, lambda _: wire.Silence()),
    Behaviour("4002", "hang-accepted", "accepted, and never answers", _AT_ONCE, lambda _: wire.Silence()),
    Behaviour(
        "4003",
        "late",
        "never answers, and accepts 20 s of the sandbox's clock (flag late_seconds) after the caller hung up",
        _LATE,
        lambda _: wire.Silence(),
    ),
    Behaviour("4004", "closed", "closes the connection without a byte", _NEVER, lambda _: wire.Broken()),
    Behaviour("4005", "reset", "resets the connection without a byte", _NEVER, lambda _: wire.Broken(reset=True)),
    Behaviour("4006", "closed-accepted", "accepted, then closes without a byte", _AT_ONCE, lambda _: wire.Broken()),
    Behaviour("4007", "reset-accepted", "accepted, then resets", _AT_ONCE, lambda _: wire.Broken(reset=True)),
    Behaviour(
        "4008",
        "half-status-line",
        "accepted, then half a status line",
        _AT_ONCE,
        lambda _: wire.Broken(b"HTTP/1.1 2"),
    ),
    Behaviour(
        "4009",
        "half-body",
        "accepted, then half of the answer's body",
        _AT_ONCE,
        lambda taken: wire.Broken(accepted_whole(taken)[:-40]),
    ),
    Behaviour(
        "4010",
        "drip-headers",
        "accepted, then a byte of the answer each 0.4 s, from the status line on",
        _AT_ONCE,
        lambda taken: wire.Broken(accepted_whole(taken), drip=True),
    ),
    Behaviour(
        "4011",
        "drip-body",
        "accepted, then the headers at once and a byte of the body each 0.4 s",
        _AT_ONCE,
        lambda taken: wire.dripped(accepted_body(taken)),
    ),
    Behaviour(
        "4012",
        "endless",
        "accepted, then a body that doesn't end",
        _AT_ONCE,
        lambda taken: wire.endless(accepted_body(taken)),
    ),
    Behaviour(
        "4013", "huge", "accepted, then a body of 200 MB", _AT_ONCE, lambda taken: wire.huge(accepted_body(taken))
    ),
    Behaviour("4014", "slow", "accepted, and answers after 3 s", _AT_ONCE, accepted, delay_seconds=3.0),
)


def _twice(digits: str, failing: Behaviour) -> Behaviour:
    return Behaviour(
        digits,
        f"{failing.name}-twice",
        f"{failing.sentence}; from the third call on, accepted",
        failing.acceptance,
        failing.answer,
        calls=_FAILING_CALLS,
    )


def _passing() -> Iterator[Behaviour]:
    by_digits = {row.digits: row for row in (*_answers_of_the_api(), *_answers_of_http(), *_CONNECTION)}
    yield _twice("5005", by_digits["4005"])
    yield _twice("5030", by_digits["0030"])
    yield _twice("5099", by_digits["0099"])
    yield _twice("5429", by_digits["2429"])
    yield _twice("5503", by_digits["2503"])


_ACCOUNT_AND_NUMBER: Final = (
    Behaviour("6001", "moderated", "status 1; approved after 15 minutes", _AT_ONCE, accepted, fate=Fate.APPROVED),
    Behaviour(
        "6002",
        "declined",
        "status 1; declined after 15 minutes, with a comment that quotes text and number",
        _AT_ONCE,
        accepted,
        fate=Fate.DECLINED,
    ),
    Behaviour("6003", "undelivered", "accepted; ends as UNDELIV", _AT_ONCE, accepted, fate=Fate.UNDELIVERED),
    Behaviour("6004", "expired", "accepted; ends as EXPIRED", _AT_ONCE, accepted, fate=Fate.EXPIRED),
    Behaviour("6005", "rejected", "accepted; ends as REJECTD", _AT_ONCE, accepted, fate=Fate.REJECTED),
    Behaviour(
        "6010",
        "no-route",
        "a number without a route: code 1, data.recipient quotes the number",
        _NEVER,
        refused(INVALID, {"recipient": "Отправка на номер {recipient} невозможна"}),
    ),
    Behaviour(
        "6011",
        "stop-listed",
        "a stop-listed number: code 1, data.recipient quotes the number with a plus",
        _NEVER,
        refused(INVALID, {"recipient": "Номер +{recipient} в стоп-листе"}),
    ),
    Behaviour(
        "6012",
        "stop-listed-15",
        "a stop-listed number, as code 15 and in the message only",
        _NEVER,
        refused(FAILED, None, "Номер {recipient} в стоп-листе"),
    ),
    Behaviour(
        "6020",
        "sender-not-registered",
        "an unregistered signature that isn't replaced: code 1, data.from",
        _NEVER,
        refused(INVALID, {"from": "Подпись не зарегистрирована"}),
    ),
    Behaviour(
        "6030",
        "no-money",
        "out of money, as code 15 and in the message only",
        _NEVER,
        refused(FAILED, None, "Недостаточно средств на балансе"),
    ),
    Behaviour(
        "6031",
        "no-money-1",
        "out of money, as code 1 with data.balance",
        _NEVER,
        refused(INVALID, {"balance": "Недостаточно средств"}),
    ),
    Behaviour(
        "6032",
        "no-money-unlisted",
        "out of money, as a code that nobody documented",
        _NEVER,
        refused(77, [], "Недостаточно средств на балансе"),
    ),
    Behaviour(
        "6040",
        "text-quoted",
        "code 1; data.text quotes the whole text",
        _NEVER,
        refused(INVALID, {"text": "Недопустимый текст: {text}"}),
    ),
    Behaviour("6041", "data-list", "code 1 with a list of sentences", _NEVER, refused(INVALID, ["Неверно", "Нельзя"])),
    Behaviour(
        "6042",
        "data-nested",
        "code 1 with a list of sentences for each field",
        _NEVER,
        refused(INVALID, [{"params": {"validity": ["Неверно", "Нельзя"]}}]),
    ),
    Behaviour("6043", "data-string", "code 1 with a string", _NEVER, refused(INVALID, "Неверные данные")),
    Behaviour("6044", "data-null", "code 1 with null", _NEVER, refused(INVALID, None)),
    Behaviour("6045", "data-empty", "code 1 with an empty list", _NEVER, refused(INVALID, [])),
)

TABLE: Final = (
    *_answers_of_the_api(),
    *_answers_of_http(),
    *_CONNECTION,
    *_passing(),
    *_ACCOUNT_AND_NUMBER,
    *GARBAGE,
)
"""All rows, in order of their numbers."""

BY_RECIPIENT: Final = {row.recipient: row for row in TABLE}
BY_NAME: Final = {row.name: row for row in TABLE}


def as_text() -> str:
    """Returns the table for people, a line a recipient."""
    lines = [f"{'recipient':11}  {'accepted':8}  {'name':24}  what happens"]
    lines += [f"{row.recipient}  {row.acceptance.value:8}  {row.name:24}  {row.sentence}" for row in TABLE]
    return "\n".join([*lines, "Any other number is simply accepted."])
