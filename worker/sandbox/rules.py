"""The rules of sendSmsMessage's parameters, written from the API's documentation; each can be broken by itself.

What breaks a rule is refused with code 1, and `data` maps each broken field to a sentence: all of them at once. A
parameter that is missing or that the method doesn't know is code 11. The sentences never repeat what was sent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from worker.sandbox import times
from worker.sandbox.envelope import INVALID, MISNAMED, ApiError
from worker.sandbox.form import Form

ENVELOPE_PARAMETERS: Final = frozenset({"apiKey", "output", "api"})
"""Parameters of every method: who calls, and in which format the answer is wanted."""

_REQUIRED: Final = frozenset({"recipient", "text"})
_OPTIONAL: Final = frozenset(
    {"from", "params[name]", "params[deferredToTs]", "params[mclass]", "params[validity]", "params[shortenLinks]"}
)

HOUR: Final = 3600
DAY: Final = 24 * HOUR

_INTERNATIONAL: Final = re.compile(r"\+?([1-9][0-9]{6,14})")  # ITU-T E.164: no code begins with 0, 15 digits at most
_TRUNK_8: Final = re.compile(r"8[0-9]{10}")  # how Kazakhstan and Russia dial at home; no country has such numbers
_OF_ZONE_7: Final = re.compile(r"7[0-9]{10}")
_MINUTES: Final = re.compile(r"[1-9][0-9]{1,3}")
_LONGEST_NAME: Final = 255
_LEAST_VALIDITY, _MOST_VALIDITY = 60, 1440
_INBOX: Final = 1


@dataclass(frozen=True, slots=True)
class Order:
    """A message that keeps all rules.

    Attributes:
        recipient: Digits, without a plus.
        text: As sent.
        sender: The wanted signature, or None.
        name: The campaign's name, or None.
        deferred_to: When sending shall begin (seconds since 1970), or None for at once.
        mclass: 0 for a flash message, 1 for an ordinary one.
        validity: Minutes that the operator keeps trying.
        shorten_links: Whether links are to be shortened.
    """

    recipient: str
    text: str
    sender: str | None
    name: str | None
    deferred_to: float | None
    mclass: int
    validity: int
    shorten_links: bool


def check(form: Form, *, now: float, zone: ZoneInfo) -> Order:
    """Applies every rule.

    Args:
        form: What was sent.
        now: The gateway's time, in seconds since 1970.
        zone: The account's time zone, which `params[deferredToTs]` is in.

    Returns:
        The message.

    Raises:
        ApiError: Code 11 for a missing or unknown parameter, else code 1 with a sentence for each broken field.
    """
    names = set(form.names) - ENVELOPE_PARAMETERS
    if form.lists or not names >= _REQUIRED or names - _REQUIRED - _OPTIONAL:
        raise ApiError(MISNAMED)
    faults = {name: fault for name, fault in form.faults.items() if name not in ENVELOPE_PARAMETERS}
    for name, value in form.values.items():
        rule = _RULES.get(name)
        if rule is not None and (fault := rule(value)) is not None:
            faults[name] = fault
    written = form.values.get("params[deferredToTs]")
    deferred_to = None if written is None else times.read(written, zone)
    if written is not None and (fault := _deferral_fault(deferred_to, now)) is not None:
        faults["params[deferredToTs]"] = fault
    if faults:
        raise ApiError(INVALID, dict(faults))
    return Order(
        recipient=form.values["recipient"].removeprefix("+"),
        text=form.values["text"],
        sender=form.values.get("from") or None,
        name=form.values.get("params[name]") or None,
        deferred_to=deferred_to,
        mclass=int(form.values.get("params[mclass]", _INBOX)),
        validity=int(form.values.get("params[validity]", _MOST_VALIDITY)),
        shorten_links=form.values.get("params[shortenLinks]") == "1",
    )


def _recipient_fault(value: str) -> str | None:
    found = _INTERNATIONAL.fullmatch(value)
    if found is None:
        return "must be an international number of 7 to 15 digits"
    digits = found[1]
    if _TRUNK_8.fullmatch(digits):
        return "must begin with the country code, not with the trunk prefix 8"
    if digits.startswith("7") and not _OF_ZONE_7.fullmatch(digits):
        return "must have 11 digits after the country code 7 is counted in"
    return None


def _text_fault(value: str) -> str | None:
    return None if value else "must not be empty"


def _name_fault(value: str) -> str | None:
    return f"must have at most {_LONGEST_NAME} characters" if len(value) > _LONGEST_NAME else None


def _flag_fault(value: str) -> str | None:
    return None if value in {"0", "1"} else "must be 0 or 1"


def _validity_fault(value: str) -> str | None:
    if _MINUTES.fullmatch(value) and _LEAST_VALIDITY <= int(value) <= _MOST_VALIDITY:
        return None
    return f"must be a whole number of minutes from {_LEAST_VALIDITY} to {_MOST_VALIDITY}"


def _deferral_fault(moment: float | None, now: float) -> str | None:
    if moment is None:
        return "must be a time that exists, written YYYY-MM-DD HH:MM:SS"
    # The gateway counts in whole seconds, as the parameter does.
    if not HOUR <= moment - int(now) <= 14 * DAY:
        return "must be at least one hour and at most 14 days from now"
    return None


_RULES: Final[dict[str, Callable[[str], str | None]]] = {
    "recipient": _recipient_fault,
    "text": _text_fault,
    "params[name]": _name_fault,
    "params[mclass]": _flag_fault,
    "params[validity]": _validity_fault,
    "params[shortenLinks]": _flag_fault,
}
"""`from` has none: one that can't be used is replaced in silence, whatever it looks like."""
