"""What may be shown of a number, and of what the gateway says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsq.privacy import mask_recipient, redact


@pytest.mark.parametrize(
    ("recipient", "masked"),
    [
        ("77010000001", "7701*****01"),
        ("491511234567890", "4915*********90"),
        ("12025550123", "1202*****23"),
        ("2901234567", "2901****67"),
        ("29012345", "29****45"),
        ("290123", "****23"),
        ("29012", "*****"),
        ("", ""),
    ],
)
def test_the_middle_of_a_number_is_hidden(recipient: str, masked: str) -> None:
    """Country and operator stay visible, and at least four digits don't."""
    assert mask_recipient(recipient) == masked


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("Wrong number 77010000001", "Wrong number [number]"),
        ("+7 (701) 000-00-01 is not reachable", "[number] is not reachable"),
        ("+7 701 000 00 01 of Aigerim, +7 701 0000001", "[number] of Aigerim, [number]"),
        ("8-701-0000001: no route", "8-[number]: no route"),
        ("in town it is 000-00-01", "in town it is [number]"),
        ("not theirs: +7 (727) 350-54-54, 77273505454", "not theirs: [number], [number]"),
        ("also 380501234567, and code 1234567", "also [number], and code [number]"),
        ("code 12, at 2026-12-01 10:00:00, 123456 left", "code 12, at 2026-12-01 10:00:00, 123456 left"),
        ('text "Код: 4711" refused', 'text "[text]" refused'),
        ("key kz5d41402abc is wrong", "key [secret] is wrong"),
        ("701/000/0001, 7701_000_0001, 7701\u2011000\u20110001", "[number], [number], [number]"),
        ("\uff17\uff17\uff10\uff11\uff10\uff10\uff10\uff10\uff10\uff10\uff11", "[number]"),
        ("\u0667\u0667\u0660\u0661\u0660\u0660\u0660\u0660\u0660\u0660\u0661", "[number]"),
        ("", ""),
    ],
)
def test_what_the_gateway_says_is_shown_without_number_text_and_key(words: str, shown: str) -> None:
    """Long runs of digits, the message's own number however it is written, its text and the secrets are masked."""
    secrets = ["kz5d41402abc", ""]
    assert redact(words, recipient="77010000001", text=" Код: 4711\n", secrets=secrets) == shown


@pytest.mark.parametrize(
    "written",
    [
        "Ваш код: 4711 Иванов",
        "Ваш\u00a0код:  4711\nИванов",
        "ВАШ КОД: 4711 ИВАНОВ",
        "ваш код: 4711 иванов",
        "Ваш код…",
        "код: 4711 Иванов",
        "Ваш / код / 4711 / Иванов",
        "Иванов",
        "Ивано…",
        "4711",
        "&quot;Ваш код: 4711&quot;",
        "%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2",
        "\\u0418\\u0432\\u0430\\u043d\\u043e\\u0432",
    ],
)
def test_a_text_is_found_however_it_is_written(written: str) -> None:
    """Spaced, cased, cut or escaped otherwise than it was sent; the gateway's own words stay."""
    shown = redact(f"the sentence {written} is forbidden", text="Ваш код:\n4711 Иванов")
    assert re.fullmatch(r"the sentence \W*\[text\]\W* is forbidden", shown)


@given(st.text("0123456789 ab"), st.text("0123456789", min_size=7, max_size=15), st.text("ab 12", min_size=1))
def test_nothing_personal_is_left(around: str, recipient: str, text: str) -> None:
    """Wherever it stands, neither the number nor the text can be read in what is shown."""
    shown = redact(f"{around} {recipient} {around} {text}", recipient=recipient, text=text)
    assert recipient not in shown
    assert not text.strip() or text.strip() in "[text][number]" or text.strip() not in shown
