"""The ledger's Lua scripts: each file of `smsq/lua` with the prelude, ready for EVALSHA."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and what Redis calls it."""

    name: str
    text: str
    sha: str


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One run of a script: what to send and how to read the answer.

    Attributes:
        script: The script.
        args: Its ARGV.
        parse: Reads the answer.
        confirm: Whether the promise of `SMSQ_DURABILITY` applies to what it writes.
    """

    script: Script
    args: list[str | bytes | int]
    parse: Callable[[Any], T]
    confirm: bool = False


@cache
def script(name: str) -> Script:
    """Loads a script by its file's name: its first line (the flags), the prelude, the rest."""
    folder = files("smsq") / "lua"
    flags, _, body = (folder / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    text = "\n".join([flags, (folder / "_prelude.lua").read_text(encoding="utf-8"), body])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
