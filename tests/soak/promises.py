"""What producers were promised: a file for each producer, written and synced before a message is offered and after.

A line is a JSON object; ``e`` says what happened. A producer that dies leaves offers without an answer: for those nothing
was promised, but they may have been accepted all the same.
"""

import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self


class Offer(NamedTuple):
    """A try to have a message accepted: when it began (unix seconds), and which process made it."""

    at: float
    process: int


class Acceptance(NamedTuple):
    """An answer to an offer: when the offer and the answer came (unix seconds), and the job's id."""

    asked: float
    at: float
    job_id: str


class Cancel(NamedTuple):
    """A wish to cancel: when it was sent and answered (unix seconds), and whether the answer was "stopped"."""

    asked: float
    at: float
    stopped: bool


@dataclass(slots=True)
class Promise:
    """What a producer knows about one message.

    Attributes:
        number: The message's number, which is in its text.
        refused: Whether the gateway refuses its recipient.
        expires: Whether it was given a time to live.
        not_before: The earliest moment for which it was scheduled (unix seconds), or 0.
        offers: Every try, oldest first.
        accepted: Every answer, oldest first.
        cancels: Every answered wish to cancel it.
        to_cancel: Whether anybody wished to cancel it, or its batch.
    """

    number: int
    refused: bool = False
    expires: bool = False
    not_before: float = 0.0
    offers: list[Offer] = field(default_factory=list)
    accepted: list[Acceptance] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    to_cancel: bool = False


class PromiseBook:
    """Writes one producer's file. Thread-safe; a line is on disk when a method returns.

    Args:
        path: The file; a producer that was killed goes on with the same one.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        os.close(self._file)

    def offer(self, numbers: Sequence[int], **details: Any) -> float:  # noqa: ANN401 - JSON
        """Notes that messages are about to be offered.

        Args:
            numbers: Which.
            details: ``refused`` (numbers), ``expires`` (bool), ``not_before`` (unix seconds), as in `Promise`.

        Returns:
            The moment that was noted.
        """
        return self._write("offer", n=list(numbers), p=os.getpid(), **details)

    def accepted(self, asked: float, jobs: Iterable[tuple[int, str]]) -> None:
        """Notes answers: each message's number and its job's id, and when they were offered."""
        self._write("accepted", asked=asked, jobs=list(jobs))

    def cancelling(self, numbers: Sequence[int]) -> float:
        """Notes that messages are about to be cancelled; returns the moment."""
        return self._write("cancelling", n=list(numbers))

    def cancelled(self, asked: float, number: int, *, stopped: bool) -> None:
        """Notes what `cancel` answered."""
        self._write("cancelled", asked=asked, n=[number], stopped=stopped)

    def _write(self, event: str, **details: Any) -> float:  # noqa: ANN401 - JSON
        now = time.time()
        line = json.dumps({"e": event, "t": now, **details}, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            os.write(self._file, line)  # one write of an appended line: a kill leaves none of it, or all
            os.fsync(self._file)
        return now


def read(paths: Iterable[Path]) -> dict[int, Promise]:
    """Returns the promises in producers' files, by message number."""
    promises: dict[int, Promise] = {}
    for path in paths:
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                _take_in(promises, json.loads(line))
    return promises


def _take_in(promises: dict[int, Promise], line: dict[str, Any]) -> None:
    at = float(line["t"])
    match line["e"]:
        case "offer":
            for number in line["n"]:
                promise = promises.setdefault(number, Promise(number))
                promise.offers.append(Offer(at, line["p"]))
                promise.refused |= number in line.get("refused", ())
                promise.expires |= line.get("expires", False)
                moment = line.get("not_before", 0.0)
                promise.not_before = min(promise.not_before or moment, moment)
        case "accepted":
            for number, job_id in line["jobs"]:
                promises[number].accepted.append(Acceptance(line["asked"], at, job_id))
        case "cancelling":
            for number in line["n"]:
                promises[number].to_cancel = True
        case "cancelled":
            for number in line["n"]:
                promises[number].cancels.append(Cancel(line["asked"], at, line["stopped"]))
