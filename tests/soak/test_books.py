"""The comparison of the books, with invented ones: each kind of defect is seen, and each excuse reaches no further."""

from dataclasses import replace

import pytest

from smsq.job import DECLINED
from smsq.states import State
from tests.soak.books import Accepted, Defect, Excused, Record, Rollback, Verdict, compare
from tests.soak.promises import Cancelling, Offer, Promise
from tests.soak.traffic import Group, Message

SENT = Record(State.SENT, 1001, 2001)
THERE = (Accepted(1001, 2001, 12.0),)
ROLLBACK = Rollback(since=5.0, until=20.0)
BOUND = 5.0


def message(
    *, refused: bool = False, expires: bool = False, resend: bool = False, delay: float | None = None
) -> Message:
    """Returns message number 7."""
    group = Group(
        numbers=range(5, 10),
        way="one",
        lane="normal",
        batch=None,
        cancels_batch=False,
        keyed=True,
        expires_in=60.0 if expires else None,
        delay=delay,
        on_unknown="resend" if resend else "ask",
        vanishing=False,
        repeat_after=0.0,
    )
    return Message(7, "77010000007", "text", "key", repeated=False, cancel_after=None, refused=refused, group=group)


def accepted(*offers: Offer) -> Promise:
    """Returns the promise of one offer that was accepted as job j, or of these."""
    return Promise(list(offers) or [Offer("p1", 10.0, 10.1, "j")])


def verdict(
    promise: Promise,
    record: Record | None,
    there: tuple[Accepted, ...],
    *rollbacks: Rollback,
    about: Message | None = None,
) -> Verdict:
    """Compares the books about one message; the ledger says the same of each of its jobs."""
    records = dict.fromkeys(promise.job_ids, record)
    return compare({7: about or message()}, {7: promise}, records, {7: there} if there else {}, rollbacks, bound=BOUND)


def kinds(found: Verdict) -> set[Defect | Excused]:
    """Returns what was found."""
    return {finding.kind for finding in found.findings}


def test_sent_once_with_its_ids_is_clean() -> None:
    """Promised, sent, at the gateway once: nothing is found."""
    found = verdict(accepted(), SENT, THERE)
    assert found.clean
    assert found.outcomes == {"sent": 1}
    assert not found.findings


@pytest.mark.parametrize(
    ("record", "there", "defect"),
    [
        (None, (), Defect.LOST),
        (None, THERE, Defect.LOST),
        (SENT, (), Defect.LOST),
        (SENT, (*THERE, Accepted(1002, 2002, 12.0)), Defect.TWICE),
        (SENT, (Accepted(1002, 2002, 12.0),), Defect.WRONG),
        (SENT, (Accepted(1001, 2002, 12.0),), Defect.WRONG),
        (Record(State.QUEUED), (), Defect.STUCK),
        (Record(State.SENDING), THERE, Defect.STUCK),
        (Record(State.EXPIRED), THERE, Defect.WRONG),
        (Record(State.CANCELLED), THERE, Defect.WRONG),
        (Record(State.FAILED), (), Defect.WRONG),
        (Record(State.EXPIRED), (), Defect.WRONG),
        (Record(State.CANCELLED), (), Defect.WRONG),
    ],
    ids=[
        "no record",
        "no record, sent",
        "sent, not there",
        "two messages",
        "other ids",
        "another campaign",
        "waits",
        "is being sent",
        "expired, there",
        "cancelled, there",
        "failed for nothing",
        "expired without a time",
        "cancelled by nobody",
    ],
)
def test_each_defect_is_seen(record: Record | None, there: tuple[Accepted, ...], defect: Defect) -> None:
    """What must not be is a defect, and the soak isn't clean."""
    found = verdict(accepted(), record, there)
    assert defect in kinds(found)
    assert not found.clean


@pytest.mark.parametrize(
    ("record", "about", "cancelled"),
    [
        (Record(State.FAILED), message(refused=True), False),
        (Record(State.EXPIRED), message(expires=True), False),
        (Record(State.CANCELLED), message(), True),
        (Record(State.UNKNOWN), message(), False),
    ],
    ids=["failed", "expired", "cancelled", "unknown"],
)
def test_an_end_with_a_cause_is_clean(record: Record, about: Message, cancelled: bool) -> None:
    """Refused numbers fail, jobs with a time expire, cancelled ones are cancelled; unknown is counted, no defect."""
    promise = accepted()
    if cancelled:
        promise.cancellings.append(Cancelling(11.0, 11.1, stopped=True))
    found = verdict(promise, record, (), about=about)
    assert found.clean
    assert found.outcomes == {str(record.state): 1}


def test_what_a_moderator_declined_was_accepted_before() -> None:
    """It has failed, with the ids that the gateway gave; under other ids it is none of these."""
    declined = replace(SENT, state=State.FAILED, reason=DECLINED)
    assert verdict(accepted(), declined, THERE).clean
    assert kinds(verdict(accepted(), replace(declined, message_id=7), THERE)) == {Defect.WRONG}


