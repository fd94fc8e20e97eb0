"""The outbox, whichever framework's table it is in: a message as a row keeps it, and its way to the queue.

A row is written in the transaction that it belongs to, and handed to Redis after the commit. Whoever hands it over may
die before the row is marked: the idempotency key, made of the row's id, has the next one get the same job.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from smsq import IdempotencyConflict, InvalidSms, Sms, SmsQueue, message
from smsq.lanes import Lane

#: A job whose time is over before it reaches the queue is scheduled by so much, and expired by then: nobody calls.
_NEVER = timedelta(minutes=1)
_AT_ONCE = 0.001


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to enqueue a message: the arguments of `SmsQueue.enqueue`."""

    sms: Sms
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of a row: the job's id, or why there is none and never will be as it stands."""

    job_id: str | None
    error: str = ""


def pack(
    queue: SmsQueue,
    row_id: str,
    sms: Sms,
    *,
    lane: Lane = "normal",
    batch_id: str | None = None,
    idempotency_key: str | None = None,
    send_at: datetime | None = None,
    expires_in: float | None = None,
    on_unknown: Literal["ask", "resend"] = "ask",
) -> str:
    """Checks every rule of `SmsQueue.enqueue` and returns what the row stores until it is relayed.

    Args:
        queue: Whose settings the rules are checked by; Redis isn't asked.
        row_id: The row's id, unique among all tables: without another key, it makes the idempotency key.
        sms: The message.
        lane: As in `SmsQueue.enqueue`.
        batch_id: As in `SmsQueue.enqueue`.
        idempotency_key: As in `SmsQueue.enqueue`; None takes the row's id.
        send_at: As in `SmsQueue.enqueue`.
        expires_in: As in `SmsQueue.enqueue`, in seconds from now: time in the outbox counts.
        on_unknown: As in `SmsQueue.enqueue`.

    Raises:
        InvalidSms: The message, or an option, breaks a rule.
    """
    key = f"outbox:{row_id}" if idempotency_key is None else idempotency_key
    options = {"lane": lane, "batch_id": batch_id, "on_unknown": on_unknown}
    queue.check(sms, idempotency_key=key, send_at=send_at, expires_in=expires_in, **options)  # type: ignore[arg-type]
    now, settings = time.time(), queue.settings
    prepared = message.prepare(sms, zone=settings.zone, now=now, max_segments=settings.max_segments)
    stored = {
        "sms": message.dump(prepared),
        "rules": message.RULES_VERSION,
        "options": options | {"idempotency_key": key},
        "send_at": send_at and send_at.timestamp(),
        "expires": expires_in and now + expires_in,
    }
    return json.dumps(stored)


def hand_over(queue: SmsQueue, payload: str) -> Handed:
    """Hands a row's message to the queue; again, it gives the same job.

    Args:
        queue: The queue.
        payload: What `pack` returned.

    Raises:
        QueueUnavailable: Redis didn't confirm; the row waits.
    """
    refused = "unreadable"
    for offer in _offers(payload, time.time()):
        try:
            return Handed(queue.enqueue(offer.sms, **offer.options).id)
        except (InvalidSms, IdempotencyConflict) as error:  # neither repeats a number, a text or a key
            refused = str(error)
    return Handed(None, refused)


def _offers(payload: str, now: float) -> Iterator[Offer]:
    """The ways to enqueue a row, to be tried in turn until one isn't refused."""
    try:
        stored = json.loads(payload)
        sms = message.load(stored["sms"], trusted=stored["rules"] == message.RULES_VERSION)
        options: dict[str, Any] = dict(stored["options"])
        send_at, expires = stored["send_at"], stored["expires"]
    except (ValueError, KeyError, TypeError):
        return
    if send_at is not None:
        options["send_at"] = datetime.fromtimestamp(send_at, UTC)
    if expires is not None and expires > now:
        options["expires_in"] = max(_AT_ONCE, expires - now)
    elif expires is not None:
        options |= {"send_at": datetime.fromtimestamp(now, UTC) + _NEVER, "expires_in": _AT_ONCE}
    yield Offer(sms, options)
    if sms.deferred_to is not None:
        # Less than an hour is left, which the gateway refuses: our own schedule sends it, as it does for slow queues.
        plain = Sms(**{name: getattr(sms, name) for name in sms.model_fields_set if name != "deferred_to"})
        yield Offer(plain, {"send_at": sms.deferred_to} | options)
