"""Compares three books: what producers were promised, what the ledger says, and what the gateway accepted.

Pure functions. What Redis may forget is known beforehand: the harness notes from when to when each rollback reaches.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from smsq.job import DECLINED
from smsq.states import State
from tests.soak.promises import Offer, Promise
from tests.soak.traffic import Message

#: Seconds for which a write may be on its way to Redis after its producer died.
_UNDER_WAY: Final = 3.0
#: The gateway's whole seconds.
_ROUNDED: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rollback:
    """Redis went back to what it knew at `since`, at `until`: writes between may be gone."""

    since: float
    until: float

    def may_have_forgotten(self, began: float, ended: float) -> bool:
        """Returns whether a write between two moments may be gone."""
        return ended >= self.since and began <= self.until


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger says of a job."""

    state: State
    message_id: int | None = None
    campaign_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the gateway accepted.

    Attributes:
        message_id: Its id.
        campaign_id: Its campaign's.
        at: When, by the monotonic clock; the gateway tells whole seconds, so it may have been up to one later.
    """

    message_id: int
    campaign_id: int
    at: float


class Defect(StrEnum):
    """What must not be."""

    LOST = "lost"
    TWICE = "sent twice"
    WRONG = "wrong"
    STUCK = "stuck"


class Excused(StrEnum):
    """What Redis's forgetting, or the caller's wish, explains (`docs/reliability.md`).

    What an older copy lacks is forgotten; most of it had been sent before.
    """

    FORGOTTEN = "forgotten by Redis"
    FORGOTTEN_SENT = "forgotten by Redis, sent"
    CAME_BACK = "cancelled, came back"
    KEY_ELSEWHERE = "twice: key used again elsewhere"
    RESENT = "twice: resend, as asked for"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one message that isn't as it should be, or would not be but for an excuse."""

    kind: Defect | Excused
    number: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What the comparison came to.

    Attributes:
        outcomes: Promised messages by what became of them: a final state, ``forgotten``, or a defect.
        unanswered: Messages that nobody was promised anything about.
        findings: Each thing worth a line.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    findings: list[Finding] = field(default_factory=list)

    def count(self, kind: Defect | Excused) -> int:
        """Returns how many messages have a finding of a kind."""
        return len({finding.number for finding in self.findings if finding.kind is kind})

    @property
    def clean(self) -> bool:
        """Whether there is no defect."""
        return not any(isinstance(finding.kind, Defect) for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything about one message.

    Attributes:
        message: The message.
        promise: What its producers did and were told.
        records: The ledger's records of the jobs that were promised; None for one that it doesn't know.
        accepted: What the gateway accepted of it.
        rollbacks: When Redis went back.
        bound: Seconds for which the gateway may still act on a call.
    """

    message: Message
    promise: Promise
    records: Mapping[str, Record | None]
    accepted: Sequence[Accepted]
    rollbacks: Sequence[Rollback]
    bound: float

    def forgettable(self, offer: Offer) -> bool:
        """Returns whether Redis may have forgotten an offer's job."""
        return any(_may_have_forgotten(each, offer) for each in self.rollbacks)

    @property
    def key_used_elsewhere(self) -> bool:
        """Whether a key came again from another process after Redis may have forgotten it (rule 21 can't know that)."""
        offers = self.promise.offers
        return any(
            again.process != first.process
            and _may_have_forgotten(rollback, first)
            and (again.answered is None or again.answered >= rollback.until)
            for number, first in enumerate(offers)
            for again in offers[number + 1 :]
            for rollback in self.rollbacks
        )


def _may_have_forgotten(rollback: Rollback, offer: Offer) -> bool:
    ended = offer.offered + _UNDER_WAY if offer.answered is None else offer.answered
    return rollback.may_have_forgotten(offer.offered, ended)


def compare(
    messages: Mapping[int, Message],
    promises: Mapping[int, Promise],
    records: Mapping[str, Record | None],
    accepted: Mapping[int, Sequence[Accepted]],
    rollbacks: Sequence[Rollback],
    *,
    bound: float,
) -> Verdict:
    """Compares the books.

    Args:
        messages: Every message that was offered, by its number.
        promises: The producers' book, by the same.
        records: The ledger's, by the jobs' ids.
        accepted: The gateway's, by the messages' numbers.
        rollbacks: When Redis went back to what; a restart that may have lost its last writes is one too.
        bound: Seconds for which the gateway may still act on a call.
    """
    verdict = Verdict()
    for number, promise in sorted(promises.items()):
        jobs = {job_id: records[job_id] for job_id in promise.job_ids}
        case = Case(messages[number], promise, jobs, accepted.get(number, ()), rollbacks, bound)
        verdict.findings.extend(_about_the_gateway(case))
        verdict.findings.extend(_about_the_time(case))
        if not promise.job_ids:
            verdict.unanswered += 1
            continue
        outcome, findings = _about_the_promise(case)
        verdict.outcomes[outcome] += 1
        verdict.findings.extend(findings)
    for number in accepted.keys() - promises.keys():
        verdict.findings.append(Finding(Defect.WRONG, number, "sent, and nobody had offered it"))
    return verdict


def _about_the_gateway(case: Case) -> Iterable[Finding]:
    """Twice, or in spite of a cancel: of these even what was never promised may be guilty."""
    number, count = case.message.number, len(case.accepted)
    if count > 1:
        if case.message.group.on_unknown == "resend" and count == 2:
            yield Finding(Excused.RESENT, number, "two messages")
        elif case.key_used_elsewhere:
            yield Finding(Excused.KEY_ELSEWHERE, number, f"{count} messages")
        else:
            yield Finding(Defect.TWICE, number, f"{count} messages")
    for cancelling in case.promise.cancellings:
        if not (cancelling.stopped and count):
            continue
        answered = cancelling.asked if cancelling.answered is None else cancelling.answered
        came_back = any(each.may_have_forgotten(cancelling.asked, answered) for each in case.rollbacks)
        if came_back or case.key_used_elsewhere:
            yield Finding(Excused.CAME_BACK, number, "cancel was True, and the message was sent")
        else:
            yield Finding(Defect.WRONG, number, "cancel was True, and the message was sent")


def _about_the_time(case: Case) -> Iterable[Finding]:
    """Too early for its `send_at`, or called after it had expired."""
    group, offers = case.message.group, case.promise.offers
    earliest = offers[0].offered + (group.delay or 0.0) - _ROUNDED
    last = offers[-1]
    accepted_by = last.offered + _UNDER_WAY if last.answered is None else last.answered
    for each in case.accepted:
        if each.at < earliest:
            yield Finding(Defect.WRONG, case.message.number, f"sent {earliest - each.at:.1f} s too early")
        if group.expires_in is not None and each.at > accepted_by + group.expires_in + case.bound:
            yield Finding(Defect.WRONG, case.message.number, "called after it had expired")


def _about_the_promise(case: Case) -> tuple[str, list[Finding]]:
    """Says what became of a message that was promised, and what is wrong with it."""
    number, findings = case.message.number, []
    known = {job_id: record for job_id, record in case.records.items() if record}
    if len(case.records) > 1 and not case.key_used_elsewhere:
        findings.append(Finding(Defect.WRONG, number, "one key gave several jobs"))
    if not known:
        return _without_a_record(case, findings)
    for record in known.values():
        findings.extend(_about_the_record(case, record))
    record = next(reversed(known.values()))
    if not record.state.final:
        return str(Defect.STUCK), findings
    lost = any(finding.kind is Defect.LOST for finding in findings)
    return str(Defect.LOST) if lost else str(record.state), findings


def _without_a_record(case: Case, findings: list[Finding]) -> tuple[str, list[Finding]]:
    number = case.message.number
    if all(case.forgettable(offer) for offer in case.promise.offers if offer.job_id):
        excuse = Excused.FORGOTTEN_SENT if case.accepted else Excused.FORGOTTEN
        return "forgotten", [*findings, Finding(excuse, number, "the ledger has no record")]
    sent = "; the gateway has it" if case.accepted else ""
    return str(Defect.LOST), [*findings, Finding(Defect.LOST, number, f"the ledger has no record{sent}")]


def _about_the_record(case: Case, record: Record) -> Iterable[Finding]:
    message, number, count = case.message, case.message.number, len(case.accepted)
    match record.state:
        case State.SENT if (record.message_id, record.campaign_id) in _ids(case):
            return
        case State.SENT if count:
            yield Finding(Defect.WRONG, number, "sent, with ids that aren't the message's")
        case State.SENT:
            yield Finding(Defect.LOST, number, "sent, and the gateway hasn't got it")
        case State.UNKNOWN:
            return
        case State.FAILED if record.reason == DECLINED and (record.message_id, record.campaign_id) in _ids(case):
            return
        case State.FAILED | State.EXPIRED | State.CANCELLED:
            if count and not case.key_used_elsewhere:
                yield Finding(Defect.WRONG, number, f"{record.state}, and the gateway has it")
            reasons = {
                State.FAILED: message.refused,
                State.EXPIRED: message.group.expires_in is not None,
                State.CANCELLED: bool(case.promise.cancellings),
            }
            if not reasons[record.state]:
                yield Finding(Defect.WRONG, number, f"{record.state} without a cause: {record.reason}")
        case _:
            yield Finding(Defect.STUCK, number, f"still {record.state}")


def _ids(case: Case) -> set[tuple[int | None, int | None]]:
    return {(each.message_id, each.campaign_id) for each in case.accepted}
