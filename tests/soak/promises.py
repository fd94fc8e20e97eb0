"""The producers' book: what each process offered, and what it was promised, line by line and synced to disk.

Times are of the monotonic clock, which all processes of a machine share.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.soak.traffic import Traffic


@dataclass(slots=True)
class Offer:
    """A message that a process handed to `SmsQueue`.

    Attributes:
        process: Which.
        offered: When, before the call.
        answered: When the call returned or raised; None if the process died in it.
        job_id: The job that was promised; None if nobody knows whether there is one.
    """

    process: str
    offered: float
    answered: float | None = None
    job_id: str | None = None


@dataclass(slots=True)
class Cancelling:
    """A try to cancel a message's job, or its whole batch.

    Attributes:
        asked: When.
        answered: When there was an answer, or None.
        stopped: Whether it was promised that the gateway wasn't called; None for a batch, which promises no job's.
    """

    asked: float
    answered: float | None = None
    stopped: bool | None = None


@dataclass(slots=True)
class Promise:
    """All that producers did about one message."""

    offers: list[Offer] = field(default_factory=list)
    cancellings: list[Cancelling] = field(default_factory=list)

    @property
    def job_ids(self) -> list[str]:
        """The jobs that were promised, in order, each once."""
        return list(dict.fromkeys(offer.job_id for offer in self.offers if offer.job_id))


class Book:
    """A process's book, which outlives its kill.

    Args:
        path: Its file; appended to.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Opens it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes it."""
        os.close(self._file)

    def offered(self, numbers: Iterable[int]) -> None:
        """Writes that messages are about to be handed over."""
        self._write(event="offered", numbers=list(numbers))

    def accepted(self, job_ids: Mapping[int, str]) -> None:
        """Writes that jobs were promised, by the messages' numbers."""
        self._write(event="accepted", jobs=list(job_ids.items()))

    def maybe(self, numbers: Iterable[int]) -> None:
        """Writes that nobody knows what became of messages: `QueueUnavailable` was raised."""
        self._write(event="maybe", numbers=list(numbers))

    def cancelling(self, number: int) -> None:
        """Writes that a job is about to be cancelled."""
        self._write(event="cancelling", number=number)

    def cancelled(self, number: int, *, stopped: bool) -> None:
        """Writes what `cancel` answered."""
        self._write(event="cancelled", number=number, stopped=stopped)

    def cancelling_batch(self, batch: str) -> None:
        """Writes that a batch is about to be cancelled."""
        self._write(event="cancelling_batch", batch=batch)

    def _write(self, **line: Any) -> None:  # noqa: ANN401 - JSON
        with self._lock:
            os.write(self._file, json.dumps(line | {"at": time.monotonic()}).encode() + b"\n")
            os.fsync(self._file)


def read(paths: Iterable[Path], traffic: Traffic) -> dict[int, Promise]:
    """Reads books.

    Args:
        paths: Their files, a process's after those of the processes whose work it took over.
        traffic: Tells which messages are in a batch.

    Returns:
        The promises, by the messages' numbers.
    """
    promises: dict[int, Promise] = defaultdict(Promise)
    batches: list[tuple[str, float]] = []
    for path in paths:
        for line in _lines(path):
            if line["event"] == "cancelling_batch":
                batches.append((line["batch"], line["at"]))
            else:
                _enter(promises, path.stem, line)
    for batch, at in batches:
        for number, promise in promises.items():
            if traffic.message(number).group.batch == batch:
                promise.cancellings.append(Cancelling(at))
    return dict(promises)


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    whole, _, _ = path.read_bytes().rpartition(b"\n")  # after the last line's end: what a kill cut
    return [json.loads(line) for line in whole.splitlines()]


def _enter(promises: dict[int, Promise], process: str, line: dict[str, Any]) -> None:
    at = line["at"]
    match line["event"]:
        case "offered":
            for number in line["numbers"]:
                promises[number].offers.append(Offer(process, at))
        case "accepted":
            for number, job_id in line["jobs"]:
                offer = promises[number].offers[-1]
                offer.answered, offer.job_id = at, job_id
        case "maybe":
            for number in line["numbers"]:
                promises[number].offers[-1].answered = at
        case "cancelling":
            promises[line["number"]].cancellings.append(Cancelling(at))
        case "cancelled":
            cancelling = promises[line["number"]].cancellings[-1]
            cancelling.answered, cancelling.stopped = at, line["stopped"]
