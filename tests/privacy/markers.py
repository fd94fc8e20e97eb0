"""What a run sends that nobody may see: a number, a text, a name and an idempotency key for each path, told apart.

A leak names its path. What is looked for survives every way in which programs quote: JSON, URLs, HTML, base64.
"""

import base64
import html
import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus

from smsq import Sms

#: A key with every character that some quoting changes.
API_KEY: Final = 'kz+/=&"0123456789abcdefghijk'
ENCRYPTION_KEY: Final = base64.b64encode(bytes(range(224, 256))).decode()
#: Their jobs wait on their lane, because the account was refused.
ACCOUNT: Final = ("code-8", "code-4", "code-5", "code-6", "code-9", "code-13", "code-14", "403", "404")
#: Layers of a worker that burst in `tests.privacy.bursts`.
LAYERS: Final = ("open", "load", "form", "client", "decide", "settle", "log")
UNCALLED: Final = ("cancelled", "too-late", "crashed", "broken", "unreadable")
#: What a foreign hand writes into Redis, and the number that is set there to be called: encryption leaves these alone.
NEVER_SEALED: Final = ("crashed", "broken", "unreadable", "redirect-to")
#: What becomes of messages in the outboxes of `tests.privacy.web`.
WEB: Final = tuple(
    f"{framework} {what}"
    for framework in ("django", "sqlalchemy")
    for what in ("committed", "rolled back", "burst", "waiting")
)
#: Ten digits or more, with what people write between them.
_DIGITS: Final = re.compile(r"\d(?:[ ().+-]{0,2}\d){9,}")
#: Digits of a number by which it is recognised: with and without its country code.
_NATIONAL: Final = 10
#: Recipients of the sandbox's that it sends to as well.
TRACED: Final = ("code-1", "text-quoted", "data-nested", "500", "hang", "reset-accepted", "not-http")


class Marked(NamedTuple):
    """The personal things of one path.

    Attributes:
        number: The recipient.
        text: The text, in two scripts.
        name: The campaign's name.
        once: The idempotency key.
    """

    number: str
    text: str
    name: str
    once: str

    @property
    def sms(self) -> Sms:
        """The message."""
        return Sms(recipient=self.number, text=self.text, name=self.name)


class Markers:
    """Gives each path its own, and finds them.

    Attributes:
        of: What was given, by path.
    """

    def __init__(self) -> None:
        self.of: dict[str, Marked] = {}
        self._needles: dict[str, str] = {}
        for what, key in (("the API key", API_KEY), ("the encryption key", ENCRYPTION_KEY)):
            self._needles |= dict.fromkeys(_secret(key), what)

    def make(self, path: str, number: str) -> Marked:
        """Gives a path its text, name and key beside a number."""
        index = f"{len(self.of):03}"
        text, name, once = f"Ж{index}ъЩ код Qv{index}kWzYx", f"Nm{index}jHqTb", f"otp:Ky{index}nRwVd"
        assert path not in self.of
        self.of[path] = Marked(number, text, name, once)
        # The gateway may trim a text or quote a part: each half is looked for.
        for word, kind in ((text[:6], "text"), (text[-10:], "text"), (name, "name"), (once[-10:], "idempotency key")):
            for spelling in _spellings(word):
                self._needles[spelling] = f"{kind} of {path}"
        return self.of[path]

    def within(self, said: str | bytes) -> set[str]:
        """Returns what is found in an output, such as `text of no-route`."""
        shown = said.decode(errors="replace") if isinstance(said, bytes) else said
        shown = html.unescape(shown)
        found = {what for needle, what in self._needles.items() if needle in shown}
        runs = " ".join(re.sub(r"\D", "", run) for run in set(_DIGITS.findall(shown)))
        numbers = {mark.number: path for path, mark in self.of.items()}
        found |= {f"number of {path}" for number, path in numbers.items() if number[-_NATIONAL:] in runs}
        encoded = {spelling: path for number, path in numbers.items() for spelling in _in_base64(number)}
        return found | {f"number of {path}" for spelling, path in encoded.items() if spelling in shown}


def leaks(markers: Markers, sources: Iterable[tuple[str, str | bytes]]) -> dict[str, set[str]]:
    """Returns what was found, by where."""
    return {name: found for name, said in sources if (found := markers.within(said))}


def _in_base64(word: str) -> set[str]:
    """Returns the middle of a word's base64, wherever in a longer text it stands."""
    found = set()
    for before in range(3):
        plain = b"\0" * before + word.encode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(plain[: len(plain) - len(plain) % 3]).decode()
            found.add(whole[4 if before else 0 :])
    return found


def _spellings(word: str) -> set[str]:
    quoted: set[Any] = {word, json.dumps(word)[1:-1], ascii(word)[1:-1], repr(word.encode())[2:-1], quote(word)}
    return quoted | {quote_plus(word), json.dumps(json.dumps(word))[3:-3]} | _in_base64(word)


def _secret(key: str) -> set[str]:
    encoded = base64.b64encode(key.encode()).decode().rstrip("=")
    return {key, key[8:], quote(key, safe=""), quote(key), quote_plus(key), encoded, json.dumps(key)[1:-1]}
