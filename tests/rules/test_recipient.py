"""What can be a recipient: the digits that are kept, and the hint for what is refused."""

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsq.recipient import canonical_recipient


@pytest.mark.parametrize(
    "written",
    [
        "77010000001",
        "+77010000001",
        "+7 (701) 000-00-01",
        "7.701.000.00.01",
        "+7 [701] 0000001",
        "(+7) 701 000 00 01",
        " +7 701 000 00 01 ",
        "+7\u00a0701\u00a0000\u202f00\u200701",
        "+7 701 000\u201000\u201101",
        "+7 701 000\u201300\u201301",
        "\u202a+7 701 000 00 01\u202c",
        "\u2068\u200e+77010000001\u200f\u2069",
    ],
)
def test_what_people_write_around_the_digits_is_taken_off(written: str) -> None:
    """F77: a leading plus, spaces, hyphens, dots, brackets and direction marks don't belong to the number."""
    assert canonical_recipient(written) == "77010000001"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("87010000001", "start with the country code, 7 for Kazakhstan, instead of the trunk prefix 8"),
        ("8 701 000 00 01", "start with the country code, 7 for Kazakhstan, instead of the trunk prefix 8"),
        ("89261234567", "instead of the trunk prefix 8"),
        ("7010000001", "start with the country code, 7 for Kazakhstan"),
        ("0077010000001", "starts with 00: leave it out and start with the country code"),
        ("+0077010000001", "starts with 00"),
        ("07010000001", "starts with 0: start with the country code"),
        ("+7 8 701 000 00 01", "leave out the trunk prefix 8 after the country code 7"),
        ("8 10 7 701 000 00 01", "starts with 810, the prefix for calls abroad"),
        ("+44 (0) 7911 123456", "holds (0)"),
        ("+49 (0)151 12345678", "holds (0)"),
        ("+7701000000", "has too few digits for its country code"),
        ("+770100000012", "has a number of digits that its country code doesn't have"),
        ("+1 555 0123", "lacks its area code"),
        ("7", "has too few digits for its country code"),
        ("+99977010000", "doesn't start with a country code that exists"),
    ],
)
def test_a_number_that_cannot_be_called_from_anywhere_is_refused_with_a_hint(written: str, hint: str) -> None:
    """F77: no country is added and no prefix is dropped; the user is told what to write instead."""
    with pytest.raises(ValueError, match=re.escape(hint)):
        canonical_recipient(written)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("", "holds no digits"),
        ("+", "holds no digits"),
        (" - ", "holds no digits"),
        ("++77010000001", "holds a + that isn't at the start"),
        ("+7701+0000001", "holds a + that isn't at the start"),
        ("77010000001+", "holds a + that isn't at the start"),
        ("77010000001\n", "holds a line break"),
        ("77010000001\r\n77010000002", "holds a line break"),
        ("77010000001, 77010000002", "holds U+002C (comma)"),
        ("77010000001 77010000002", "give one number a message"),
        ("+7701000000a", "holds letters"),
        ("+7701000000О", "holds letters"),
        ("77010000001 ext 5", "holds letters"),
        ("tel:+77010000001", "holds letters"),
        ("7701a+1", "holds letters"),
        ("٧٧٠١٠٠٠٠٠٠١", "holds digits of another script"),
        ("7701000000²", "holds digits of another script"),
        ("７７０１０００００0１", "holds digits of another script"),
        ("\uff0b77010000001", "holds U+FF0B (fullwidth plus sign)"),
        ("7/701/0000001", "holds U+002F (solidus)"),
        ("77010000001\t", "holds U+0009 (no printable character)"),
        ("77010000001\0", "holds U+0000 (no printable character)"),
        ("7701\u200b0000001", "holds U+200B (zero width space)"),
        ("\u202e77010000001", "holds U+202E (right-to-left override)"),
        ("7.7010000001E+10", "spreadsheets"),
        ("7.7010000001e10", "spreadsheets"),
        ("4915112345678.0", "is a decimal fraction"),
    ],
)
def test_whatever_else_stands_in_it_is_refused(written: str, hint: str) -> None:
    """F77: a character that no phone number has means that something else was pasted or exported."""
    with pytest.raises(ValueError, match=re.escape(hint)):
        canonical_recipient(written)


@pytest.mark.parametrize("value", [77010000001, 7.7010000001e10, True, None, b"77010000001", ["77010000001"]])
def test_only_a_string_is_a_number(value: object) -> None:
    """F77: an int or a float may have lost digits before it came here, so it isn't turned into a number."""
    with pytest.raises(ValueError, match="must be a string"):
        canonical_recipient(value)


@pytest.mark.parametrize("written", ["+76100000001", "+77990000001", "+4915112345678", "+225 01 02 03 04 05"])
def test_unknown_ranges_are_let_through(written: str) -> None:
    """F80: only country code and number of digits are judged: operators open ranges faster than tables follow."""
    assert canonical_recipient(written) == re.sub(r"\D", "", written)


@given(st.text(st.sampled_from("+0123456789 -.()"), max_size=24))
@example("+7 (701) 000-00-01")
def test_normalising_again_changes_nothing(written: str) -> None:
    """What is kept is ASCII digits, all the digits that were written, and is accepted as it is."""
    try:
        kept = canonical_recipient(written)
    except ValueError:
        return
    assert kept == "".join(character for character in written if character.isdigit())
    assert canonical_recipient(kept) == kept
    assert canonical_recipient(f"+{kept}") == kept


@pytest.mark.parametrize("first", ["1", "2", "9"])
def test_the_answer_for_a_length_is_the_library_s_for_every_number_of_that_length(first: str) -> None:
    """For each country code the number of digits alone decides, so one question a length is enough."""
    for country_code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for length in range(1, 16 - len(str(country_code))):
            national = first + "5" * (length - 1)
            number = phonenumbers.PhoneNumber(country_code=country_code, national_number=int(national))
            digits = f"{country_code}{national}"
            assert _accepted(digits) == (phonenumbers.is_possible_number(number) and not _local_only(number)), digits


def _local_only(number: phonenumbers.PhoneNumber) -> bool:
    """Tells whether the number can be called from its own area only."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    return reason == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY


def _accepted(digits: str) -> bool:
    """Tells whether the digits are let through."""
    try:
        return canonical_recipient(digits) == digits
    except ValueError:
        return False
