"""When a deferred message leaves, and who makes it wait.

The gateway takes a moment from one hour to 14 days ahead, in the account's local time without an offset. Inside smsq a
moment is an instant: an aware ``datetime`` in UTC, in whole seconds. It becomes local time only in the request.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

_NEAREST: Final = timedelta(hours=1).total_seconds()
_FARTHEST: Final = timedelta(days=14).total_seconds()

_CALL_MARGIN: Final = timedelta(minutes=1).total_seconds()
"""What may pass between our decision and the gateway's: tries of the call, and a clock that isn't ours."""

_OUT_OF_RANGE: Final = "must be at least one hour and at most 14 days from now"


def resolve(moment: datetime, *, zone: ZoneInfo, now: float | None) -> datetime:
    """Turns what the user meant into an instant that the gateway can be told.

    A naive moment is in the account's zone. Of an hour that a clock change repeats the first is meant; the second is
    refused, however it was given, because the API's local time can't say it. A fraction of a second is rounded up, so
    that nothing leaves early.

    Args:
        moment: The moment as given, naive or aware.
        zone: The account's zone.
        now: The present, in Unix seconds; None leaves open how far ahead it is.

    Returns:
        The instant, in UTC and whole seconds.

    Raises:
        ValueError: The moment is skipped by a clock change, is the second of a repeated hour, or isn't one hour to 14
            days ahead (compared as instants, both ends allowed).
    """
    local = moment.replace(tzinfo=zone) if moment.utcoffset() is None else moment
    try:
        instant = local.astimezone(UTC)
        same = instant.astimezone(local.tzinfo)
        if instant.microsecond:
            instant = instant.replace(microsecond=0) + timedelta(seconds=1)
        on_account_clock = instant.astimezone(zone)
    except OverflowError:  # the first and last days that a datetime can hold
        raise ValueError(_OUT_OF_RANGE) from None
    if same.replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError("doesn't exist: a clock change skips this time in its zone, so give an earlier or a later one")
    if now is not None and not _NEAREST <= instant.timestamp() - now <= _FARTHEST:
        raise ValueError(_OUT_OF_RANGE)
    if on_account_clock.fold:
        raise ValueError(
            "is in the second of two hours that a clock change in the account's zone gives the same name, which the API"
            " can't tell apart: give a time in the first, or after both"
        )
    return instant


def wire_time(instant: datetime, zone: ZoneInfo) -> str:
    """Writes an instant as the API does.

    Args:
        instant: An aware moment.
        zone: The account's zone.

    Returns:
        The account's local time, ``YYYY-MM-DD HH:MM:SS``.
    """
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")


def who_defers(instant: datetime | None, *, now: float) -> Literal["gateway", "ledger", "nobody"]:
    """Decides, just before a call, who makes a message wait.

    The gateway refuses a moment that is less than an hour ahead, and a job must not fail because the queue was slow.

    Args:
        instant: The moment that ``resolve`` returned; None if the message isn't deferred.
        now: The present on Redis's clock, in Unix seconds.

    Returns:
        ``gateway``: call now and pass the parameter on. ``ledger``: don't call yet, our own schedule keeps the job
        until that moment. ``nobody``: call now, without the parameter; the moment has come, or none was given.
    """
    if instant is None:
        return "nobody"
    left = instant.timestamp() - now
    if left >= _NEAREST + _CALL_MARGIN:
        return "gateway"
    return "ledger" if left > 0 else "nobody"
