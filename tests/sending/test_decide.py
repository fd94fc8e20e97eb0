"""What becomes of a job after its calls, case by case."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from smsq.gateway.answers import NOT_CALLED, Kind, Outcome
from smsq.job import JobError
from smsq.ledger import Begun, Heard, Settlement
from smsq.scripts import Known, boot_time
from smsq.sms import Sms
from smsq.states import State
from tasks.decide import FIRST_DELAY, LONGEST_DELAY, decide, hear
from tasks.hold import Hold

SMS = Sms(recipient="77010000001", text="Код: 4711")
DAY = 86_400.0
MINUTE_MS = 60_000


def settle(
    outcome: Outcome,
    *,
    calls: int = 1,
    attempts: int = 1,
    put_off: int = 0,
    resend: bool = False,
    give_up_after: float = DAY,
) -> Settlement:
    """Decides for a job that was begun `put_off` ms after the gateway put it off first."""
    begun = Begun("begun", attempts=attempts, put_off=put_off, on_unknown="resend" if resend else "ask")
    hold = Hold.measure("job", "token", begun, epoch=7, asked_at=boot_time(), call_timeout=30, known=Known())
    settlement = decide(hold, SMS, outcome, calls, give_up_after=give_up_after)
    assert (settlement.epoch, settlement.begun_at) == (7, hold.begun_at)
    return replace(settlement, epoch=0, took=0, begun_at=None, heard=None)


def outcome(kind: Kind, *, detail: Mapping[str, str] | str = "", retry_after: float | None = None) -> Outcome:
    """An outcome of a kind, with a code."""
    return Outcome(kind=kind, reason="as the table says", code=17, detail=detail, retry_after=retry_after)


def test_an_accepted_message_is_sent_with_its_ids() -> None:
    """The ids and the number stay, and the calls are counted."""
    accepted = Outcome(kind=Kind.ACCEPTED, reason="accepted", message_id=7, campaign_id=9, campaign_status=2)
    assert settle(accepted, calls=3) == Settlement(
        "job", "token", State.SENT, 3, ids=(7, 9, 2), recipient=SMS.recipient
    )


@pytest.mark.parametrize(("kind", "to"), [(Kind.REFUSED, State.FAILED), (Kind.ACCOUNT, State.QUEUED)])
def test_a_refusal_ends_the_job_and_an_error_of_the_account_has_it_wait(kind: Kind, to: State) -> None:
    """Both with the gateway's words."""
    assert settle(outcome(kind, detail={"recipient": "no route"})) == Settlement(
        "job", "token", to, 1, error=JobError("as the table says", 17, {"recipient": "no route"})
    )


@pytest.mark.parametrize(
    ("detail", "fields"),
    [("", None), ({}, None), ("a sentence", {"detail": "a sentence"}), ({"from": "?"}, {"from": "?"})],
)
def test_the_gateways_words_become_fields(detail: Mapping[str, str] | str, fields: Mapping[str, str] | None) -> None:
    """Sentences by field stay as they are, one for the whole is the detail, and none is none."""
    assert settle(outcome(Kind.REFUSED, detail=detail)).error == JobError("as the table says", 17, fields)


def test_a_job_that_was_not_called_goes_back_to_its_lane() -> None:
    """Handed back uncalled, with no call counted and no error."""
    assert settle(NOT_CALLED, calls=0) == Settlement("job", "token", State.QUEUED, 0)


@pytest.mark.parametrize("attempts", [1, 2, 3, 8, 40, 10_000])
def test_waits_in_the_schedule_grow_to_a_limit(attempts: int) -> None:
    """Each wait is half to all of five seconds, doubled with each attempt, ten minutes at most."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempts - 1, 20))
    for _ in range(50):
        settlement = settle(outcome(Kind.TRY_AGAIN), attempts=attempts, give_up_after=10 * DAY)
        assert settlement.to is State.RETRYING
        assert longest / 2 * 1000 - 1 <= settlement.delay <= longest * 1000


def test_the_gateways_own_wait_comes_first() -> None:
    """The next try is never before the moment that the gateway named, and at most a second after it."""
    for _ in range(50):
        settlement = settle(outcome(Kind.TRY_AGAIN, retry_after=120.0))
        assert 120_000 <= settlement.delay <= 121_000
        assert settlement.error == JobError("as the table says", 17)


@pytest.mark.parametrize(
    ("put_off", "retry_after", "expected"),
    [
        (0, 60.0, State.RETRYING),
        (58 * MINUTE_MS, 60.0, State.RETRYING),
        (60 * MINUTE_MS, 60.0, State.FAILED),
        (59 * MINUTE_MS, 120.0, State.FAILED),
    ],
)
def test_a_job_that_is_put_off_again_and_again_is_given_up(put_off: int, retry_after: float, expected: State) -> None:
    """It fails when its next try would come later than it may take in all."""
    settlement = settle(outcome(Kind.TRY_AGAIN, retry_after=retry_after), put_off=put_off, give_up_after=3600)
    assert settlement.to is expected
    if expected is State.FAILED:
        assert settlement.error == JobError("given up: as the table says", 17)


def test_an_unknown_outcome_is_asked_about() -> None:
    """It is never called again unasked."""
    assert settle(outcome(Kind.UNKNOWN)) == Settlement(
        "job", "token", State.SENDING, 1, error=JobError("as the table says", 17)
    )


def test_who_prefers_two_to_none_is_called_again_at_once() -> None:
    """With on_unknown="resend" the job has no wait."""
    assert settle(outcome(Kind.UNKNOWN), resend=True) == Settlement(
        "job", "token", State.RETRYING, 1, error=JobError("as the table says", 17), delay=0, resends=True
    )


def heard(kind: Kind, *, code: int | None = None, status: int | None = None, wait: float | None = None) -> Heard | None:
    """What the gates hear of an outcome."""
    return hear(Outcome(kind=kind, reason="r", code=code, http_status=status, retry_after=wait))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({"kind": Kind.ACCEPTED, "code": 0}, "well"),
        ({"kind": Kind.REFUSED, "code": 1}, "well"),
        ({"kind": Kind.TRY_AGAIN, "code": 99}, "well"),
        ({"kind": Kind.UNKNOWN, "code": 10}, "well"),
        ({"kind": Kind.UNKNOWN, "code": 999}, "failing"),
        ({"kind": Kind.UNKNOWN, "status": 502}, "failing"),
        ({"kind": Kind.TRY_AGAIN}, "failing"),
        ({"kind": Kind.ACCOUNT, "code": 8}, "account"),
        ({"kind": Kind.TRY_AGAIN, "code": 30}, "slow"),
        ({"kind": Kind.TRY_AGAIN, "status": 429, "wait": 7.0}, "slow"),
    ],
)
def test_the_gates_hear_what_concerns_every_message(what: dict[str, Any], expected: str) -> None:
    """An answer is a sign of life, whatever it says of the message; none is a sign of trouble."""
    told = heard(**what)
    assert told
    assert told.what == expected
    if "wait" in what:
        assert 7000 <= told.wait <= 8000


def test_the_gates_hear_nothing_of_a_call_that_was_not_made() -> None:
    """It was too late for it: the gateway has no part in that."""
    assert hear(NOT_CALLED) is None


def test_every_kind_of_outcome_is_decided() -> None:
    """No outcome leaves a job without a state that may follow `sending`."""
    for kind in Kind:
        assert settle(outcome(kind)).to in State, kind
