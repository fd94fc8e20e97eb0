"""What an answer of the gateway, or the lack of one, says about our message: tables, and the few cases around them.

The facts are those of the API's contract (sendSmsMessage, "Answer"). What happens to the job then is decided
elsewhere: an `Outcome` only says what is known. Where nobody has shown what an answer means, it is `Kind.UNKNOWN`: a
message that is asked about needlessly costs minutes, one that is called again wrongly costs a second SMS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeGuard

from smsq.gateway.envelope import read_detail, read_envelope, read_retry_after, whole_number


class Kind(StrEnum):
    """What is known about the message after a call."""

    ACCEPTED = "accepted"
    """The gateway has it and gave ids."""
    REFUSED = "refused"
    """Not sent, and never will be as it stands."""
    TRY_AGAIN = "try_again"
    """Certainly not sent; the same call can succeed later."""
    ACCOUNT = "account"
    """Not sent, for a reason that concerns every message: the account, the key or the address."""
    UNKNOWN = "unknown"
    """The gateway may have it. It must be asked about before anyone calls again."""
    NOT_CALLED = "not_called"
    """The moment had passed before the first byte went out: nothing was written."""


class Fault(StrEnum):
    """What the network did instead of bringing an answer; the value is the reason as people read it."""

    NO_NAME = "the gateway's host name wasn't found"
    CERTIFICATE = "the gateway's TLS certificate was refused"
    TLS = "the TLS handshake failed"
    NO_CONNECTION = "no connection to the gateway"
    NO_CONNECTION_IN_TIME = "no connection to the gateway in time"
    STALE_CONNECTION = "the connection was no longer usable"
    NO_ANSWER_IN_TIME = "no complete answer in time"
    CLOSED = "the gateway closed the connection without an answer"
    CUT = "the answer was cut off"
    OVERSIZED = "the answer was too large"
    NOT_HTTP = "the answer wasn't valid HTTP"
    BROKEN = "the connection broke"
    CANCELLED = "the call was cancelled"
    BUG = "the client failed"


class Row(NamedTuple):
    """A line of the tables."""

    kind: Kind
    meaning: str


CODES: Final[Mapping[int, Row]] = {
    0: Row(Kind.ACCEPTED, "accepted"),
    1: Row(Kind.REFUSED, "a field isn't valid"),
    2: Row(Kind.REFUSED, "record not found"),
    3: Row(Kind.UNKNOWN, "unidentified application error"),
    4: Row(Kind.ACCOUNT, "the API has no such module"),
    5: Row(Kind.ACCOUNT, "the API has no such method"),
    6: Row(Kind.ACCOUNT, "the API has no such answer format"),
    8: Row(Kind.ACCOUNT, "the API key is wrong or expired"),
    9: Row(Kind.ACCOUNT, "the account has no access to this method"),
    10: Row(Kind.UNKNOWN, "the data could not be saved"),
    11: Row(Kind.REFUSED, "a parameter is missing or misnamed"),
    12: Row(Kind.REFUSED, "a parameter breaks a restriction"),
    13: Row(Kind.ACCOUNT, "the account belongs to another API server"),
    14: Row(Kind.ACCOUNT, "the account is blocked or deleted"),
    15: Row(Kind.UNKNOWN, "the operation failed"),
    30: Row(Kind.TRY_AGAIN, "too many calls"),
    98: Row(Kind.UNKNOWN, "done in part"),
    99: Row(Kind.TRY_AGAIN, "nothing was processed"),
    100: Row(Kind.UNKNOWN, "sent to background execution"),
    999: Row(Kind.UNKNOWN, "general service error"),
}
"""The API's codes in the contract's order. Any other is `UNLISTED_CODE`."""

UNLISTED_CODE: Final = Row(Kind.UNKNOWN, "a code that isn't documented")

STATUSES: Final[Mapping[int, Row]] = {
    # The API answers its own errors with 200. Without its envelope another server spoke: the web server or a proxy
    # before the application. Listed is what RFC 9110 defines as refused before it was applied, and no server is known
    # to say after the work was done. 403 isn't here: firewalls also put it in place of an answer they don't like.
    HTTPStatus.UNAUTHORIZED: Row(Kind.ACCOUNT, "the server asks for other credentials (HTTP 401)"),
    HTTPStatus.NOT_FOUND: Row(Kind.ACCOUNT, "the address isn't the API's (HTTP 404)"),
    HTTPStatus.METHOD_NOT_ALLOWED: Row(Kind.ACCOUNT, "the address takes no POST (HTTP 405)"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Row(Kind.REFUSED, "the message is too large for the server (HTTP 413)"),
    HTTPStatus.TOO_MANY_REQUESTS: Row(Kind.TRY_AGAIN, "too many calls (HTTP 429)"),
}
"""HTTP statuses that say something without the API's envelope. Any other is `UNLISTED_STATUS`."""

UNLISTED_STATUS: Final = Row(Kind.UNKNOWN, "a server's answer that leaves it open")
NO_ENVELOPE: Final = Row(Kind.UNKNOWN, "the answer isn't the API's")
NO_IDS: Final = Row(Kind.UNKNOWN, "accepted, but without valid ids")
CONTRADICTION: Final = Row(Kind.UNKNOWN, "the HTTP status contradicts the API's code")

