"""When a deferred message leaves: the account's zone, clock changes, the window, and who waits."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsq.deferral import resolve, who_defers, wire_time
from smsq.errors import InvalidSms
from smsq.message import Sms, api_form, prepare

ALMATY: Final = ZoneInfo("Asia/Almaty")
KYIV: Final = ZoneInfo("Europe/Kyiv")
HOUR: Final = 3600
DAY: Final = 24 * HOUR
NOW: Final = datetime(2026, 12, 1, 5, tzinfo=UTC).timestamp()


def local(*parts: int, fold: int = 0) -> datetime:
    """Makes a moment without an offset, as users write it."""
    return datetime(*parts, fold=fold)  # type: ignore[arg-type] # noqa: DTZ001 - in the account's zone


def unix(*parts: int) -> float:
    """Makes the Unix seconds of a moment in UTC."""
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    "moment",
    [
        local(2026, 12, 1, 15),
        datetime(2026, 12, 1, 15, tzinfo=ALMATY),
        datetime(2026, 12, 1, 10, tzinfo=UTC),
        datetime(2026, 12, 1, 12, tzinfo=KYIV),
        datetime(2026, 12, 1, 4, tzinfo=timezone(timedelta(hours=-6))),
    ],
)
def test_a_moment_is_an_instant(moment: datetime) -> None:
    """Without an offset it is in the account's zone; with one it is converted to it."""
    instant = resolve(moment, zone=ALMATY, now=NOW)
    assert instant == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert instant.tzinfo is UTC
    assert wire_time(instant, ALMATY) == "2026-12-01 15:00:00"


def test_kazakhstan_is_five_hours_ahead() -> None:
    """An older time-zone database has six, and every message would leave an hour early."""
    assert resolve(local(2026, 12, 1, 15), zone=ALMATY, now=NOW).hour == 10


def test_a_fraction_of_a_second_is_rounded_up() -> None:
    """The gateway takes whole seconds, and nothing leaves before its time."""
    moment = datetime(2026, 12, 1, 9, 59, 59, 1, tzinfo=UTC)
    assert resolve(moment, zone=ALMATY, now=NOW) == datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("ahead", [HOUR, HOUR + 1, 14 * DAY - 1, 14 * DAY])
def test_one_hour_to_14_days_are_accepted(ahead: int) -> None:
    """Both ends are allowed."""
    moment = datetime.fromtimestamp(NOW + ahead, UTC)
    assert resolve(moment, zone=ALMATY, now=NOW) == moment


@pytest.mark.parametrize("ahead", [-DAY, 0, HOUR - 1, HOUR - 0.000_001 - 1, 14 * DAY + 1, 400 * DAY])
def test_less_or_more_is_refused(ahead: float) -> None:
    """What the gateway would refuse isn't enqueued."""
    with pytest.raises(ValueError, match="at least one hour and at most 14 days from now"):
        resolve(datetime.fromtimestamp(NOW + ahead, UTC), zone=ALMATY, now=NOW)


@pytest.mark.parametrize(
    "moment",
    [
        local(1, 1, 1),
        local(9999, 12, 31, 23, 59, 59),
        datetime(1, 1, 1, tzinfo=KYIV),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_the_ends_of_the_calendar_are_out_of_range(moment: datetime) -> None:
    """A moment that can't be converted to UTC gets the same words as any other that is too far."""
    with pytest.raises(ValueError, match="at most 14 days from now"):
        resolve(moment, zone=ALMATY, now=NOW)


@pytest.mark.parametrize("fold", [0, 1])
def test_an_hour_that_a_clock_change_skips_is_refused(fold: int) -> None:
    """F82: on 28 March 2027 Kyiv's clocks go from 3:00 to 4:00: there is no 3:30 to send at."""
    for moment in (local(2027, 3, 28, 3, 30, fold=fold), datetime(2027, 3, 28, 3, 30, fold=fold, tzinfo=KYIV)):
        with pytest.raises(ValueError, match="a clock change skips this time"):
            resolve(moment, zone=KYIV, now=unix(2027, 3, 27))


def test_of_an_hour_that_a_clock_change_repeats_the_first_is_meant() -> None:
    """F82: on 31 October 2027 Kyiv's clocks show 3:30 at 0:30 and at 1:30 UTC."""
    instant = resolve(local(2027, 10, 31, 3, 30), zone=KYIV, now=unix(2027, 10, 30))
    assert instant == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert wire_time(instant, KYIV) == "2027-10-31 03:30:00"


@pytest.mark.parametrize(
    "moment",
    [
        local(2027, 10, 31, 3, 30, fold=1),
        datetime(2027, 10, 31, 3, 30, fold=1, tzinfo=KYIV),
        datetime(2027, 10, 31, 1, 30, tzinfo=UTC),
        datetime(2027, 10, 31, 0, 59, 59, 500_000, tzinfo=UTC),
    ],
)
def test_the_second_of_a_repeated_hour_is_refused(moment: datetime) -> None:
    """The API's local time has no way to say it; the gateway would take it for the first and send an hour early."""
    with pytest.raises(ValueError, match="a clock change in the account's zone gives the same name"):
        resolve(moment, zone=KYIV, now=unix(2027, 10, 30))


def test_an_hour_repeated_elsewhere_does_not_matter() -> None:
    """The user's zone may repeat an hour which the account's zone doesn't."""
    moment = datetime(2027, 10, 31, 3, 30, fold=1, tzinfo=KYIV)
    assert resolve(moment, zone=ALMATY, now=unix(2027, 10, 30)) == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "last", "late"),
    [
        # 23 hours of 28 March: fourteen days later the clock on the wall shows an hour more.
        (unix(2027, 3, 20, 10), local(2027, 4, 3, 13, 0, 0), local(2027, 4, 3, 13, 0, 1)),
        # 25 hours of 31 October: an hour less.
        (unix(2027, 10, 25, 9), local(2027, 11, 8, 11, 0, 0), local(2027, 11, 8, 11, 0, 1)),
    ],
)
def test_14_days_are_counted_as_instants_across_a_clock_change(now: float, last: datetime, late: datetime) -> None:
    """F82: a day of 23 or 25 hours doesn't move the end of the window."""
    assert resolve(last, zone=KYIV, now=now).timestamp() == now + 14 * DAY
    with pytest.raises(ValueError, match="at most 14 days"):
        resolve(late, zone=KYIV, now=now)


