"""Encoding and billed segments, as the operators count them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsq.segments import Segments, measure
from smsq.sms import Sms

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"


@pytest.mark.parametrize(
    ("text", "encoding", "units", "billed"),
    [
        ("", "GSM-7", 0, 0),
        ("a", "GSM-7", 1, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 1530, "GSM-7", 1530, 10),
        ("%" * 160, "GSM-7", 160, 1),
        ("]" * 80, "GSM-7", 160, 1),
        ("]" * 81, "GSM-7", 162, 2),
        ("]" * 153, "GSM-7", 306, 3),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("a" * 151 + "€" + "a" * 153, "GSM-7", 306, 2),
        ("a" * 80 + "\r\n" + "a" * 79, "GSM-7", 161, 2),
        ("a" * 159 + "\f", "GSM-7", 161, 2),
        ("¡Gracias!", "GSM-7", 9, 1),
        ("қ" * 70, "UCS-2", 70, 1),
        ("қ" * 71, "UCS-2", 71, 2),
        ("қ" * 134, "UCS-2", 134, 2),
        ("қ" * 135, "UCS-2", 135, 3),
        ("я" * 66 + "😀" + "я" * 66, "UCS-2", 134, 3),
        ("я" * 65 + "😀" + "я" * 67, "UCS-2", 134, 2),
        ("😎" * 35, "UCS-2", 70, 1),
        ("😎" * 36, "UCS-2", 72, 2),
        ("😎" * 66, "UCS-2", 132, 2),
        ("😎" * 67, "UCS-2", 134, 3),
        ("😎" * 70, "UCS-2", 140, 3),
        (FAMILY * 10, "UCS-2", 80, 2),
        ("a" * 69 + "’", "UCS-2", 70, 1),
        ("a" * 70 + "’", "UCS-2", 71, 2),
        ("и\u0306" * 36, "UCS-2", 72, 2),
        ("e\u0301" * 70, "UCS-2", 140, 3),
        ("é" * 70, "GSM-7", 70, 1),
        ("\ud83d" * 71, "UCS-2", 71, 2),
    ],
)
def test_size(text: str, encoding: str, units: int, billed: int) -> None:
    """F72, F73, F74, F75, F76: units and segments are those of the text exactly as it is, and no pair is split."""
    size = measure(text)
    assert (size.encoding, size.units, size.billed) == (encoding, units, billed)


@pytest.mark.parametrize("character", GSM_BASIC)
def test_the_basic_alphabet_takes_one_septet(character: str) -> None:
    """Each of the 127 characters that need no escape takes one."""
    assert measure(character) == Segments("GSM-7", 1, 1, ())


@pytest.mark.parametrize("character", "\f^{}\\[~]|€")
def test_the_extension_takes_two_septets(character: str) -> None:
    """F74: a character behind the escape takes the escape's septet too."""
    assert measure(character) == Segments("GSM-7", 2, 1, ())


@pytest.mark.parametrize("character", "çá`ığşĞұ\t\u00a0’\u200c\x1b«–№Ё")
def test_what_looks_like_the_alphabet_but_is_not_in_it(character: str) -> None:
    """F74: one such character makes the whole text UCS-2, and is named."""
    assert measure(f"a{character}b") == Segments("UCS-2", 3, 1, (character,))


def test_forcing_characters_are_distinct_and_in_order_of_appearance() -> None:
    """The user sees each character to replace once, the first one first."""
    assert measure("“Sale” — 50 € “now” 😀").forcing == ("“", "”", "—", "😀")


def test_a_message_knows_its_size() -> None:
    """``Sms.segments`` measures the text and nothing else."""
    assert Sms(recipient="+77010000001", text="Код: 4711", name="a name").segments == measure("Код: 4711")


@given(st.text(st.sampled_from("aя]€😀"), min_size=60, max_size=500))
@example("a" * 152 + "€" * 80)
@example("я" * 66 + "😀" * 34)
def test_filling_segments_one_character_after_the_other_needs_as_many(text: str) -> None:
    """F72: the count is that of a phone which fills one segment after the other and never splits a pair."""
    size = measure(text)
    single, part = (160, 153) if size.encoding == "GSM-7" else (70, 67)
    widths = [2 if (c in "]€" if size.encoding == "GSM-7" else c == "😀") else 1 for c in text]
    assert size.units == sum(widths)
    segments, room = 1, part
    for width in widths:
        if width > room:
            segments, room = segments + 1, part
        room -= width
    assert size.billed == (1 if size.units <= single else segments)


@given(st.text())
def test_units_of_any_text_are_those_of_utf_16_once_a_character_forces_it(text: str) -> None:
    """Whatever Unicode brings, a UCS-2 text is as long as its UTF-16 form and a GSM-7 one forces nothing."""
    size = measure(text)
    if size.forcing:
        assert size.encoding == "UCS-2"
        assert size.units * 2 == len(text.encode("utf-16-le"))
    else:
        assert set(text) <= set(GSM_BASIC + "\f^{}\\[~]|€")
