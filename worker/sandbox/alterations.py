"""How a text is stored other than it was sent: shortened links, and the changes that providers make in silence."""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal

TextChange = Literal["trim", "crlf", "fold-quotes", "drop-emoji"]

_LINK: Final = re.compile(r"https?://\S+")
_QUOTES: Final = str.maketrans(
    dict.fromkeys("«»“”„‟", '"')  # guillemets, and the double quotes of English, German and Russian typesetting
    | dict.fromkeys("‘’‚‛ʼ", "'")
)
_EMOJI: Final = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")

_CHANGES: Final[dict[TextChange, Callable[[str], str]]] = {
    "trim": str.strip,
    "crlf": lambda text: _LINE_END.sub("\r\n", text),
    "fold-quotes": lambda text: text.translate(_QUOTES),
    "drop-emoji": lambda text: _EMOJI.sub("", text),
}


def shorten_links(text: str, code: int) -> str:
    """Puts a short link in the place of each link.

    Args:
        text: The text as sent.
        code: What makes the links this message's own.

    Returns:
        The text as the service stores it. The links lead nowhere: their domain is reserved for examples.
    """
    return _LINK.sub(f"https://short.example/{code:x}", text)


def alter(text: str, changes: Iterable[TextChange]) -> str:
    """Makes the given changes, in the given order."""
    for change in changes:
        text = _CHANGES[change](text)
    return text
