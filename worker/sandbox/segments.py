"""How many segments a text is billed as, written from GSM 03.38 for the judge's own use."""

from typing import Final

_ONE_SEPTET: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO_SEPTETS: Final = frozenset("\f^{}\\[~]|€")
_GSM: Final = _ONE_SEPTET | _TWO_SEPTETS
_LAST_OF_ONE_UNIT: Final = "\uffff"


def billed(text: str) -> int:
    """Counts the segments of a text.

    A character of two units, be it an escaped one of GSM 03.38 or a surrogate pair of UCS-2, isn't split: where only
    one unit is left in a segment, it begins the next.

    Args:
        text: The text as stored.

    Returns:
        1 or more.
    """
    if _GSM.issuperset(text):
        sizes = [2 if character in _TWO_SEPTETS else 1 for character in text]
        alone, part = 160, 153
    else:
        sizes = [2 if character > _LAST_OF_ONE_UNIT else 1 for character in text]
        alone, part = 70, 67
    if sum(sizes) <= alone:
        return 1
    segments, room = 1, part
    for size in sizes:
        if size > room:
            segments, room = segments + 1, part
        room -= size
    return segments
