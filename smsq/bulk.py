"""What `enqueue_many` does: it prepares messages in chunks, each while Redis works on the one before."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from smsq import ledger
from smsq.candidate import Candidate
from smsq.errors import IdempotencyConflict, InvalidSms
from smsq.job import Job

#: Jobs that are handed to Redis at once: one script of some milliseconds.
CHUNK = 500
#: Seconds of reading ahead after which the jobs that were accepted meanwhile are yielded, however slow the iterable is.
_AHEAD = 0.05

HandOver = Callable[[Sequence[Candidate]], list[ledger.Accepted]]


@dataclass(slots=True)
class _Chunk:
    """Messages that were read, and what ended the reading, which is raised once all before it were yielded."""

    places: list[Candidate | InvalidSms] = field(default_factory=list)
    error: Exception | None = None
    last: bool = False

    def fill(self, messages: Iterator[Any], prepare: Callable[[Any], Candidate], *, stops: bool, until: float) -> None:
        """Reads on, until the chunk is full, the messages are at their end, or it is late."""
        while len(self.places) < CHUNK and not self.last and time.monotonic() < until:
            try:
                self.places.append(prepare(next(messages)))
            except StopIteration:
                self.last = True
            except InvalidSms as invalid:
                self.places.append(invalid)
                self.last = stops
            except Exception as error:  # noqa: BLE001 - the iterable's own: what it gave before is enqueued first
                self.error, self.last = error, True


def enqueue_chunks(
    messages: Iterable[Any], prepare: Callable[[Any], Candidate], hand_over: HandOver, *, stops: bool
) -> Iterator[Job | InvalidSms | IdempotencyConflict]:
    """Hands messages to Redis, chunk by chunk, and yields what became of each, in order.

    The iterable and `prepare` are called in the caller's thread only; it is read a chunk ahead. Nothing is handed over
    before what came before it was yielded.

    Args:
        messages: What the caller gave.
        prepare: Makes a candidate of one; raises InvalidSms.
        hand_over: Has Redis accept candidates, all up to the first that can't be. Called in a thread.
        stops: Whether a message that can't be accepted is raised, and ends it all, or is yielded in its place.

    Raises:
        InvalidSms: If it `stops`.
        IdempotencyConflict: If it `stops`.
        QueueUnavailable: Redis didn't confirm in time.
    """
    source, never = iter(messages), float("inf")
    chunk = _Chunk()
    with ThreadPoolExecutor(1, "smsq-enqueue-many") as redis:
        while True:
            chunk.fill(source, prepare, stops=stops, until=never)
            candidates = [place for place in chunk.places if isinstance(place, Candidate)]
            if chunk.last:
                following = None
                answers = _answers(candidates, hand_over)
            else:
                handed_over, following = redis.submit(hand_over, candidates), _Chunk()
                following.fill(source, prepare, stops=stops, until=time.monotonic() + _AHEAD)
                answers = _answers(candidates, hand_over, handed_over)
            for place in chunk.places:
                outcome = place.outcome(next(answers)) if isinstance(place, Candidate) else place
                if stops and not isinstance(outcome, Job):
                    raise outcome
                yield outcome
            if chunk.error:
                raise chunk.error
            if following is None:
                return
            chunk = following


def _answers(
    candidates: Sequence[Candidate], hand_over: HandOver, handed_over: Future[list[ledger.Accepted]] | None = None
) -> Iterator[ledger.Accepted]:
    """Yields an answer for each. One that can't be accepted ends a call; the rest goes with the next, if asked for."""
    while candidates:
        answers = handed_over.result() if handed_over else hand_over(candidates)
        handed_over = None
        yield from answers
        candidates = candidates[len(answers) :]
