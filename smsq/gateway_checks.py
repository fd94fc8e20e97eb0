"""Whether the gateway takes our key, what the account has, and what the clocks say: one call, judged.

The command line does without the worker's HTTP client, so this is the standard library's: no proxy of the environment,
no redirect, one limit over everything. The key goes in the form's body only.
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pydantic import AnyHttpUrl, SecretStr

from smsq.gateway.answers import Data, Fault, Kind, Outcome, read_data
from smsq.privacy import redact
from smsq.server_checks import Finding

#: Seconds for the whole call, and bytes of its answer.
TIMEOUT: Final = 5.0
_MAX_BYTES: Final = 64 * 1024
#: Seconds by which two clocks may differ before it is told, and before schedules and expiries are plainly wrong.
SKEWED: Final = 5.0
WRONG: Final = 60.0

_METHOD: Final = "service/user/getownbalance?output=json&api=v1"
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "smsq"}
_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,8})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")

#: What to do about an account's errors, by the API's code; 404 and 405 are HTTP's.
_REMEDIES: Final = {
    8: "set MOBIZON_API_KEY to the key that the panel shows, allow this machine's address to it, restart the workers",
    9: "allow this method to the key in the panel",
    13: "set MOBIZON_API_URL to the server of the account's country",
    14: "ask the provider",
    404: "set MOBIZON_API_URL to the account's API server",
    405: "set MOBIZON_API_URL to the account's API server",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when by this machine's clock (unix seconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the key would go along."""

    def redirect_request(self, *_: object) -> None:
        return None


def ask_balance(url: AnyHttpUrl, key: SecretStr, timeout: float = TIMEOUT) -> Answer | Fault:
    """Calls user/getOwnBalance once.

    Args:
        url: The account's API server.
        key: The account's key.
        timeout: Seconds from the name's resolution to the answer's last byte.

    Returns:
        The answer, whatever it is, or why there is none.
    """
    # In a thread, because the library's own limit is for each read: an answer that drips would go on for hours.
    came: SimpleQueue[Answer | Fault] = SimpleQueue()
    threading.Thread(target=lambda: came.put(_exchange(url, key, timeout)), daemon=True).start()
    try:
        return came.get(timeout=timeout)
    except Empty:
        return Fault.NO_ANSWER_IN_TIME


def _exchange(url: AnyHttpUrl, key: SecretStr, timeout: float) -> Answer | Fault:
    opener = build_opener(ProxyHandler({}), _NoRedirect())
    form = urlencode({"apiKey": key.get_secret_value()}).encode()
    sent = time.time()
    try:
        try:
            answer = opener.open(Request(f"{str(url).rstrip('/')}/{_METHOD}", form, _HEADERS), timeout=timeout)  # noqa: S310 - http or https, by its type
        except HTTPError as error:
            answer = error
        received = time.time()
        with answer:
            body = answer.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a URL that the library can't read
        return _fault(error.reason if isinstance(error, URLError) else error)
    if len(body) > _MAX_BYTES:
        return Fault.OVERSIZED
    return Answer(answer.status, answer.headers, body, sent, received)


def _fault(error: object) -> Fault:
    """Names what happened without the exception's own words, which may hold anything."""
    match error:
        case socket.gaierror():
            return Fault.NO_NAME
        case ssl.SSLCertVerificationError():
            return Fault.CERTIFICATE
        case ssl.SSLError():
            return Fault.TLS
        case TimeoutError():
            return Fault.NO_ANSWER_IN_TIME
        case http.client.RemoteDisconnected() | ConnectionResetError():
            return Fault.CLOSED
        case http.client.IncompleteRead():
            return Fault.CUT
        case http.client.HTTPException():
            return Fault.NOT_HTTP
        case _:
            return Fault.NO_CONNECTION


def check_account(answer: Answer, key: SecretStr) -> Finding:
    """Judges whether the key is taken, and the balance.

    Args:
        answer: What `ask_balance` returned.
        key: The key, which is taken out of all that the gateway says.
    """
    clean = partial(redact, secrets=(key.get_secret_value(),))
    read = read_data(answer.status, answer.headers, answer.body, clean=clean)
    if isinstance(read, Outcome):
        return _refusal(read)
    return _balance(read)


def _refusal(outcome: Outcome) -> Finding:
    code = "" if outcome.code is None else f"code {outcome.code}: "
    said = outcome.detail if isinstance(outcome.detail, str) else "; ".join(outcome.detail.values())
    text = f"{code}{outcome.reason}" + (f" ({said})" if said else "")
    if outcome.kind is Kind.TRY_AGAIN:
        return Finding("gateway", "warn", f"{text}; whether the key is valid shows later")
    remedy = _REMEDIES.get(outcome.code or outcome.http_status or 0, "look at the gateway's status, and try again")
    return Finding("gateway", "fail", f"{text}; {remedy}")


def _balance(data: Data) -> Finding:
    value = data.value if isinstance(data.value, dict) else {}
    amount, currency = str(value.get("balance")), str(value.get("currency"))
    if not (_AMOUNT.fullmatch(amount) and _CURRENCY.fullmatch(currency)):
        return Finding("gateway", "fail", "the key is taken, but the balance can't be read: is MOBIZON_API_URL right?")
    if Decimal(amount) <= 0:
        return Finding("gateway", "warn", f"the key is valid, the balance is {amount} {currency}: pay in, or jobs wait")
    return Finding("gateway", "ok", f"the key is valid, the balance is {amount} {currency}")


def check_clock(answer: Answer) -> Finding:
    """Compares this machine's clock with the answer's `Date`, which has whole seconds."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date") or "").timestamp()
    except (ValueError, OverflowError):
        return Finding("clock", "warn", "the gateway doesn't say its time, so this machine's clock wasn't compared")
    ahead = distance(date, date + 1, answer.sent, answer.received)
    return skew("clock", "this machine's clock", "the gateway's", ahead)


def distance(earliest: float, latest: float, sent: float, received: float) -> float:
    """Returns by how many seconds our clock is certainly ahead of another's; negative if it is behind.

    Args:
        earliest: The least that the other clock can have shown, unix seconds.
        latest: The most.
        sent: When it was asked, by ours.
        received: When it had answered, by ours.
    """
    if sent > latest:
        return sent - latest
    return min(0.0, received - earliest)


def skew(name: str, whose: str, other: str, ahead: float) -> Finding:
    """Judges by how many seconds a clock is ahead of another, or behind it."""
    off = abs(ahead)
    if off <= SKEWED:
        return Finding(name, "ok", f"{whose} agrees with {other}")
    way = "ahead of" if ahead > 0 else "behind"
    text = f"{whose} is {off:.0f} s {way} {other}: what is scheduled or expires is off by that; set both by NTP"
    return Finding(name, "fail" if off > WRONG else "warn", text)
