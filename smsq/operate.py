"""What operators do: see everything at a glance, hold lanes back, look after what failed or is unknown."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, NamedTuple

from smsq import ledger
from smsq.connection import SyncRunner
from smsq.encryption import NO_MARKS
from smsq.job import Job
from smsq.lanes import Lane
from smsq.ledger import EndedState, Erased, Marked, Pause, RetryWord
from smsq.overview import Overview
from smsq.queue import DEADLINE
from smsq.settings import Settings
from smsq.timeline import Event, events_of, waits_for, waits_for_moderator

#: Jobs that one script reads, and that one changes: a millisecond or two of Redis's time.
_PAGE: Final = 500
_CHANGED: Final = 100
#: Keys that a step of erasing looks at: Redis is held for a few milliseconds.
_LOOKED_AT: Final = 500
#: The campaign status of what a person has found at the gateway: let pass, or it would not have been sent.
_PASSED: Final = 2


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of the jobs that failed, or are unknown.

    Attributes:
        reason: A part of what their error says, its code included; in any case of its letters.
        older_than: Seconds that they ended ago at least.
        newer_than: Seconds that they ended ago at most.
        batch_id: Their batch.
    """

    reason: str | None = None
    older_than: float | None = None
    newer_than: float | None = None
    batch_id: str | None = None

    def fits(self, job: Job) -> bool:
        """Returns whether a job has the reason and the batch; its age is looked at by the script."""
        if self.batch_id is not None and job.batch_id != self.batch_id:
            return False
        return self.reason is None or self.reason.casefold() in str(job.error or "").casefold()


class Timeline(NamedTuple):
    """A job, what happened to it, and what it waits for; None if it has ended."""

    job: Job
    events: list[Event]
    waits_for: str | None


class Operator:
    """An operator's hand on the ledger. Every method raises `QueueUnavailable` if Redis doesn't answer in two seconds.

    Args:
        settings: Where Redis is, and what a change waits for.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runner = SyncRunner(settings.address, settings.durability)

    def overview(self) -> Overview:
        """Returns the ledger at a glance."""
        return Overview.read(self._runner.run(ledger.overview(), DEADLINE))

    def pause(self, lane: Lane | Literal["all"], reason: str) -> list[Pause]:
        """Has workers take nothing more from a lane, or from all; calls that are out are finished.

        Returns:
            All that is held back.
        """
        return self._runner.run(ledger.pause(lane, reason), DEADLINE)

    def resume(self, lane: Lane | Literal["all"]) -> list[Pause]:
        """Undoes `pause` of the same lane, or of all; workers hear of it at once.

        Returns:
            What is still held back.
        """
        return self._runner.run(ledger.pause(lane, ""), DEADLINE)

    def ended(self, state: EndedState, which: Filter) -> Iterator[Job]:
        """Yields jobs that failed, or are unknown; those that ended last come first, read in pages."""
        older = round((which.older_than or 0) * 1000)
        newer = None if which.newer_than is None else round(which.newer_than * 1000)
        after: tuple[str, str] | None = None
        while True:
            page = self._runner.run(ledger.ended(state, older=older, newer=newer, count=_PAGE, after=after), DEADLINE)
            yield from filter(which.fits, page.jobs)
            if (after := page.after) is None:
                return

    def retry(self, state: EndedState, job_ids: Sequence[str]) -> Iterator[tuple[str, RetryWord]]:
        """Calls again for jobs; one that Redis may have forgotten a call of is asked about first (rule 18).

        Args:
            state: The state that they are in; a job that isn't is left alone.
            job_ids: Which.

        Yields:
            Each id with what became of it (see `retry.lua`).
        """
        ids = iter(job_ids)
        while chunk := list(islice(ids, _CHANGED)):
            words = self._runner.run(ledger.retry(chunk, state, secrets.token_hex(8)), DEADLINE)
            yield from zip(chunk, words, strict=True)

    def mark_sent(self, job_id: str, *, message_id: int, campaign_id: int) -> Marked:
        """Ends an unknown job as sent, under ids that a person has found at the gateway."""
        call = ledger.mark_sent(
            job_id,
            message_id=message_id,
            campaign_id=campaign_id,
            status=_PASSED,
            retention=self._settings.retention_ms,
        )
        return self._runner.run(call, DEADLINE)

    def why(self, job_id: str) -> Timeline | None:
        """Returns a job's timeline, or None if it isn't known."""
        story = self._runner.run(ledger.story(job_id), DEADLINE)
        if story is None:
            return None
        waits = waits_for_moderator(story) if story.job.state.final else waits_for(story, self.overview())
        return Timeline(story.job, events_of(story), waits)

    def parked(self) -> Iterator[tuple[str, str]]:
        """Yields what was put aside, each with its reason."""
        cursor = "0"
        while True:
            page = self._runner.run(ledger.parked(cursor, _PAGE), DEADLINE)
            yield from page.entries
            if (cursor := page.cursor) == "0":
                return

    def forget(self, name: str) -> bool:
        """Forgets what was put aside, with a record that can't be used; returns whether it was aside."""
        return self._runner.run(ledger.forget(name, retention=self._settings.retention_ms), DEADLINE)

    def erase(self, recipient: str, *, cancel_waiting: bool = False) -> Erased:
        """Erases a person: jobs of the number that have ended lose it, and their text. Looks at every job there is.

        What is enqueued meanwhile may be missed. An answer that is lost on its way costs its step's counts and nothing
        else.

        Args:
            recipient: The number in the gateway's form (`smsq.recipient.canonical_recipient`).
            cancel_waiting: Whether jobs that wait are cancelled, to be erased as well.

        Returns:
            How many jobs were erased, and how many were left.
        """
        cursor, total = "0", Erased()
        cipher, retention = self._settings.cipher, self._settings.retention_ms
        marks = cipher.marks(recipient) if cipher else NO_MARKS
        while True:
            call = ledger.erase(
                cursor, _LOOKED_AT, recipient, cancel_waiting=cancel_waiting, retention=retention, marks=marks
            )
            cursor, erased = self._runner.run(call, DEADLINE)
            total = total.plus(erased)
            if cursor == "0":
                return total

    def close(self) -> None:
        """Closes its connections."""
        self._runner.close()
