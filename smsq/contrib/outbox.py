"""The outbox, whichever framework's table it is in: a message as a row keeps it, and its way to the queue.

A row is written in the transaction that it belongs to, and handed to Redis after the commit. Whoever hands it over may
die before the row is marked: the idempotency key, made of the row's id, has the next one get the same job.

With `SMSQ_ENCRYPTION_KEY` a row is encrypted as a job's record is, as a whole and under its id. One whose key a relay
lacks waits for a relay that has it.
"""

import base64
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, TypedDict, Unpack

from smsq import IdempotencyConflict, InvalidSms, Job, Sms, SmsQueue, message
from smsq.encryption import NONCE, Cipher, open_message
from smsq.lanes import Lane

_log = logging.getLogger("smsq.outbox")

#: A job whose time is over before it reaches the queue is scheduled by so much, and expired by then: nobody calls.
_NEVER = timedelta(minutes=1)
_AT_ONCE = 0.001
#: Rows that a relay reads, and marks, at a time.
BATCH: Final = 100
#: The field of a payload that holds the others, encrypted and in base64.
_SEALED: Final = "sealed"


class State(StrEnum):
    """Where a row is."""

    WAITING = "waiting"
    RELAYED = "relayed"
    REFUSED = "refused"


class Options(TypedDict, total=False):
    """The options of `SmsQueue.enqueue`, with its defaults.

    Attributes:
        lane: ``urgent``, ``normal`` or ``bulk``.
        batch_id: A name to count and cancel jobs by.
        idempotency_key: None takes the row's id.
        send_at: An aware datetime; the job waits until then.
        expires_in: Seconds from now after which the gateway isn't called; time in the outbox counts.
        on_unknown: What happens when an answer is lost.
    """

    lane: Lane
    batch_id: str | None
    idempotency_key: str | None
    send_at: datetime | None
    expires_in: float | None
    on_unknown: Literal["ask", "resend"]


class Payload(str):
    """What a row stores until it is relayed. Number and text may be in it: logs of SQL and errors don't show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """What is logged in its place."""
        return "'[payload]'"

    __sentry_repr__ = __repr__  # of local variables; it would take a string as it is


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

    @property
    def state(self) -> State:
        """The row's state from now on."""
        return State.REFUSED if self.error else State.RELAYED

    @property
    def changes(self) -> dict[str, str]:
        """What is written to the row, by column. A payload that the queue has is erased."""
        marked = {"state": str(self.state), "job_id": self.job_id or "", "error": self.error}
        return marked if self.error else marked | {"payload": ""}


def pack(queue: SmsQueue, row_id: str, sms: Sms, **options: Unpack[Options]) -> Payload:
    """Checks every rule of `SmsQueue.enqueue` and returns what the row stores until it is relayed.

    Args:
        queue: Whose settings the rules are checked by; Redis isn't asked.
        row_id: The row's id, unique among all tables: without another key, it makes the idempotency key.
        sms: The message.
        **options: See `Options`.

    Raises:
        InvalidSms: The message, or an option, breaks a rule.
    """
    queue.check(sms, **options)
    now, settings = time.time(), queue.settings
    prepared = message.prepare(sms, zone=settings.zone, now=now, max_segments=settings.max_segments)
    send_at, expires_in = options.pop("send_at", None), options.pop("expires_in", None)
    if options.get("idempotency_key") is None:
        options["idempotency_key"] = f"outbox:{row_id}"
    stored = {
        "sms": message.dump(prepared),
        "rules": message.RULES_VERSION,
        "options": options,
        "send_at": send_at and send_at.timestamp(),
        "expires": expires_in and now + expires_in,
    }
    plain = json.dumps(stored)
    return Payload(_sealed(settings.cipher, plain, row_id, prepared.recipient) if settings.cipher else plain)


