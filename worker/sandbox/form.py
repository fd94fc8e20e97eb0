"""What a client sent: the parameters of the query and of the form body, decoded as strictly as the API documents them.

The API wants every character but letters, digits and ``- _ .`` as ``%XX`` of its UTF-8 bytes, and a space as ``+``. A
client that leaves that to chance is found out here: what isn't encoded so is a fault of that parameter. Two more
characters are let through as they are, ``~`` and ``*``: one of the two standards for URL-encoding leaves each of them
alone, and nobody reads them in another way.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

_ENCODED: Final = re.compile(rb"(?:[A-Za-z0-9_.+~*-]|%[0-9A-Fa-f]{2})*")
_OF_A_LIST: Final = re.compile(r"\[[0-9]*\]$")


@dataclass(slots=True)
class Form:
    """A request's parameters.

    Attributes:
        values: Each parameter's value, by its name as the API writes it (``params[validity]``).
        lists: The values of parameters that were sent as a list (``ids[]`` or ``ids[0]``), by the name before the
            bracket.
        faults: What is wrong with how a parameter was sent, by its name. Such a parameter isn't in `values`.
    """

    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All names, in order of the alphabet."""
        return sorted({*self.values, *self.lists, *self.faults})

    def ids(self, name: str) -> list[str] | None:
        """Returns ids that came as a list or separated by commas; None if there is no such parameter."""
        if name in self.lists:
            return self.lists[name]
        value = self.values.get(name)
        if value is None:
            return None
        return value.split(",") if value else []


def read(*parts: bytes) -> Form:
    """Decodes the query and the body of a request.

    Args:
        parts: Each an ``application/x-www-form-urlencoded`` sequence of bytes.

    Returns:
        The parameters of all parts together; one that came twice is a fault.
    """
    form = Form()
    for part in parts:
        for pair in part.split(b"&"):
            if pair:
                _add(form, *pair.partition(b"=")[::2])
    return form


def _add(form: Form, encoded_name: bytes, encoded_value: bytes) -> None:
    name = unquote_to_bytes(encoded_name.replace(b"+", b" ")).decode("utf-8", errors="replace")
    if not _ENCODED.fullmatch(encoded_value):
        form.faults[name] = "isn't URL-encoded"
        return
    try:
        value = unquote_to_bytes(encoded_value.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        form.faults[name] = "isn't UTF-8"
        return
    if _OF_A_LIST.search(name):
        form.lists.setdefault(_OF_A_LIST.sub("", name), []).append(value)
    elif name in form.values or name in form.faults:
        form.values.pop(name, None)
        form.faults[name] = "is given more than once"
    else:
        form.values[name] = value
