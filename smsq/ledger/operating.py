"""What operators see of the ledger, and what they do with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.job import Job, read_job
from smsq.lanes import Lane
from smsq.scripts import Call, script, text

RetryWord = Literal[
    "queued", "asking", "expired", "cancelled", "other", "declined", "forgotten", "erased", "gone", "malformed", "newer"
]  # fmt: skip
MarkWord = Literal["sent", "owned", "other", "forgotten", "erased", "gone", "malformed", "newer"]
#: The states whose jobs are listed for people.
EndedState = Literal["failed", "unknown"]

RETRY_WORDS: frozenset[str] = frozenset(get_args(RetryWord))
MARK_WORDS: frozenset[str] = frozenset(get_args(MarkWord))

#: Batches of a lane that are looked at for its oldest job, and entries of `due` for their states: a millisecond or two.
_BATCHES, _ENTRIES = 50, 500


def overview() -> Call[Mapping[str, Any]]:
    """Reads what `overview.lua` says of lanes, `due`, pauses, gates, pace and workers."""

    def parse(answer: bytes) -> Mapping[str, Any]:
        return dict(json.loads(text(answer)))

    return Call(script("overview"), [_BATCHES, _ENTRIES], parse)


class Pause(NamedTuple):
    """What operators hold back: a lane or ``all``, since when (ms of Redis's time, None if nobody knows), and why."""

    lane: str
    since: int | None
    reason: str

    @classmethod
    def read(cls, lane: str, stored: str) -> "Pause":
        """Reads what `smsq:pause` stores for a lane."""
        since, _, reason = stored.partition(" ")
        return cls(lane, int(since), reason) if since.isascii() and since.isdigit() else cls(lane, None, stored)


def pause(lane: Lane | Literal["all"], reason: str) -> Call[list[Pause]]:
    """Holds a lane back, or with the reason '' lets it go on; returns all that is held back then."""

    def parse(answer: list[bytes]) -> list[Pause]:
        words = iter([text(each) for each in answer])
        return [Pause.read(each, stored) for each, stored in zip(words, words, strict=True)]

    return Call(script("pause"), [lane, reason], parse)


class EndedPage(NamedTuple):
    """Some of the jobs that failed, or are unknown, and where the next page begins; None after the last."""

    jobs: list[Job]
    after: tuple[str, str] | None


def ended(
    state: EndedState, *, older: int, newer: int | None, count: int, after: tuple[str, str] | None
) -> Call[EndedPage]:
    """Reads a page of the jobs that failed, or are unknown; those that ended last come first.

    Args:
        state: Which of the two.
        older: Milliseconds that they ended ago at least.
        newer: Milliseconds that they ended ago at most; None for no limit.
        count: Jobs at most.
        after: Where the page begins, as the one before it says.
    """

    def parse(answer: list[Any]) -> EndedPage:
        job_id, moment, *found = answer
        # Nothing here depends on the present: the state is final, and written.
        jobs = [read_job(text(each[0]), 0, each[1:]) for each in found]
        return EndedPage(jobs, (text(job_id), text(moment)) if job_id else None)

    args: list[str | bytes | int | float] = [state, older, "" if newer is None else newer, count, *(after or ("", ""))]
    return Call(script("ended"), args, parse)


def retry(job_ids: Sequence[str], state: EndedState, nonce: str) -> Call[list[RetryWord]]:
    """Calls again for jobs that failed, or are unknown; returns what became of each (see `retry.lua`).

    Args:
        job_ids: Which.
        state: The state that the operator has seen them in.
        nonce: This retry's: one that is sent again does nothing again.
    """

    def parse(answers: list[bytes]) -> list[RetryWord]:
        return [cast("RetryWord", text(word)) for word in answers]

    return Call(script("retry"), [nonce, state, *job_ids], parse, confirm=True)


class Marked(NamedTuple):
    """What became of a job that was to be marked as sent (see `mark_sent.lua`), and whose the messageId is."""

    word: MarkWord
    owner: str | None


def mark_sent(job_id: str, *, message_id: int, campaign_id: int, status: int, retention: int) -> Call[Marked]:
    """Ends an unknown job as sent, under the gateway's ids that a person has found."""

    def parse(answer: list[bytes]) -> Marked:
        word, owner = [*answer, b""][:2]
        return Marked(cast("MarkWord", text(word)), text(owner) or None)

    args: list[str | bytes | int | float] = [job_id, message_id, campaign_id, status, retention]
    return Call(script("mark_sent"), args, parse, confirm=True)


@dataclass(frozen=True, slots=True)
class Story:
    """What a job's timeline is made of; times in ms of Redis's clock.

    Attributes:
        job: The job.
        now: When it was read.
        due: When someone must look at it again, or None.
        doubt: Whether Redis may have forgotten a call, and the gateway hasn't been asked since.
        pauses: Those that are over, of its lane and of all: until when each lasted, and what it was.
        record: The record's fields, as text; without the message, the number and the keys.
    """

    job: Job
    now: int
    due: int | None
    doubt: bool
    pauses: list[tuple[int, Pause]]
    record: dict[str, str]


def story(job_id: str) -> Call[Story | None]:
    """Reads what a job's timeline is made of; None if the job isn't known."""

    def parse(answer: list[Any]) -> Story | None:
        if not answer:
            return None
        now, stopped, doubt, due, past, *fields = answer
        words = iter([text(each) for each in fields])
        job = read_job(job_id, now, fields, stopped=stopped, doubt=bool(doubt))
        record = dict(zip(words, words, strict=True))
        return Story(job, now, due if due >= 0 else None, bool(doubt), [_past(each) for each in past], record)

    return Call(script("story"), [job_id], parse)


def _past(stored: bytes) -> tuple[int, Pause]:
    until, lane, pause = text(stored).split(" ", 2)
    return int(until), Pause.read(lane, pause)


class ParkedPage(NamedTuple):
    """Some of what was put aside: ids with their reasons; and the next page's cursor, '0' after the last."""

    entries: list[tuple[str, str]]
    cursor: str


def parked(cursor: str, count: int) -> Call[ParkedPage]:
    """Reads some of what nobody can do anything with, about ``count``."""

    def parse(answer: list[bytes]) -> ParkedPage:
        cursor, *words = (text(each) for each in answer)
        return ParkedPage(list(zip(words[::2], words[1::2], strict=True)), cursor)

    return Call(script("parked"), [cursor, count], parse)


def forget(name: str, *, retention: int) -> Call[bool]:
    """Forgets what was put aside, with a record that can't be used; False if it isn't aside."""
    return Call(script("forget"), [name, retention], bool)
