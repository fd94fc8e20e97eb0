"""What a caller may say of a job beside its message: the rules of these options, all that are broken at once."""

import re
from datetime import datetime, timedelta
from typing import Literal

from smsq.errors import InvalidSms
from smsq.lanes import LANES, Lane
from smsq.ledger import Options

_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,63}")
_LONGEST = timedelta(days=366).total_seconds()


def options_of(
    lane: Lane,
    batch_id: str | None,
    send_at: datetime | None,
    expires_in: float | None,
    on_unknown: Literal["ask", "resend"],
) -> Options:
    """Checks the options of `SmsQueue.enqueue` and makes them the ledger's.

    Raises:
        InvalidSms: Options break rules; each by its name.
    """
    wrong: dict[str, str] = {}
    if lane not in LANES:
        wrong["lane"] = f"must be one of {', '.join(LANES)}"
    if batch_id is not None and not (isinstance(batch_id, str) and _BATCH_ID.fullmatch(batch_id)):
        wrong["batch_id"] = "must be 1 to 64 letters, digits and . _ : @ / + -, and begin with a letter or digit"
    if send_at is not None and not (isinstance(send_at, datetime) and send_at.utcoffset() is not None):
        wrong["send_at"] = "must be a datetime with a time zone"
    if expires_in is not None and not _is_seconds(expires_in):
        wrong["expires_in"] = "must be a number of seconds above 0, at most 366 days"
    if on_unknown not in ("ask", "resend"):
        wrong["on_unknown"] = "must be 'ask' or 'resend'"
    if wrong:
        raise InvalidSms(wrong)
    return Options(
        lane,
        batch_id or "",
        None if send_at is None else int(send_at.timestamp() * 1000),
        None if expires_in is None else max(1, int(expires_in * 1000)),
        on_unknown,
    )


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST
