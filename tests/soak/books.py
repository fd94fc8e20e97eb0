"""Compares three books: what producers were promised, what the ledger says, what the gateway accepted.

Pure: the tests invent books with each kind of defect in them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from tests.soak.promises import Promise

#: Seconds that a producer waits for an answer at most, so that Redis did what it did within this time of the offer.
ANSWERED_WITHIN: Final = 2.0
#: The gateway's times are whole seconds.
_RESOLUTION: Final = 1.0


class Defect(StrEnum):
    """A broken promise."""

    LOST = "lost"
    """Accepted, and nowhere; or `sent`, and the gateway has no such message."""
    TWICE = "sent twice"
    """The gateway accepted two messages for one."""
    WRONG = "wrong"
    """Ids that aren't the message's, or an end that contradicts what the gateway has or what somebody was told."""
    STUCK = "stuck"
    """Not final, and nobody will look at it any more; or not in time."""


class Excuse(StrEnum):
    """What Redis's going back in time may cost: `docs/reliability.md` says that nobody can know of it."""

    FORGOTTEN = "forgotten by Redis"
    """Accepted after the copy that Redis went back to, and before it did."""
    CAME_BACK = "came back after a cancel"
    """Cancelled in that span, and sent afterwards (rule 23)."""
    KEY_ELSEWHERE = "twice by a key from another process"
    """Accepted in that span, and offered again afterwards with the same key by a process that didn't know (rule 21)."""


class Entry(NamedTuple):
    """A job as the ledger has it."""

    state: str
    message_id: int | None = None
    campaign_id: int | None = None


class Taken(NamedTuple):
    """A message that the gateway accepted: whose it is by its text, its ids, and when (unix seconds)."""

    number: int
    message_id: int
    campaign_id: int
    at: float


class Window(NamedTuple):
    """A span (unix seconds) that Redis may have forgotten, and why."""

    why: str
    start: float
    end: float

    def overlaps(self, start: float, end: float) -> bool:
        """Returns whether what was done at some moment of a span may have been forgotten."""
        return start <= self.end and end >= self.start


@dataclass(slots=True)
class Findings:
    """What the comparison found.

    Attributes:
        promised: Messages that were accepted.
        unconfirmed: Messages that were offered, but never confirmed; nothing was promised about them.
        unconfirmed_sent: Those of them that the gateway accepted all the same.
        states: The accepted messages' ends.
        excused: What Redis's going back in time explains.
        defects: Message numbers or job ids, with what is wrong.
        longest_delay: Seconds from the offer, or the moment it was scheduled for, to the gateway's acceptance.
    """

    promised: int = 0
    unconfirmed: int = 0
    unconfirmed_sent: int = 0
    states: Counter[str] = field(default_factory=Counter)
    excused: Counter[Excuse] = field(default_factory=Counter)
    defects: dict[Defect, list[str]] = field(default_factory=lambda: {kind: [] for kind in Defect})
    longest_delay: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.defects.values())


FINAL: Final = frozenset({"sent", "failed", "unknown", "expired", "cancelled"})


def compare(
    promises: Mapping[int, Promise],
    ledger: Mapping[str, Entry],
    gateway: Iterable[Taken],
    windows: Sequence[Window],
) -> Findings:
    """Compares the books.

    Args:
        promises: By message number.
        ledger: Every job that it has, by its id.
        gateway: Every message that it accepted.
        windows: What Redis may have forgotten.

    Returns:
        What was found.
    """
    taken: dict[int, list[Taken]] = defaultdict(list)
    for message in gateway:
        taken[message.number].append(message)
    comparison = _Comparison(promises, ledger, taken, windows)
    comparison.run()
    return comparison.findings


