"""What keeps phone numbers, message texts and keys out of logs, exceptions and records."""

import re
from collections.abc import Iterable
from typing import Final

_SHOWN_FIRST: Final = 4
_SHOWN_LAST: Final = 2
_LEAST_HIDDEN: Final = 4
_SUBSCRIBER_DIGITS: Final = 7
"""So many last digits point at a person wherever the country and operator are known."""

_BETWEEN_DIGITS: Final = r"[\s().\-]*"
_LONG_NUMBER: Final = re.compile(rf"\+?[0-9]{{{_SUBSCRIBER_DIGITS},}}")
#: A phone number as people write it; without a + it might as well be a date.
_NUMBER_IN_GROUPS: Final = re.compile(rf"\+[0-9](?:{_BETWEEN_DIGITS}[0-9]){{{_SUBSCRIBER_DIGITS},}}")


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


def _however_written(recipient: str) -> str:
    """A pattern of a number in groups: its last seven digits, and of those before them as many as are there."""
    before, last = recipient[:-_SUBSCRIBER_DIGITS], recipient[-_SUBSCRIBER_DIGITS:]
    leading = ""
    for digit in before:
        leading = f"(?:{leading}{re.escape(digit)}{_BETWEEN_DIGITS})?"
    return r"[+(]*" + leading + _BETWEEN_DIGITS.join(map(re.escape, last))


def redact(words: str, *, recipient: str = "", text: str = "", secrets: Iterable[str] = ()) -> str:
    """Masks what a sentence of the gateway may repeat of the message, so that it can be logged and stored.

    Args:
        words: Free text that came from outside.
        recipient: The message's number. It is found also where it is written in groups, and without what a call from
            the same country or city leaves out.
        text: The message's text.
        secrets: What must never be shown, such as the API key.

    Returns:
        The same sentence with ``[secret]``, ``[text]`` and ``[number]`` in place of these, of any run of seven or more
        digits, and of any number in groups that begins with a +.
    """
    for secret in secrets:
        if secret:
            words = words.replace(secret, "[secret]")
    # The gateway may have trimmed the text, so what stands between its ends is looked for.
    if inner := text.strip():
        words = words.replace(inner, "[text]")
    # The message's own number first: of what is left of one that is masked in part, the rest could be read.
    if len(recipient) >= _SUBSCRIBER_DIGITS:
        words = re.sub(_however_written(recipient), "[number]", words)
    return _LONG_NUMBER.sub("[number]", _NUMBER_IN_GROUPS.sub("[number]", words))
