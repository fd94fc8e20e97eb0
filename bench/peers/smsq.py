"""This project, through its public interface."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from smsq import Sms, SmsQueue
from smsq.lanes import Lane

queue = SmsQueue(os.environ["SMSQ_REDIS_URL"])


def enqueue(recipient: str, text: str, lane: Lane = "normal") -> None:
    """Enqueues one."""
    queue.enqueue(Sms(recipient=recipient, text=text, validity=60), lane=lane)


def enqueue_many(
    messages: Iterable[tuple[str, str]],
    lane: Lane = "normal",
    batch: str | None = None,
    later: str = "",
    expires: str = "",
) -> None:
    """Enqueues many; `later` and `expires` are in seconds from now."""
    moment = datetime.now(UTC) + timedelta(seconds=float(later)) if later else None
    within = float(expires) if expires else None
    shaped: Iterable[Sms | Mapping[str, object]] = (Sms(recipient=to, text=text, validity=60) for to, text in messages)
    for _ in queue.enqueue_many(shaped, lane=lane, batch_id=batch, send_at=moment, expires_in=within):
        pass
