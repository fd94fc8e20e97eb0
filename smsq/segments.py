"""How many segments a text is billed as: GSM 03.38 where every character is in its alphabet, UCS-2 otherwise.

The gateway bills each segment, so the size is known before anything is sent. The numbers are those of GSM 03.38 and
03.40: an SMS carries 140 octets, and each part of a longer text spends six of them on saying which part it is.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet without its escape: one septet each."""

_EXTENSION: Final = "\f^{}\\[~]|€"
"""What the escape reaches: two septets each, the escape and the character."""

_GSM: Final = frozenset(_BASIC + _EXTENSION)
_TWO_SEPTETS: Final = re.compile(f"[{re.escape(_EXTENSION)}]")
_SURROGATE_PAIR: Final = re.compile("[\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Segments:
    """The size of a text as the operators bill it.

    Attributes:
        encoding: ``GSM-7`` if every character is in the GSM 03.38 alphabet, otherwise ``UCS-2``.
        units: The length in the encoding's own units: septets, or 16-bit units of UTF-16.
        billed: The number of SMS that the text is split into and billed as; 0 for an empty text.
        forcing: The distinct characters that aren't in the GSM alphabet, in order of first appearance; none for
            ``GSM-7``. One of them is enough to more than halve what a segment holds.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    billed: int
    forcing: tuple[str, ...]


def measure(text: str) -> Segments:
    """Measures a text exactly as it is: nothing is normalised, trimmed or replaced first.

    Args:
        text: Any text. Its encoded form in a request has no influence.

    Returns:
        Encoding, length, billed segments and the characters that force UCS-2.
    """
    forcing = tuple(character for character in dict.fromkeys(text) if character not in _GSM)
    if forcing:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        return Segments("UCS-2", units, _billed(text, units, _SURROGATE_PAIR, single=70, part=67), forcing)
    units = len(text) + sum(map(text.count, _EXTENSION))
    return Segments("GSM-7", units, _billed(text, units, _TWO_SEPTETS, single=160, part=153), forcing)


def _billed(text: str, units: int, pairs: re.Pattern[str], *, single: int, part: int) -> int:
    """Counts the segments of a text that takes so many units, two of them where ``pairs`` matches."""
    if units <= single:
        return 1 if units else 0
    return -(-units // part) if units == len(text) else _split(text, pairs, part)


def _split(text: str, pairs: re.Pattern[str], part: int) -> int:
    """Counts the parts of a text in which no pair is cut: where one would be, it opens the next part instead."""
    filled = 0
    after_pair = 0
    for pair in pairs.finditer(text):
        filled += pair.start() - after_pair
        if filled % part == part - 1:
            filled += 1
        filled += 2
        after_pair = pair.end()
    filled += len(text) - after_pair
    return -(-filled // part)