class _Comparison:
    def __init__(
        self,
        promises: Mapping[int, Promise],
        ledger: Mapping[str, Entry],
        taken: Mapping[int, list[Taken]],
        windows: Sequence[Window],
    ) -> None:
        self.findings = Findings()
        self._promises = promises
        self._ledger = ledger
        self._taken = taken
        self._windows = windows

    def run(self) -> None:
        for promise in self._promises.values():
            messages = self._taken.get(promise.number, [])
            self._count_messages(promise, messages)
            if promise.accepted:
                self._judge(promise, messages)
            else:
                self.findings.unconfirmed += 1
                self.findings.unconfirmed_sent += bool(messages)
        for number in self._taken.keys() - self._promises.keys():
            self._defect(Defect.WRONG, number, "a message that nobody had offered")
        self._judge_the_ledger()

    def _defect(self, kind: Defect, who: int | str, what: str) -> None:
        self.findings.defects[kind].append(f"{who}: {what}")

    def _count_messages(self, promise: Promise, messages: Sequence[Taken]) -> None:
        if len(messages) > 1:
            if self._offered_by_one_who_could_not_know(promise):
                self.findings.excused[Excuse.KEY_ELSEWHERE] += 1
            else:
                self._defect(Defect.TWICE, promise.number, f"{len(messages)} messages")
        for message in messages:
            if message.at + _RESOLUTION < promise.not_before:
                self._defect(Defect.WRONG, promise.number, "sent before its time")
        if messages:
            due = max(promise.offers[0].at, promise.not_before)
            self.findings.longest_delay = max(self.findings.longest_delay, messages[0].at - due)

    def _judge(self, promise: Promise, messages: Sequence[Taken]) -> None:
        self.findings.promised += 1
        known = [job_id for job_id in dict.fromkeys(each.job_id for each in promise.accepted) if job_id in self._ledger]
        if len(known) > 1:
            self._defect(Defect.WRONG, promise.number, "two jobs have one key")
        if not known:
            if all(self._forgettable(each.asked, each.at) for each in promise.accepted):
                self.findings.excused[Excuse.FORGOTTEN] += 1
                self.findings.states["forgotten"] += 1
            else:
                self._defect(Defect.LOST, promise.number, "accepted, and the ledger doesn't know it")
            return
        entry = self._ledger[known[-1]]
        self.findings.states[entry.state] += 1
        self._judge_entry(promise, entry, messages)

    def _judge_entry(self, promise: Promise, entry: Entry, messages: Sequence[Taken]) -> None:
        number = promise.number
        told_stopped = [each for each in promise.cancels if each.stopped]
        match entry.state:
            case "sent" if not messages:
                self._defect(Defect.LOST, number, "sent, says the ledger; the gateway has no such message")
            case "sent":
                if (entry.message_id, entry.campaign_id) not in {(m.message_id, m.campaign_id) for m in messages}:
                    self._defect(Defect.WRONG, number, "sent, with ids of another message")
            case "unknown":
                pass
            case "failed" | "expired" | "cancelled" if messages:
                self._defect(Defect.WRONG, number, f"{entry.state}, says the ledger; the gateway has it")
            case "failed" if not promise.refused:
                self._defect(Defect.WRONG, number, "failed, though the gateway refused nothing")
            case "expired" if not promise.expires:
                self._defect(Defect.WRONG, number, "expired, without a time to live")
            case "cancelled" if not promise.to_cancel:
                self._defect(Defect.WRONG, number, "cancelled, and nobody wished it")
            case state if state not in FINAL:
                self._defect(Defect.STUCK, number, f"still {state}")
        if told_stopped and messages:
            if any(self._forgettable(each.asked, each.at) for each in told_stopped):
                self.findings.excused[Excuse.CAME_BACK] += 1
            else:
                self._defect(Defect.WRONG, number, "cancel was True, and the gateway has it")

    def _judge_the_ledger(self) -> None:
        """Jobs of which no producer heard the id, and messages that two jobs call their own."""
        heard = {each.job_id for promise in self._promises.values() for each in promise.accepted}
        ids = {message.message_id for messages in self._taken.values() for message in messages}
        owners = Counter(entry.message_id for entry in self._ledger.values() if entry.state == "sent")
        for message_id, count in owners.items():
            if count > 1:
                self._defect(Defect.WRONG, f"messageId {message_id}", f"{count} jobs have it")
        for job_id, entry in self._ledger.items():
            if job_id in heard:
                continue
            if entry.state not in FINAL:
                self._defect(Defect.STUCK, job_id, f"still {entry.state}")
            elif entry.state == "sent" and entry.message_id not in ids:
                self._defect(Defect.WRONG, job_id, "sent, with an id that the gateway doesn't have")

    def _forgettable(self, start: float, end: float) -> bool:
        return any(window.overlaps(start, end) for window in self._windows)

    def _offered_by_one_who_could_not_know(self, promise: Promise) -> bool:
        """Whether Redis forgot an offer of one process before another one, which didn't know of that, made it again."""
        return any(
            later.process != first.process
            and window.overlaps(first.at, first.at + ANSWERED_WITHIN)
            and later.at + ANSWERED_WITHIN >= window.end
            for first in promise.offers
            for later in promise.offers
            for window in self._windows
        )