def hand_over(
    queue: SmsQueue, row_id: str, payload: str, written: datetime, *, enqueue: Callable[..., Job] | None = None
) -> Handed:
    """Hands a row's message to the queue; again, it gives the same job.

    Args:
        queue: The queue, whose settings have the keys.
        row_id: The row's id, as `pack` was given it.
        payload: What `pack` returned.
        written: When the row was written.
        enqueue: How the queue is asked; None takes `SmsQueue.enqueue`.

    Raises:
        QueueUnavailable: Redis didn't confirm; the row waits.
        NoKey: The row is encrypted by a key that the queue's settings don't have; it waits.
    """
    payload = Payload(payload)
    stored = _stored(payload)
    since = max(written.timestamp(), _released(stored))
    if time.time() - since >= queue.settings.retention_ms / 1000:
        # If it was handed over and not marked, its key may be forgotten by now.
        return Handed(None, "older than idempotency keys are kept: it may have been sent")
    try:
        stored = _opened(queue.settings.cipher, stored, row_id)
    except InvalidSms as error:
        return Handed(None, str(error))
    refused = "unreadable"
    for offer in _offers(stored, time.time()):
        try:
            return Handed((enqueue or queue.enqueue)(offer.sms, **offer.options).id)
        except (InvalidSms, IdempotencyConflict) as error:  # neither repeats a number, a text or a key
            refused = str(error)
    return Handed(None, refused)


def release(payload: str) -> Payload:
    """Returns a refused row's payload as it is to be offered again: its age counts from now, by a person's word."""
    stored = _stored(payload)
    return Payload(json.dumps(stored | {"released": time.time()}) if stored else payload)


class Unread:
    """Tells how many rows a relay can't decrypt: once, and again when they become more or fewer. Thread-safe enough."""

    def __init__(self) -> None:
        self._told = 0

    def tell(self, count: int) -> None:
        """Logs it.

        Args:
            count: How many rows were left waiting by this look at the table, for lack of their key.
        """
        if count and count != self._told:
            _log.warning(
                "outbox: rows that wait for a relay that has their key: %d. Give this one the keys of those who"
                " enqueued them (SMSQ_ENCRYPTION_KEY)",
                count,
            )
        self._told = count


unread: Final = Unread()


def _sealed(cipher: Cipher, plain: str, row_id: str, number: str) -> str:
    sealed = cipher.seal_message(plain, _owner(row_id), number, secrets.token_bytes(NONCE))
    return json.dumps({_SEALED: base64.b64encode(sealed).decode()})


def _opened(cipher: Cipher | None, stored: dict[str, Any], row_id: str) -> dict[str, Any]:
    """Returns what a payload holds, decrypted if it is encrypted; empty if a foreign hand has damaged it.

    Raises:
        NoKey: Its key isn't known here.
        InvalidSms: It was changed since it was encrypted, or is another row's.
    """
    if _SEALED not in stored:
        return stored
    try:
        sealed = base64.b64decode(stored[_SEALED], validate=True)
    except (ValueError, TypeError):
        return {}
    return _stored(open_message(cipher, sealed, _owner(row_id)).decode(errors="replace"))


def _owner(row_id: str) -> str:
    """As whose a row is encrypted, beside the jobs' own ids."""
    return f"outbox:{row_id}"


def _stored(payload: str) -> dict[str, Any]:
    """Reads a payload; empty if a foreign hand has damaged it."""
    try:
        stored = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _released(stored: dict[str, Any]) -> float:
    """When a person released the row, in Unix seconds; 0 if nobody did."""
    released = stored.get("released", 0)
    return released if isinstance(released, int | float) else 0


def _offers(stored: dict[str, Any], now: float) -> Iterator[Offer]:
    """The ways to enqueue a row, to be tried in turn until one isn't refused; none if it can't be read.

    An option that isn't known may come from a newer version: without it, something else would be sent.
    """
    try:
        sms = message.load(stored["sms"], trusted=stored["rules"] == message.RULES_VERSION)
        options: dict[str, Any] = dict(stored["options"])
        send_at, expires = stored["send_at"], stored["expires"]
        if not options.keys() <= Options.__annotations__.keys():
            return
        if send_at is not None:
            options["send_at"] = datetime.fromtimestamp(send_at, UTC)
        if expires is not None and expires > now:
            options["expires_in"] = max(_AT_ONCE, expires - now)
        elif expires is not None:
            options |= {"send_at": datetime.fromtimestamp(now, UTC) + _NEVER, "expires_in": _AT_ONCE}
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return
    yield Offer(sms, options)
    if sms.deferred_to is not None:
        # Less than an hour is left, which the gateway refuses: our own schedule sends it, as it does for slow queues.
        plain = Sms(**{name: getattr(sms, name) for name in sms.model_fields_set if name != "deferred_to"})
        yield Offer(plain, {"send_at": sms.deferred_to} | options)
