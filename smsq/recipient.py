"""The recipient: what people write as a phone number, brought to the digits that the gateway takes, or refused.

Nothing is guessed. No country is added, no trunk prefix is dropped: a guess that is wrong sends to another person.
"""

import re
import unicodedata
from functools import cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumber, ValidationResult, is_possible_number_with_reason

_MOST_DIGITS: Final = 15
"""ITU-T E.164: country code and national number together."""

_LONGEST_COUNTRY_CODE: Final = 3

# What people write between the digits, and the direction marks that address books put around them. U+202E is missing
# on purpose: it shows the digits in reverse, so the number that was seen isn't the number that would be sent.
_TAKEN_OFF: Final = dict.fromkeys(
    map(
        ord,
        " \u00a0\u2007\u2009\u202f"  # spaces, with and without a break
        "-\u2010\u2011\u2012\u2013"  # hyphens and the dashes that are drawn in their place
        ".()[]"
        "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069",
    )
)

_OPTIONAL_ZERO: Final = re.compile(r"\(\s*0\s*\)")
_DECIMAL: Final = re.compile(r"\s*\+?[0-9]+\.0+\s*")
_EXPONENT: Final = re.compile(r"[0-9][eE][+-]?[0-9]")

_MEANT: Final = (
    # Numbers of the country that the gateway serves first, in the forms that people there dial them in.
    (re.compile("8[0-9]{10}"), "start with the country code, 7 for Kazakhstan, instead of the trunk prefix 8"),
    (re.compile("78[0-9]{10}"), "leave out the trunk prefix 8 after the country code 7"),
    (re.compile("7[0-9]{9}"), "start with the country code, 7 for Kazakhstan, if these are the ten digits after it"),
)
_MEANT_TO_BEGIN: Final = (
    # Satellites are called by 870, and nobody's number begins with 70, but these are what operators' codes look like.
    (re.compile("87(?!8)"), _MEANT[0][1]),
    (re.compile("70"), "start with the country code, 7 for Kazakhstan"),
)
_LENGTH_PROBLEMS: Final = {
    ValidationResult.IS_POSSIBLE: None,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
    ValidationResult.INVALID_COUNTRY_CODE: "doesn't start with a country code that exists",
    ValidationResult.TOO_SHORT: "has too few digits for its country code",
    ValidationResult.INVALID_LENGTH: "has a number of digits that its country code doesn't have",
    ValidationResult.TOO_LONG: "has too many digits for its country code",
}
_DIGITS_ONLY: Final = "only digits, a leading + and spaces, hyphens, dots or brackets between them are allowed"


def canonical_recipient(value: object) -> str:
    """Brings a phone number to the gateway's form: country code and national number, digits only.

    A leading ``+`` and the spaces, hyphens, dots, brackets and direction marks that people write are taken off. Whether
    such a number can exist (country code and number of digits) is asked of the ``phonenumbers`` library; whether its
    range is in use is not, since operators open ranges faster than any table follows.

    Args:
        value: What the user gave as the recipient.

    Returns:
        The digits. Given these again, it returns them unchanged.

    Raises:
        ValueError: It can't be an international number; the text says why and what to write instead, and doesn't
            repeat the number.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string: a number type loses the + and may lose digits")  # noqa: TRY004 - pydantic collects ValueError
    digits = value.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        digits = _bare_digits(value)
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"has more than the {_MOST_DIGITS} digits that a number can have: give one number a message")
    problem = _problem(digits[:_LONGEST_COUNTRY_CODE], len(digits))
    if problem:
        raise ValueError(next((f"{problem}: {hint}" for form, hint in _MEANT if form.fullmatch(digits)), problem))
    return digits


def why_none_begins(digits: str) -> str | None:
    """Says why no recipient begins with these digits; None if one can.

    Args:
        digits: A number, or its beginning, digits only.
    """
    lengths = range(len(digits), _MOST_DIGITS + 1)
    beginnings = [digits[:_LONGEST_COUNTRY_CODE]]
    while len(beginnings[0]) < _LONGEST_COUNTRY_CODE:
        beginnings = [f"{each}{digit}" for each in beginnings for digit in range(10)]
    can = any(_problem(beginning, length) is None for beginning in beginnings for length in lengths)
    if can and _problem(digits[:_LONGEST_COUNTRY_CODE], len(digits)) is None:
        return None  # it is a number
    hint = next((hint for form, hint in _MEANT_TO_BEGIN if form.match(digits)), None)
    return hint or (None if can else _problem(beginnings[0], len(digits)))


def _bare_digits(value: str) -> str:
    """Takes off what people write around the digits, or raises with what can't be part of a number."""
    digits = value.translate(_TAKEN_OFF).removeprefix("+")
    if not digits:
        raise ValueError("holds no digits")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(_foreign_part(digits))
    if _OPTIONAL_ZERO.search(value):
        raise ValueError("holds (0), which is dialled from some places only: write just the digits that are needed")
    if _DECIMAL.fullmatch(value):
        raise ValueError("is a decimal fraction, not the digits that were typed: keep phone numbers as text")
    return digits


def _foreign_part(digits: str) -> str:
    """Says what a number holds besides ASCII digits, without repeating it."""
    if _EXPONENT.search(digits):
        return "is in the notation that spreadsheets give long numbers, which loses digits: keep phone numbers as text"
    if "\n" in digits or "\r" in digits:
        return "holds a line break: give one number, without the end of its line"
    if any(character.isdigit() and not character.isascii() for character in digits):
        return "holds digits of another script: write it with 0 to 9"
    if any(character.isalpha() for character in digits):
        return f"holds letters: {_DIGITS_ONLY}"
    if "+" in digits:
        return "holds a + that isn't at the start: give one number, with one + at most"
    wrong = next(character for character in digits if not character.isdigit())
    return f"holds U+{ord(wrong):04X} ({unicodedata.name(wrong, 'no printable character').lower()}): {_DIGITS_ONLY}"


@cache  # bounded: a thousand beginnings times fifteen lengths
def _problem(beginning: str, length: int) -> str | None:
    """Says why no number of this many digits begins like this; None if one can exist.

    Country codes are free of prefixes of each other, so the first three digits tell which it is.
    """
    if beginning.startswith("00"):
        return "starts with 00: leave it out and start with the country code"
    if beginning == "810":
        # Kazakhstan's and Russia's way out of the country. Read as Japan's 81, it would be a number with a trunk 0.
        return "starts with 810, the prefix for calls abroad: leave it out and start with the country code"
    if beginning.startswith("0"):
        return "starts with 0: start with the country code instead"
    for digits in range(1, _LONGEST_COUNTRY_CODE + 1):
        country_code = int(beginning[:digits])
        if country_code in COUNTRY_CODE_TO_REGION_CODE:
            return _LENGTH_PROBLEMS[_possibility(country_code, length - digits)]
    return "doesn't start with a country code that exists"


def _possibility(country_code: int, national_digits: int) -> int:
    """Asks the library about the length alone, which is all that its answer depends on."""
    if national_digits == 0:
        return ValidationResult.TOO_SHORT
    national_number = 10 ** (national_digits - 1)
    return is_possible_number_with_reason(PhoneNumber(country_code=country_code, national_number=national_number))
