"""The ledger's Lua scripts: each file of `smsq/lua` with what all of them share, ready for EVALSHA."""

import hashlib
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

#: What scripts begin with, in this order: functions and constants, of which each script has those that it uses. (Redis
#: makes all of a script's functions anew for each run.)
SHARED: Final = ("_lenient", "_epoch", "_record", "_following", "_asking", "_erasing", "_gates", "_watching")
_DEFINED: Final = re.compile(r"^local (?:function )?(\w+(?:, \w+)*)", re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *--.*\n| +-- .*$", re.MULTILINE)
_NAME: Final = re.compile(r"\w+")


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
    args: list[str | bytes | int | float]
    parse: Callable[[Any], T]
    confirm: bool = False


def text(raw: bytes) -> str:
    """Returns what Redis says as text; bytes that are none, which a foreign hand has put there, become escapes."""
    return raw.decode(errors="backslashreplace")


@cache
def script(name: str) -> Script:
    """Loads a script by its file's name: its first line (the flags), those shared paragraphs that it uses, the rest.

    Its ARGV begins with the newest epoch that the caller knows and the time for which the call has been tried (ms), and
    it answers epoch, Redis's time (ms) and what the file returns: the runners add the ones and take the others off.
    """
    folder = files("smsq") / "lua"

    def read(part: str) -> str:
        return _COMMENT.sub("", (folder / f"{part}.lua").read_text(encoding="utf-8"))

    flags, _, body = read(name).partition("\n")
    reads_only = f"local READS_ONLY = {'true' if 'no-writes' in flags else 'false'}"
    parts = [f"local function answer()\n{body}\nend\nreturn {{EPOCH.number, NOW, answer()}}"]
    used = set(_NAME.findall(parts[0]))
    shared = [paragraph for part in SHARED for paragraph in read(part).split("\n\n")]
    for paragraph in reversed(shared):
        if not used.isdisjoint(name for names in _DEFINED.findall(paragraph) for name in names.split(", ")):
            parts.insert(0, paragraph)
            used.update(_NAME.findall(paragraph))
    text = "\n".join([flags, reads_only, *parts])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


#: Seconds by which Redis's clock may move against ours without anyone's doing: corrections of either clock.
_CLOCK_TOLERANCE: Final = 2.0
_CLOCK_DRIFT: Final = 0.001


def boot_time() -> float:
    """Returns seconds on CLOCK_BOOTTIME, which nobody sets and which counts while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


#: Milliseconds that a call may take from us to the script. What was tried earlier than that may be older than it looks.
_ON_ITS_WAY: Final = 200


def ago(moment: float) -> int:
    """Returns how long ago something was sent, in ms, as a script may count it: rather more than less.

    Args:
        moment: When, by `boot_time`.
    """
    return math.ceil((boot_time() - moment) * 1000) + _ON_ITS_WAY


class Known:
    """What a process knows of the ledger from its answers: the newest epoch, and how Redis's clock runs.

    A jump of that clock makes it know an epoch that nobody has seen: the next script starts it (rule 20).

    Attributes:
        epoch: The newest epoch's number; 0 if none is known.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._seen: tuple[float, float, float] | None = None  # Redis's time, sent and received by our clock

    def redis_time(self) -> float:
        """Returns Redis's time as far as it is known, unix seconds; our own while it isn't."""
        if self._seen is None:
            return time.time()
        was, _, received = self._seen
        return was + boot_time() - received

    def learn(self, epoch: int, now: int, sent: float) -> None:
        """Takes in what an answer says.

        Args:
            epoch: The ledger's.
            now: Redis's time, ms.
            sent: When the call was sent, by `boot_time`.
        """
        received = boot_time()
        newer = epoch > self.epoch
        self.epoch = max(self.epoch, epoch)
        seen, self._seen = self._seen, (now / 1000, sent, received)
        if seen is None or newer:
            return  # a newer epoch covers a jump before it
        was, sent_before, received_before = seen
        passed = now / 1000 - was
        tolerance = _CLOCK_TOLERANCE + _CLOCK_DRIFT * (received - sent_before)
        if not sent - received_before - tolerance <= passed <= received - sent_before + tolerance:
            self.epoch += 1
