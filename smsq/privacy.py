"""What keeps phone numbers, message texts and keys out of logs, exceptions and records."""

import html
import re
import unicodedata
from collections.abc import Iterable
from itertools import compress, pairwise
from typing import Final
from urllib.parse import unquote

_SHOWN_FIRST: Final = 4
_SHOWN_LAST: Final = 2
_LEAST_HIDDEN: Final = 4
_SUBSCRIBER_DIGITS: Final = 7
"""So many last digits point at a person wherever the country and operator are known."""

_BETWEEN_DIGITS: Final = r"[\W_]{0,4}"
_LONG_NUMBER: Final = re.compile(rf"\+?[0-9]{{{_SUBSCRIBER_DIGITS},}}")
#: A phone number as people write it; without a + it might as well be a date.
_NUMBER_IN_GROUPS: Final = re.compile(rf"\+[0-9](?:[\s().\-\u2010-\u2015]*[0-9]){{{_SUBSCRIBER_DIGITS},}}")
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_WORD: Final = re.compile(r"\w+")
_PIECE: Final = 4
"""So many characters that a word shares with a text are taken for the text's."""
_MASKS: Final = frozenset({"number", "secret", "text"})
_MASKED: Final = re.compile(r"\[text\](?:\W*\[text\])+")


def mask_recipient(recipient: str) -> str:
    """Hides the middle of a phone number: ``77010000001`` becomes ``7701*****01``.

    Country and operator stay visible, which is what someone who reads a log works with. Of a short number less is
    shown, so that at least four digits are always hidden.

    Args:
        recipient: The number, in canonical form or not.

    Returns:
        A text of the same length.
    """
    first = max(0, min(_SHOWN_FIRST, len(recipient) - _LEAST_HIDDEN - _SHOWN_LAST))
    last = _SHOWN_LAST if len(recipient) >= _LEAST_HIDDEN + _SHOWN_LAST else 0
    hidden = len(recipient) - first - last
    return recipient[:first] + "*" * hidden + recipient[len(recipient) - last :]


def redact(words: str, *, recipient: str = "", text: str = "", secrets: Iterable[str] = ()) -> str:
    """Masks what a sentence of the gateway may repeat of the message, so that it can be stored.

    It finds what is written as people and programs write it. Who says it differently, with a synonym or in another
    alphabet, isn't understood: so these words stay in the job's record (`JobError.for_outside`).

    Args:
        words: Free text that came from outside.
        recipient: The message's number. It is found also where it is written in groups, in other digits, and without
            what a call from the same country or city leaves out.
        text: The message's text. Found are pieces of four characters of its words, and two words in a row, however
            they are cased, spaced, escaped or cut.
        secrets: What must never be shown, such as the API key.

    Returns:
        The same sentence with ``[secret]``, ``[text]`` and ``[number]`` in place of these, of any run of seven or more
        digits, and of any number in groups that begins with a +.
    """
    words = _plainly(words)
    for secret in secrets:
        if secret:
            words = words.replace(secret, "[secret]")
    # The message's own number first: of what is left of one that is masked in part, the rest could be read.
    if len(recipient) >= _SUBSCRIBER_DIGITS:
        words = re.sub(_however_written(recipient), "[number]", words)
    words = _LONG_NUMBER.sub("[number]", _NUMBER_IN_GROUPS.sub("[number]", words))
    return _without_text(words, _plainly(text).strip()) if text.strip() else words


def _plainly(words: str) -> str:
    """Undoes escapes, and other forms of the same characters: wide ones, digits of other scripts."""
    words = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), html.unescape(words))
    words = unicodedata.normalize("NFKC", unquote(words))
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in words)


def _however_written(recipient: str) -> str:
    """A pattern of a number in groups: its last seven digits, and of those before them as many as are there."""
    before, last = recipient[:-_SUBSCRIBER_DIGITS], recipient[-_SUBSCRIBER_DIGITS:]
    leading = ""
    for digit in before:
        leading = f"(?:{leading}{re.escape(digit)}{_BETWEEN_DIGITS})?"
    return r"[+(]*" + leading + _BETWEEN_DIGITS.join(map(re.escape, last))


def _without_text(words: str, text: str) -> str:
    """Masks a text where it stands as it is, and otherwise each word that shares a piece with it, or two in a row."""
    words = words.replace(text, "[text]")
    found = list(_WORD.finditer(words))
    said, known = [each[0].casefold() for each in found], _WORD.findall(text.casefold())
    pieces = {piece for word in known for piece in _pieces(word)}
    theirs = [word not in _MASKS and not pieces.isdisjoint(_pieces(word)) for word in said]
    pairs = set(pairwise(known))
    for at, pair in enumerate(pairwise(said)):
        if pair in pairs:
            theirs[at] = theirs[at + 1] = True
    shown, end = [], 0
    for each in compress(found, theirs):
        shown += [words[end : each.start()], "[text]"]
        end = each.end()
    return _MASKED.sub("[text]", "".join(shown) + words[end:])


def _pieces(word: str) -> set[str]:
    return {word[at : at + _PIECE] for at in range(len(word) - _PIECE + 1)}