_NOT_SENT: Final = frozenset({Kind.REFUSED, Kind.TRY_AGAIN, Kind.ACCOUNT})
_CAMPAIGN_STATUSES: Final = frozenset({1, 2})  # 1: waits for moderation; 2: sent without


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each call, and that would take three times as long
class Outcome:
    """What one call came to.

    Attributes:
        kind: What is known about the message.
        reason: The table's words for it: fixed, English, free of anything the message or the gateway said.
        code: The API's code, if the answer had a valid one.
        http_status: The HTTP status, if there was an answer.
        detail: The gateway's own sentences by field, or one for the whole; redacted, printable, of bounded length.
            For a fault of the network its technical name, or nothing.
        retry_after: Seconds the gateway asks to wait, at most an hour.
        message_id: The gateway's id of an accepted message.
        campaign_id: The id of the campaign it belongs to.
        campaign_status: 1 if the campaign waits for moderation, 2 if it was sent without.
    """

    kind: Kind
    reason: str
    code: int | None = None
    http_status: int | None = None
    detail: Mapping[str, str] | str = ""
    retry_after: float | None = None
    message_id: int | None = None
    campaign_id: int | None = None
    campaign_status: int | None = None


NOT_CALLED: Final = Outcome(kind=Kind.NOT_CALLED, reason="too late to call")


def classify(status: int, headers: Mapping[str, str], body: bytes, *, clean: Callable[[str], str]) -> Outcome:
    """Says what an answer to sendSmsMessage means.

    Args:
        status: The HTTP status.
        headers: The answer's headers, looked up as ``Retry-After`` and ``Date``.
        body: The whole body.
        clean: Takes out of a sentence what must not be shown: the recipient, the text, the key.

    Returns:
        The outcome; it never raises for anything a server can send.
    """
    envelope = read_envelope(body)
    if _done(envelope, status) and (accepted := _accepted(envelope.get("data"))):
        return accepted
    return _outcome(status, headers, envelope, clean)


class Data(NamedTuple):
    """What the gateway answered to a question: the envelope's ``data``, as it came."""

    value: Any


def read_data(status: int, headers: Mapping[str, str], body: bytes, *, clean: Callable[[str], str]) -> Data | Outcome:
    """Reads an answer to a method that changes nothing.

    Args:
        status: The HTTP status.
        headers: The answer's headers.
        body: The whole body.
        clean: As in `classify`.

    Returns:
        The data of a code 0 answer, whatever it is; else why there is none. It never raises for anything a server can
        send.
    """
    envelope = read_envelope(body)
    if _done(envelope, status):
        return Data(envelope.get("data"))
    return _outcome(status, headers, envelope, clean)


def classify_fault(fault: Fault, *, written: bool, detail: str = "") -> Outcome:
    """Says what the lack of an answer means.

    Args:
        fault: What the network did.
        written: Whether the first byte of the request may have left. It alone decides: without it the gateway certainly
            has nothing, with it nobody knows, whatever the fault looks like.
        detail: The fault's technical name, free of addresses and values.

    Returns:
        `Kind.TRY_AGAIN` if nothing was written, else `Kind.UNKNOWN`.
    """
    return Outcome(kind=Kind.UNKNOWN if written else Kind.TRY_AGAIN, reason=fault.value, detail=detail)


def _done(envelope: Mapping[str, Any] | None, status: int) -> TypeGuard[Mapping[str, Any]]:
    """Whether the API answers "done", and the HTTP status doesn't contradict it."""
    return envelope is not None and status == HTTPStatus.OK and whole_number(envelope.get("code")) == 0


def _outcome(
    status: int, headers: Mapping[str, str], envelope: Mapping[str, Any] | None, clean: Callable[[str], str]
) -> Outcome:
    """Says what any other answer means."""
    code = None if envelope is None else whole_number(envelope.get("code"))
    row = _row(status, code)
    return Outcome(
        kind=row.kind,
        reason=row.meaning,
        code=code,
        http_status=status,
        detail="" if envelope is None else read_detail(envelope, clean),
        retry_after=read_retry_after(headers),
    )


def _row(status: int, code: int | None) -> Row:
    """Finds the line of the tables, once an acceptance with valid ids is ruled out."""
    if code is None:
        return NO_ENVELOPE if status == HTTPStatus.OK else STATUSES.get(status, UNLISTED_STATUS)
    row = CODES.get(code, UNLISTED_CODE)
    if status == HTTPStatus.OK:
        return NO_IDS if row.kind is Kind.ACCEPTED else row
    # A status of the client's fault and a code of "not sent" say the same. Any other pair is two voices that disagree.
    refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return row if refused and row.kind in _NOT_SENT else CONTRADICTION


def _accepted(data: object) -> Outcome | None:
    """Reads the ids of a code 0 answer; None if any of them is missing or odd."""
    if not isinstance(data, dict):
        return None
    message_id = whole_number(data.get("messageId"))
    campaign_id = whole_number(data.get("campaignId"))
    campaign_status = whole_number(data.get("status"))
    if not (message_id and campaign_id and campaign_status in _CAMPAIGN_STATUSES):
        return None
    return Outcome(
        kind=Kind.ACCEPTED,
        reason=CODES[0].meaning,
        code=0,
        http_status=200,
        message_id=message_id,
        campaign_id=campaign_id,
        campaign_status=campaign_status,
    )
