"""The rules of sendSmsMessage for each field on its own, but for the recipient's, which has a module to itself.

Each function takes what the user gave and returns what is kept, or raises ``ValueError`` with the rule in words that
can be shown to anyone: they never repeat the value. None stands for an optional parameter that wasn't given.

What the gateway's documentation leaves open is decided here, towards refusing: what gets past this door and is then
refused by the gateway costs a call and an answer that comes too late for the person who could mend it.
"""

import re
import unicodedata
from datetime import datetime
from typing import Final

TOKEN_LENGTH: Final = 21
"""The longest token that is put behind the campaign's name: ``#`` and a job id of 20 characters."""

_LONGEST_CAMPAIGN_NAME: Final = 255
LONGEST_NAME: Final = _LONGEST_CAMPAIGN_NAME - len(" ") - TOKEN_LENGTH
"""What is left of the campaign's 255 characters for the user's part of the name."""

_LONGEST_SENDER: Final = 11

# Line feed, carriage return and form feed are in the GSM alphabet and a tab is sent as UCS-2. Any other control
# character shows nothing on a phone and means that the text was cut or decoded wrongly on its way here.
_NO_CHARACTERS: Final = "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_SEVERAL_LINES: Final = "\t\n\f\r\u2028\u2029"
_NOT_IN_TEXT: Final = re.compile(f"[{_NO_CHARACTERS}]")
_NOT_IN_NAME: Final = re.compile(f"[{_NO_CHARACTERS}{_SEVERAL_LINES}]")

# The originator's address of an SMS (3GPP 23.040, TP-OA) is a number or 11 characters of the GSM alphabet. Of these,
# what is ASCII: no operator registers signatures with others. Which ones the account owns only the gateway knows.
_SENDER_CHARACTERS: Final = r"""[A-Za-z0-9 !"#$%&'()*+,\-./:;<=>?@_]"""
_SENDER: Final = re.compile(
    rf"\+?[0-9]{{1,15}}|(?=.*[A-Za-z0-9])(?! ){_SENDER_CHARACTERS}{{1,{_LONGEST_SENDER}}}(?<! )"
)
_SENDER_OF_ANY_LENGTH: Final = re.compile(f"{_SENDER_CHARACTERS}*")

_WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_API_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_TIME_FORM: Final = "must be a datetime, or a string such as 2026-12-01 10:00:00 (the account's time)"


def check_text(value: object) -> str:
    """Takes any text that holds something to read, exactly as it is.

    Args:
        value: What was given as ``text``.

    Returns:
        The same characters.

    Raises:
        ValueError: It isn't a string, holds nothing but white space, or holds a character that is none: a control
            character other than tab and line breaks, half a surrogate pair, a Unicode noncharacter.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueError
    # What is printable holds none of the characters that are refused, and asking is much cheaper than searching.
    if not value.replace("\n", " ").isprintable() and (wrong := _NOT_IN_TEXT.search(value)):
        raise ValueError(_describe(wrong[0]))
    if not value or value.isspace():
        raise ValueError("is empty: give at least one character that isn't white space")
    return value


def check_sender(value: object) -> str | None:
    """Takes what can be a sender's signature; whether it is registered only the gateway knows.

    Args:
        value: What was given as ``from``.

    Returns:
        The signature as it is.

    Raises:
        ValueError: It is neither a number of up to 15 digits nor up to 11 characters of ASCII that GSM 03.38 has, with
            a letter or digit among them and no space at either end.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueError
    if _SENDER.fullmatch(value):
        return value
    if not value:
        raise ValueError("is empty: leave it out for the account's default signature")
    if not _SENDER_OF_ANY_LENGTH.fullmatch(value):
        raise ValueError("must be Latin letters, digits, spaces and signs such as . - _ &")
    if len(value) > _LONGEST_SENDER:
        raise ValueError(f"must be at most {_LONGEST_SENDER} characters, or 15 digits if it is a number")
    if value.startswith(" ") or value.endswith(" "):
        raise ValueError("must not start or end with a space")
    raise ValueError("must hold a letter or a digit")


def check_name(value: object) -> str | None:
    """Takes a name for the campaign that leaves room for the token which tells our jobs apart.

    Args:
        value: What was given as ``params[name]``.

    Returns:
        The name as it is.

    Raises:
        ValueError: It isn't a string, is blank, too long, or holds a line break or another control character.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueError
    if not value or value.isspace():
        raise ValueError("is empty: leave it out instead")
    if len(value) > LONGEST_NAME:
        raise ValueError(
            f"must be at most {LONGEST_NAME} characters: of the gateway's {_LONGEST_CAMPAIGN_NAME},"
            f" {_LONGEST_CAMPAIGN_NAME - LONGEST_NAME} are taken by the job's own mark"
        )
    if not value.isprintable() and (wrong := _NOT_IN_NAME.search(value)):
        raise ValueError(_describe(wrong[0]))
    return value


def check_mclass(value: object) -> int | None:
    """Takes 0 or 1.

    Args:
        value: What was given as ``params[mclass]``.

    Returns:
        The number.

    Raises:
        ValueError: It is anything else, ``True`` and ``1.0`` included.
    """
    return _whole_number(value, range(2), "must be 0 (flash: shown, stored nowhere) or 1 (stored in the inbox)")


def check_validity(value: object) -> int | None:
    """Takes 60 to 1440 whole minutes.

    Args:
        value: What was given as ``params[validity]``, in minutes.

    Returns:
        The minutes.

    Raises:
        ValueError: It is anything else.
    """
    return _whole_number(value, range(60, 1441), "must be a whole number of minutes from 60 to 1440")


def check_shorten_links(value: object) -> bool | None:
    """Takes a truth value, or the API's 0 or 1.

    Args:
        value: What was given as ``params[shortenLinks]``.

    Returns:
        True if the service is to shorten the links in the text.

    Raises:
        ValueError: It is anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    return bool(_whole_number(value, range(2), "must be true or false (1 or 0 in the API's form)"))


def check_deferred_to(value: object) -> datetime | None:
    """Takes a moment: a ``datetime``, the API's string or the ISO 8601 one that JSON carries.

    How far ahead it may be depends on the present and on the account's zone: ``smsq.deferral`` looks at that.

    Args:
        value: What was given as ``params[deferredToTs]``; without an offset it is in the account's zone.

    Returns:
        The moment, with or without an offset as it was given.

    Raises:
        ValueError: It is neither, a date alone and a number included.
    """
    if value is None or isinstance(value, datetime):
        return value
    if not (isinstance(value, str) and _API_TIME.fullmatch(value)):
        raise ValueError(_TIME_FORM)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("isn't a date and time that the calendar has") from None


def _whole_number(value: object, allowed: range, rule: str) -> int | None:
    """Takes an integer or, since forms carry strings, one in ASCII digits without sign, spaces or leading zeros."""
    if value is None:
        return None
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise ValueError(rule)
    return value


def _describe(wrong: str) -> str:
    """Says which character is refused: none of these can be seen, and none says anything about the rest."""
    code = f"U+{ord(wrong):04X}"
    if wrong in _SEVERAL_LINES:
        return f"holds {code}: it must be a single line without tabs"
    match unicodedata.category(wrong):
        case "Cc":
            return f"holds a control character ({code}): was it decoded with the right encoding?"
        case "Cs":
            return f"holds half a surrogate pair ({code}), which isn't a character"
        case _:
            return f"holds {code}, which Unicode keeps from being a character"
