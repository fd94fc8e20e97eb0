"""What happens to a message between the user and the gateway: it is prepared, stored, read again and sent.

The rules of each field are in ``smsq.rules``, ``smsq.recipient`` and ``smsq.deferral``; they are the same wherever a
message enters. ``Sms`` applies those that hold at any time, ``prepare`` adds those that need the present and the
account's settings, and ``load`` applies the first again to what comes off the queue.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from pydantic_core import from_json, to_json

from smsq.deferral import resolve, wire_time
from smsq.errors import InvalidSms
from smsq.rules import TOKEN_LENGTH
from smsq.sms import API_NAMES, OPTIONAL, UNKNOWN, WHOLE, Sms

__all__ = ["RULES_VERSION", "TOKEN_LENGTH", "Sms", "api_form", "content_hash", "dump", "load", "prepare"]

RULES_VERSION: Final = 1
"""Grows when a rule changes: a record that passed this version needs no second look."""

_HEAD: Final = '{"recipient":"'

# At worst a segment holds 33 characters, all of them surrogate pairs.
_FEWEST_CHARACTERS: Final = 33


def prepare(sms: Sms, *, zone: ZoneInfo, now: float | None, max_segments: int) -> Sms:
    """Applies the rules that need the present and the account's settings, before a message is stored.

    Args:
        sms: The message as the user gave it.
        zone: The account's zone, which a moment without an offset is in.
        now: The present, in Unix seconds; None leaves open how far ahead its moment is.
        max_segments: The most segments that a message may be billed as.

    Returns:
        The message, with ``deferred_to`` in UTC and whole seconds.

    Raises:
        InvalidSms: The text takes more segments, or the moment can't be told to the gateway (``smsq.deferral``).
    """
    problems: dict[str, str] = {}
    if len(sms.text) > _FEWEST_CHARACTERS * max_segments and (size := sms.segments).billed > max_segments:
        problems["text"] = f"takes {size.billed} segments in {size.encoding}, and at most {max_segments} are allowed"
    instant = None
    if sms.deferred_to is not None:
        try:
            instant = resolve(sms.deferred_to, zone=zone, now=now)
        except ValueError as error:
            problems["deferredToTs"] = str(error)
    if problems:
        raise InvalidSms(problems)
    return sms if instant is None else sms.model_copy(update={"deferred_to": instant})


def dump(sms: Sms) -> str:
    """Writes a message as the ledger stores it.

    Args:
        sms: A prepared message.

    Returns:
        A compact JSON object of the parameters that were given, by their API names in a fixed order, with
        ``deferredToTs`` in Unix seconds. Equal messages give equal text.

    Raises:
        ValueError: The message is deferred and wasn't prepared.
    """
    given = vars(sms)
    record: dict[str, str | int] = {"recipient": sms.recipient, "text": sms.text}
    for name, api_name in OPTIONAL.items():
        if (value := given[name]) is not None:
            record[api_name] = value
    if (instant := _instant(sms)) is not None:
        record["deferredToTs"] = int(instant.timestamp())
    if sms.shorten_links is not None:
        record["shortenLinks"] = int(sms.shorten_links)
    return to_json(record).decode()


def recipient_of(dumped: str) -> str:
    """Returns the number of what `dump` wrote, unread: it comes first, and is digits."""
    return dumped[len(_HEAD) : dumped.index('"', len(_HEAD))]


def load(raw: str | bytes, *, trusted: bool = False) -> Sms:
    """Reads what ``dump`` wrote, and refuses what it can't have written.

    Args:
        raw: The JSON object from the ledger's record.
        trusted: The record says that the message has passed this ``RULES_VERSION``: it isn't judged again, so a table
            of phone numbers that has changed since can't fail a job that was accepted.

    Returns:
        A prepared message.

    Raises:
        InvalidSms: It isn't a JSON object, or at least one field is missing, unknown or breaks a rule.
    """
    try:
        record = from_json(raw, cache_strings="keys")
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise InvalidSms({WHOLE: "isn't a JSON object"})
    problems: dict[str, str] = {}
    if not API_NAMES.issuperset(record):
        problems = dict.fromkeys(record.keys() - API_NAMES, UNKNOWN)
        record = {name: record[name] for name in record.keys() & API_NAMES}
    if "deferredToTs" in record:
        try:
            record["deferredToTs"] = _stored_instant(record["deferredToTs"])
        except ValueError as error:
            problems["deferredToTs"] = str(error)
            del record["deferredToTs"]
    if trusted:
        problems |= {name: "must be a string" for name in ("recipient", "text") if type(record.get(name)) is not str}
    else:
        try:
            sms = Sms.model_validate(record)
        except InvalidSms as error:
            problems = error.errors | problems
    if problems:
        raise InvalidSms(problems)
    return Sms.of_record(record) if trusted else sms


def content_hash(sms: Sms) -> str:
    """Tells whether two prepared messages are the same one, for idempotency keys.

    Args:
        sms: A prepared message.

    Returns:
        A digest of 32 hexadecimal digits, the same for equal messages.

    Raises:
        ValueError: The message is deferred and wasn't prepared.
    """
    return hashlib.blake2b(dump(sms).encode(), digest_size=16).hexdigest()


def campaign_token(job_id: str) -> str:
    """Returns the mark that a job's campaign name ends with, of `TOKEN_LENGTH` characters; the same for all tries."""
    return f"#{job_id}"


def api_form(sms: Sms, *, zone: ZoneInfo, token: str, deferred: bool = True) -> dict[str, str]:
    """Writes the form fields of sendSmsMessage, but for the account's key.

    Args:
        sms: A prepared message.
        zone: The account's zone, in which the API's times are.
        token: The job's own mark (`campaign_token`), by which its campaign is found again; '' for none.
        deferred: False leaves ``deferredToTs`` out: the gateway is to send at once (``smsq.deferral.who_defers``).

    Returns:
        Field names and values, not encoded. Optional parameters that weren't given are left to the gateway's defaults.

    Raises:
        ValueError: The message is deferred and wasn't prepared.
    """
    form = {"recipient": sms.recipient, "text": sms.text}
    if sms.sender is not None:
        form["from"] = sms.sender
    if name := " ".join(filter(None, (sms.name, token))):
        form["params[name]"] = name
    if (instant := _instant(sms)) is not None and deferred:
        form["params[deferredToTs]"] = wire_time(instant, zone)
    if sms.mclass is not None:
        form["params[mclass]"] = str(sms.mclass)
    if sms.validity is not None:
        form["params[validity]"] = str(sms.validity)
    if sms.shorten_links is not None:
        form["params[shortenLinks]"] = "1" if sms.shorten_links else "0"
    return form


def _instant(sms: Sms) -> datetime | None:
    """Returns when a prepared message is to leave; a moment as users write it must not be taken for an instant."""
    moment = sms.deferred_to
    if moment is not None and (moment.tzinfo is not UTC or moment.microsecond):
        raise ValueError("a deferred message must be prepared before it is stored or sent")
    return moment


def _stored_instant(value: object) -> datetime:
    """Reads the ledger's form of a moment."""
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        pass
    raise ValueError("must be a moment in whole Unix seconds")