def test_two_messages_are_a_defect_although_nothing_was_promised() -> None:
    """A key without an answer promises nothing, and still can't send twice."""
    promise = accepted(Offer("p1", 10.0, 12.0), Offer("p2", 13.0))
    found = verdict(promise, None, (*THERE, Accepted(1002, 2002, 12.0)))
    assert kinds(found) == {Defect.TWICE}
    assert found.unanswered == 1


def test_resend_may_send_two_and_no_more() -> None:
    """`on_unknown="resend"` is two rather than none; three are a defect."""
    two = (*THERE, Accepted(1002, 2002, 12.0))
    assert kinds(verdict(accepted(), SENT, two, about=message(resend=True))) == {Excused.RESENT}
    three = (*two, Accepted(1003, 2003, 12.0))
    assert kinds(verdict(accepted(), SENT, three, about=message(resend=True))) == {Defect.TWICE}


@pytest.mark.parametrize(
    ("rollback", "kind"),
    [
        (ROLLBACK, Excused.FORGOTTEN),
        (Rollback(since=10.2, until=20.0), Defect.LOST),
        (Rollback(since=1.0, until=9.9), Defect.LOST),
    ],
    ids=["between", "accepted before the copy", "accepted after the rollback"],
)
def test_redis_may_forget_only_what_came_between_copy_and_rollback(rollback: Rollback, kind: Defect | Excused) -> None:
    """Without a record: forgotten if it was accepted in that span, else lost."""
    assert kinds(verdict(accepted(), None, (), rollback)) == {kind}


def test_what_redis_forgot_may_have_been_sent() -> None:
    """The gateway has it, and nobody can look it up any more."""
    assert kinds(verdict(accepted(), None, THERE, ROLLBACK)) == {Excused.FORGOTTEN_SENT}


def test_what_was_accepted_again_after_a_rollback_must_be_there() -> None:
    """One acceptance that Redis can't have forgotten is enough for a loss."""
    promise = accepted(Offer("p1", 10.0, 10.1, "j"), Offer("p1", 30.0, 30.1, "j"))
    assert kinds(verdict(promise, None, (), ROLLBACK)) == {Defect.LOST}


@pytest.mark.parametrize(("delay", "early"), [(None, False), (1.5, False), (4.0, True)])
def test_sent_before_its_time(delay: float | None, early: bool) -> None:
    """A message isn't sent before its `send_at`; the gateway's clock shows whole seconds."""
    found = verdict(accepted(), SENT, THERE, about=message(delay=delay))
    assert kinds(found) == ({Defect.WRONG} if early else set())


@pytest.mark.parametrize(("at", "late"), [(75.0, False), (76.0, True)])
def test_called_after_it_had_expired(at: float, late: bool) -> None:
    """The gateway isn't called after `expires_in`, and acts on a call within its bound."""
    found = verdict(accepted(), SENT, (Accepted(1001, 2001, at),), about=message(expires=True))
    assert kinds(found) == ({Defect.WRONG} if late else set())


def test_a_rollback_excuses_no_second_message() -> None:
    """F02: whatever Redis forgot, the same process's key and a job without a key can't send twice."""
    promise = accepted(Offer("p1", 10.0, 12.0), Offer("p1", 30.0, 30.1, "j"))
    assert Defect.TWICE in kinds(verdict(promise, SENT, (*THERE, Accepted(1002, 2002, 12.0)), ROLLBACK))


@pytest.mark.parametrize(("again", "excused"), [(30.0, True), (12.0, False)], ids=["after", "before"])
def test_a_key_from_another_process_may_send_twice_after_a_rollback(again: float, excused: bool) -> None:
    """Rule 21: a process that didn't offer the key before can't know of it; but only if Redis forgot it in between."""
    promise = accepted(Offer("p1", 10.0), Offer("p2", again, again + 0.1, "j"))
    found = verdict(promise, SENT, (*THERE, Accepted(1002, 2002, 12.0)), ROLLBACK)
    assert kinds(found) == {Excused.KEY_ELSEWHERE if excused else Defect.TWICE}


def test_one_key_that_gave_two_jobs_is_a_defect() -> None:
    """Offered twice by one process, the key must give the same job, whatever Redis forgot."""
    promise = accepted(Offer("p1", 10.0, 10.1, "j"), Offer("p1", 30.0, 30.1, "k"))
    assert kinds(verdict(promise, SENT, THERE, ROLLBACK)) == {Defect.WRONG}


@pytest.mark.parametrize(
    ("rollbacks", "kind"), [((), Defect.WRONG), ((ROLLBACK,), Excused.CAME_BACK)], ids=["never", "rolled back"]
)
def test_sent_although_cancel_was_true(rollbacks: tuple[Rollback, ...], kind: Defect | Excused) -> None:
    """Rules 22, 23: cancel is True only if the gateway wasn't called, unless Redis forgot the cancel."""
    promise = accepted()
    promise.cancellings.append(Cancelling(11.0, 11.1, stopped=True))
    assert kinds(verdict(promise, SENT, THERE, *rollbacks)) == {kind}


def test_a_message_that_nobody_offered_is_a_defect() -> None:
    """The gateway has what no producer's book has."""
    found = compare({}, {}, {}, {7: THERE}, [], bound=BOUND)
    assert kinds(found) == {Defect.WRONG}
