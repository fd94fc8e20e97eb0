"""Delivery reports that the gateway posts to a web application: whose a call is, and of which message it tells.

A report's signature doesn't cover its data: who has seen one genuine call can send it again with any status and any
message. So a report is a hint to ask (`SmsQueue.ask_delivery`), and what it says of a message is never believed.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from smsq.errors import WebhookRefused
from smsq.gateway.envelope import whole_number

#: A report is smaller: whoever receives them needs to read no more of a body.
MOST_BYTES: Final = 64 * 1024

_REPORT: Final = "sms-delivery-report"
_SIGNED: Final = ("eventId", "attempt", "eventCreateTs")
_OLDEST: Final = 2 * 86_400.0
_EARLIEST: Final = 86_400.0  # clocks differ, and time zones are set wrongly


def reported_message(body: bytes, secret: str, *, zone: tzinfo = UTC, now: float | None = None) -> int | None:
    """Returns the message that a call of the gateway's webhook is about.

    Args:
        body: The request's body, JSON, as it came; `MOST_BYTES` at most.
        secret: The webhook's secret key, as in Mobizon's panel. Without one the gateway doesn't sign.
        zone: The account's time zone (`Settings.zone`), in which a report's time is written.
        now: The present, in Unix seconds; None for the clock's.

    Returns:
        The ``messageId``, for `SmsQueue.ask_delivery`: it may be anybody's. None for another event, which is to be
        answered with 2xx as well, or it comes again and again.

    Raises:
        ValueError: There is no secret.
        WebhookRefused: It isn't the gateway's, or is older than two days. To be answered with 403.
    """
    if not secret.strip():
        raise ValueError("the webhook's secret key is needed: without it anybody could call")
    event = _read(body)
    if not hmac.compare_digest(str(event.get("sign")).encode(errors="replace"), _sign(event, secret)):
        raise WebhookRefused("its signature is wrong")
    age = (time.time() if now is None else now) - _moment(event["eventCreateTs"], zone)
    if not -_EARLIEST <= age <= _OLDEST:
        raise WebhookRefused("it is older than two days, or of the future")
    data = event.get("data")
    if event.get("eventType") != _REPORT or not isinstance(data, dict):
        return None
    return whole_number(data.get("messageId")) or None


def _read(body: bytes) -> Mapping[str, Any]:
    if len(body) > MOST_BYTES:
        raise WebhookRefused("it is too large")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not all(type(event.get(name)) in (str, int) for name in _SIGNED):
        raise WebhookRefused("it isn't a call of the gateway's webhook, in JSON")
    return event


def _sign(event: Mapping[str, Any], secret: str) -> bytes:
    signed = "|".join([*(str(event[name]) for name in _SIGNED), secret])
    return hashlib.sha1(signed.encode(errors="replace"), usedforsecurity=False).hexdigest().encode()


def _moment(written: str | int, zone: tzinfo) -> float:
    """Reads a time, as the API writes it or as Unix seconds."""
    if (seconds := whole_number(written)) is not None:
        return float(seconds)
    try:
        return datetime.strptime(str(written), "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise WebhookRefused("its time can't be read") from None
