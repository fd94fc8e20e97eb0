"""Times on the wire: the account's local time, ``YYYY-MM-DD HH:MM:SS``, without an offset."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_WRITTEN: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def written(moment: float, zone: ZoneInfo) -> str:
    """Writes a moment (seconds since 1970) as local time; fractions of a second are dropped."""
    return datetime.fromtimestamp(moment, zone).strftime(_FORMAT)


def read(value: str, zone: ZoneInfo) -> float | None:
    """Reads a local time.

    Args:
        value: As it came.
        zone: The account's zone.

    Returns:
        Seconds since 1970; None for another format, a date that doesn't exist, or a time that a clock change skips. Of
        a time that a clock change repeats, the first.
    """
    if not _WRITTEN.fullmatch(value):
        return None
    try:
        local = datetime.strptime(value, _FORMAT).replace(tzinfo=zone)
        moment = local.timestamp()
        back = datetime.fromtimestamp(moment, zone)
    except (ValueError, OverflowError):
        return None
    return moment if back.replace(tzinfo=None) == local.replace(tzinfo=None) else None


def start_of_yesterday(now: float, zone: ZoneInfo) -> float:
    """Returns 00:00 of the day before, local time, in seconds since 1970."""
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=1)).astimezone(UTC).timestamp()