def test_one_hour_is_counted_as_an_instant_across_a_clock_change() -> None:
    """F82: at 2:30 in the night of the change 4:00 is half an hour away, though the wall shows an hour and a half."""
    now = unix(2027, 3, 28, 0, 30)
    with pytest.raises(ValueError, match="at least one hour"):
        resolve(local(2027, 3, 28, 4, 0), zone=KYIV, now=now)
    assert resolve(local(2027, 3, 28, 4, 30), zone=KYIV, now=now).timestamp() == now + HOUR


@given(
    moment=st.datetimes(min_value=local(2027, 1, 1), max_value=local(2027, 12, 31)),
    zone=st.sampled_from([ALMATY, KYIV, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_what_the_gateway_reads_is_the_moment_that_was_meant(moment: datetime, zone: ZoneInfo) -> None:
    """Reading the written time in the account's zone gives the instant back; otherwise the moment is refused."""
    try:
        instant = resolve(moment, zone=zone, now=moment.replace(tzinfo=UTC).timestamp() - 7 * DAY)
    except ValueError:
        assert moment.replace(tzinfo=zone, fold=0).utcoffset() != moment.replace(tzinfo=zone, fold=1).utcoffset()
        return
    read = datetime.fromisoformat(wire_time(instant, zone)).replace(tzinfo=zone)
    assert read.astimezone(UTC) == instant
    assert timedelta(0) <= read.replace(tzinfo=None) - moment < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("left", "who"),
    [
        (14 * DAY, "gateway"),
        (HOUR + 60, "gateway"),
        (HOUR + 59, "ledger"),
        (HOUR, "ledger"),
        (60, "ledger"),
        (0.5, "ledger"),
        (0, "nobody"),
        (-0.5, "nobody"),
        (-3 * DAY, "nobody"),
    ],
)
def test_who_makes_a_message_wait(left: float, who: str) -> None:
    """The gateway while it surely takes the moment, our own schedule until then, and nobody once it has come."""
    assert who_defers(datetime.fromtimestamp(NOW, UTC), now=NOW - left) == who


def test_nobody_makes_a_message_wait_that_is_not_deferred() -> None:
    """A message without a moment leaves at once."""
    assert who_defers(None, now=NOW) == "nobody"


def test_prepare_decides_the_moment_and_reports_every_problem() -> None:
    """What depends on the present and the account's settings is checked together, by the same names."""
    sms = Sms(recipient="77010000001", text="я" * 135, deferred_to=local(2026, 12, 1, 15))
    prepared = prepare(sms, zone=ALMATY, now=NOW, max_segments=3)
    assert prepared.deferred_to == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert prepared.deferred_to.tzinfo is UTC
    assert prepare(prepared, zone=ALMATY, now=NOW, max_segments=3) == prepared
    with pytest.raises(InvalidSms) as refused:
        prepare(sms, zone=ALMATY, now=NOW + 5 * HOUR, max_segments=2)
    assert refused.value.errors == {
        "text": "takes 3 segments in UCS-2, and at most 2 are allowed",
        "deferredToTs": "must be at least one hour and at most 14 days from now",
    }


@pytest.mark.parametrize(
    ("text", "segments"),
    [("a" * 1530, 10), ("😀" * 330, 10), ("😀" * 331, 11), ("€" * 760, 10), ("€" * 761, 11), ("я" * 671, 11), ("a", 1)],
)
def test_the_limit_of_segments_is_exact(text: str, segments: int) -> None:
    """A message is accepted at the limit and refused one segment above it, whatever its characters."""
    sms = Sms(recipient="77010000001", text=text)
    assert prepare(sms, zone=ALMATY, now=NOW, max_segments=segments) is sms
    with pytest.raises(InvalidSms) as refused:
        prepare(sms, zone=ALMATY, now=NOW, max_segments=segments - 1)
    assert set(refused.value.errors) == {"text"}


def test_the_moment_goes_to_the_gateway_in_the_account_s_time() -> None:
    """The parameter is there when the gateway makes the message wait, and only then."""
    sms = Sms(recipient="77010000001", text="a", deferred_to=datetime(2026, 12, 1, 10, tzinfo=UTC))
    prepared = prepare(sms, zone=ALMATY, now=NOW, max_segments=1)
    assert api_form(prepared, zone=ALMATY, token="#1")["params[deferredToTs]"] == "2026-12-01 15:00:00"
    assert "params[deferredToTs]" not in api_form(prepared, zone=ALMATY, token="#1", deferred=False)
