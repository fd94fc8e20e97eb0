"""Messages that belong to a database transaction: rolled back, nothing is sent; committed, none is lost."""

import logging
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from django.db import connections, router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from smsq import QueueUnavailable, Sms
from smsq.contrib import outbox
from smsq.contrib.django.conf import get_queue
from smsq.contrib.django.models import OutboxMessage
from smsq.lanes import Lane

_log = logging.getLogger("smsq.outbox")
#: Rows that one transaction of the relay marks.
_BATCH = 100


def enqueue_on_commit(
    sms: Sms,
    *,
    lane: Lane = "normal",
    batch_id: str | None = None,
    idempotency_key: str | None = None,
    send_at: datetime | None = None,
    expires_in: float | None = None,
    on_unknown: Literal["ask", "resend"] = "ask",
    using: str | None = None,
) -> OutboxMessage:
    """Promises a message by the current transaction. After its commit, the queue gets it.

    Args:
        sms: The message.
        lane: As in `SmsQueue.enqueue`, and so are the others.
        batch_id: A name to count and cancel jobs by.
        idempotency_key: None takes the row's id.
        send_at: An aware datetime; the job waits until then.
        expires_in: Seconds from now after which the gateway isn't called; time in the outbox counts.
        on_unknown: What happens when an answer is lost.
        using: The database's alias; None asks the routers.

    Returns:
        The row. Its ``job_id`` is set once the commit has handed it over; until then it is ''.

    Raises:
        InvalidSms: The message, or an option, breaks a rule; nothing was written.
    """
    database = using or router.db_for_write(OutboxMessage)
    row = OutboxMessage()
    row.payload = outbox.pack(
        get_queue(),
        str(row.id),
        sms,
        lane=lane,
        batch_id=batch_id,
        idempotency_key=idempotency_key,
        send_at=send_at,
        expires_in=expires_in,
        on_unknown=on_unknown,
    )
    row.save(using=database, force_insert=True)
    transaction.on_commit(partial(_after_commit, row, database), using=database, robust=True)
    return row


def relay(using: str | None = None) -> int:
    """Hands over what waits, oldest first. Several may run at once, where the database can beside each other.

    Args:
        using: The database's alias; None asks the routers.

    Returns:
        How many rows became jobs.

    Raises:
        QueueUnavailable: Redis didn't confirm; what wasn't handed over waits.
    """
    database = using or router.db_for_write(OutboxMessage)
    relayed = 0
    while True:
        failed: QueueUnavailable | None = None
        # Without row locks each mark is a transaction of its own: SQLite lets nobody else write during one.
        with transaction.atomic(using=database) if _skips_locked(database) else nullcontext():
            rows = list(_waiting(database)[:_BATCH])
            for row in rows:
                try:
                    _hand_over(row, database)
                except QueueUnavailable as error:
                    failed = error
                    break
                relayed += row.state == OutboxMessage.State.RELAYED
        if failed:
            raise failed
        if not rows:
            return relayed


def _waiting(database: str) -> QuerySet[OutboxMessage]:
    rows = OutboxMessage.objects.using(database).filter(state=OutboxMessage.State.WAITING).order_by("created_at")
    return rows.select_for_update(skip_locked=True) if _skips_locked(database) else rows


def _skips_locked(database: str) -> bool:
    return connections[database].features.has_select_for_update_skip_locked


def _hand_over(row: OutboxMessage, database: str) -> None:
    """Makes a row a job, or puts it aside with the reason, and marks it. Twice is as once: the key is the same."""
    queue = get_queue()
    if timezone.now() - row.created_at >= timedelta(days=queue.settings.retention_days):
        # If it was handed over and not marked, its key may be forgotten by now.
        handed = outbox.Handed(None, "older than idempotency keys are kept: it may have been sent")
    else:
        handed = outbox.hand_over(queue, row.payload)
    row.job_id, row.error = handed.job_id or "", handed.error
    row.state = OutboxMessage.State.REFUSED if handed.error else OutboxMessage.State.RELAYED
    row.payload = row.payload if handed.error else ""
    row.save(using=database, update_fields=["state", "job_id", "error", "payload"])


def _after_commit(row: OutboxMessage, database: str) -> None:
    """The relay in the request. What it can't do, `manage.py smsq_relay` does."""
    try:
        _hand_over(row, database)
    except QueueUnavailable as error:
        _log.warning("outbox %s waits for the relay: %s", row.pk, error)
