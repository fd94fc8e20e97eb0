"""The parts of an answer: the API's envelope, its numbers, what it says in words, and how long it asks to wait.

Nothing here raises for anything that a server can send.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final

MAX_RETRY_AFTER: Final = 3600.0
"""Seconds. A longer wait is more likely a server's mistake than its wish, and whoever waits looks again anyway."""

_LARGEST_ID: Final = 2**63 - 1
_LONGEST_NUMBER: Final = len(str(_LARGEST_ID))

# What is kept of the gateway's sentences: enough for people to act on, little enough for a record.
_SENTENCES: Final = 16
_SENTENCE_LENGTH: Final = 200
_LOOKED_AT: Final = 2000  # of a sentence, before it is cleaned: that takes half a second for a megabyte
_FIELD_LENGTH: Final = 64
_DEPTH: Final = 4


def read_envelope(body: bytes) -> dict[str, Any] | None:
    """Parses an answer's body.

    Args:
        body: The whole body, whatever it is.

    Returns:
        The JSON object; None if it isn't one, or holds a name twice.
    """
    try:
        envelope = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):  # what isn't JSON or UTF-8, numbers of thousands of digits; nesting
        return None
    return envelope if isinstance(envelope, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name that comes twice: `json` would keep the last, and "accepted" could become "refused"."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)


def whole_number(value: object) -> int | None:
    """Reads a number that the API gives as a JSON integer or as a string of digits (F67).

    `int()` would take much more: ``true``, ``12.0``, ``" 12 "``, ``"1_000"``, digits of other scripts. None of these is
    an id that anyone could ask about later.

    Args:
        value: What the JSON holds in its place.

    Returns:
        The number, from 0 to 2**63 - 1; None for anything else.
    """
    if type(value) is str:
        if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
            return None
        if value[0] == "0" and value != "0":
            return None
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST_ID else None


def read_detail(envelope: Mapping[str, Any], clean: Callable[[str], str]) -> Mapping[str, str] | str:
    """Keeps what the gateway said, in whichever of its shapes: `data` has the reason, `message` stands in for it.

    Args:
        envelope: An answer that says why not.
        clean: Takes out of a sentence what must not be shown.

    Returns:
        Its sentences by field, or one for the whole; printable, of bounded length, '' if it said nothing.
    """
    data = envelope.get("data")
    if isinstance(data, dict) and data:
        said: dict[str, str] = {}
        for path, sentence in islice(_sentences(data), _SENTENCES):
            field = _shorten(clean(path), _FIELD_LENGTH)
            said[field] = _shorten("; ".join(filter(None, (said.get(field), clean(sentence)))), _SENTENCE_LENGTH)
        if said:
            return said
    for source in (data, envelope.get("message")):
        sentences = [clean(sentence) for _, sentence in islice(_sentences(source), _SENTENCES)]
        if any(sentences):
            return _shorten("; ".join(sentences), _SENTENCE_LENGTH)
    return ""


def _sentences(value: object, path: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """Walks through strings, lists and objects, nested as they may be; yields each sentence with its field's name."""
    if isinstance(value, str):
        yield path[:_LOOKED_AT], value[:_LOOKED_AT]
    elif isinstance(value, list | dict) and depth:
        fields = value.items() if isinstance(value, dict) else (("", item) for item in value)
        for name, item in fields:
            yield from _sentences(item, ".".join(filter(None, (path, name))), depth - 1)


def _shorten(words: str, length: int) -> str:
    """Makes words fit for a line of a log: printable (no line breaks, no lone surrogates) and not too long."""
    words = words if len(words) <= length else words[: length - 1] + "…"
    return "".join(character if character.isprintable() else " " for character in words)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads Retry-After, which is a number of seconds or a date (RFC 9110, 10.2.3).

    Args:
        headers: The answer's, looked up as ``Retry-After`` and ``Date``.

    Returns:
        Seconds to wait, at most `MAX_RETRY_AFTER`; None if the answer doesn't say.
    """
    given = headers.get("Retry-After", "").strip()
    if not given:
        return None
    if given.isascii() and given.isdigit():
        seconds = float(given)
    else:
        until = _http_date(given)
        if until is None:
            return None
        # The date is on the server's clock, and so is Date: between the two our own clock can't do harm.
        now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
        seconds = (until - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _http_date(given: str) -> datetime | None:
    """Parses a date of HTTP, in any of its forms; None if it isn't one."""
    try:
        moment = parsedate_to_datetime(given)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
