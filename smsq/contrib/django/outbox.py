"""Messages that belong to a database transaction: rolled back, nothing is sent; committed, none is lost."""

import logging
import threading
import uuid
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from typing import Unpack

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet

from smsq import QueueUnavailable, Sms
from smsq.contrib import outbox
from smsq.contrib.django.conf import get_queue
from smsq.contrib.django.models import OutboxMessage
from smsq.encryption import NoKey

_log = logging.getLogger("smsq.outbox")


class _Thread(threading.local):
    """What a thread's last commit met: the rest of that commit's rows don't wait for the same time-out again."""

    redis_is_away = False


_thread = _Thread()


def enqueue_on_commit(sms: Sms, *, using: str | None = None, **options: Unpack[outbox.Options]) -> OutboxMessage:
    """Promises a message by the current transaction. After its commit, the queue gets it.

    Args:
        sms: The message.
        using: The database's alias; None asks the routers.
        **options: As in `SmsQueue.enqueue`: ``lane``, ``batch_id``, ``idempotency_key`` (None takes the row's id),
            ``send_at``, ``expires_in`` (seconds from now: time in the outbox counts), ``on_unknown``.

    Returns:
        The row. Its ``job_id`` is set once the commit has handed it over; until then it is ''. With
            ``set_autocommit(False)`` and no `atomic`, whose commits Django tells nobody, the relay hands it over.

    Raises:
        InvalidSms: The message, or an option, breaks a rule; nothing was written.
    """
    database = using or router.db_for_write(OutboxMessage)
    row = OutboxMessage()
    row.payload = outbox.pack(get_queue(), str(row.id), sms, **options)
    row.save(using=database, force_insert=True)
    _thread.redis_is_away = False  # another transaction than the last that was committed here
    connection = connections[database]
    if connection.in_atomic_block or connection.get_autocommit():  # else Django hears of no commit
        connection.on_commit(partial(_after_commit, row, database), robust=True)
    return row


def relay(using: str | None = None) -> int:
    """Hands over what waits, oldest first. Several may run at once, where the database can beside each other.

    A row that is encrypted by a key that isn't in the settings goes on waiting; the log tells of it.

    Args:
        using: The database's alias; None asks the routers.

    Returns:
        How many rows became jobs.

    Raises:
        QueueUnavailable: Redis didn't confirm; what wasn't handed over waits.
    """
    database = using or router.db_for_write(OutboxMessage)
    relayed = locked = 0
    after: OutboxMessage | None = None
    while True:
        failed: QueueUnavailable | None = None
        # Without row locks each mark is a transaction of its own: SQLite lets nobody else write during one.
        with transaction.atomic(using=database) if _skips_locked(database) else nullcontext():
            rows = list(_waiting(database, after)[: outbox.BATCH])
            for row in rows:
                try:
                    marked = _hand_over(row, database)
                except QueueUnavailable as error:
                    failed = error
                    break
                except NoKey:
                    after, locked = row, locked + 1
                    continue
                relayed += marked and row.state == OutboxMessage.State.RELAYED
        if failed:
            raise failed
        if not rows:
            outbox.unread.tell(locked)
            return relayed


def refused(using: str | None = None) -> QuerySet[OutboxMessage]:
    """Returns the rows that were put aside, oldest first; ``error`` says why.

    Args:
        using: The database's alias; None asks the routers.
    """
    database = using or router.db_for_write(OutboxMessage)
    return OutboxMessage.objects.using(database).filter(state=OutboxMessage.State.REFUSED).order_by("created_at")


def release(ids: Iterable[uuid.UUID], using: str | None = None) -> list[uuid.UUID]:
    """Has refused rows wait for the relay again, by the word of a person who looked.

    One that was refused for its age is handed over whatever was sent before: its idempotency key may be forgotten.

    Args:
        ids: The rows' ids.
        using: The database's alias; None asks the routers.

    Returns:
        The ids of those that were refused, and wait now.
    """
    waiting = OutboxMessage.State.WAITING
    return [
        row.id
        for row in refused(using).filter(id__in=list(ids))
        if refused(using).filter(id=row.id).update(state=waiting, error="", payload=outbox.release(row.payload))
    ]


def discard(ids: Iterable[uuid.UUID], using: str | None = None) -> list[uuid.UUID]:
    """Deletes refused rows, with number and text: nobody will send them.

    Args:
        ids: The rows' ids.
        using: The database's alias; None asks the routers.

    Returns:
        The ids of those that were refused, and are gone.
    """
    return [each for each in ids if refused(using).filter(id=each).delete()[0]]


def _waiting(database: str, after: OutboxMessage | None) -> QuerySet[OutboxMessage]:
    """The rows that wait, oldest first, after the last that could not be decrypted."""
    rows = OutboxMessage.objects.using(database).filter(state=OutboxMessage.State.WAITING).order_by("created_at", "id")
    if after:
        rows = rows.filter(Q(created_at__gt=after.created_at) | Q(created_at=after.created_at, id__gt=after.id))
    return rows.select_for_update(skip_locked=True) if _skips_locked(database) else rows


def _skips_locked(database: str) -> bool:
    return connections[database].features.has_select_for_update_skip_locked


def _hand_over(row: OutboxMessage, database: str) -> bool:
    """Makes a row a job, or puts it aside with the reason, and marks it. Twice is as once: the key is the same.

    Returns:
        Whether it was this that marked it, and no other relay.
    """
    changes = outbox.hand_over(get_queue(), str(row.id), row.payload, row.created_at).changes
    waiting = OutboxMessage.objects.using(database).filter(pk=row.pk, state=OutboxMessage.State.WAITING)
    marked = waiting.update(**changes)
    for name, value in changes.items():
        setattr(row, name, value)
    return marked > 0


def _after_commit(row: OutboxMessage, database: str) -> None:
    """The relay in the request. What it can't do, `manage.py smsq_relay` does."""
    if _thread.redis_is_away:
        return
    try:
        _hand_over(row, database)
    except QueueUnavailable as error:
        _thread.redis_is_away = True
        _log.warning("outbox %s, and what was committed with it, waits for the relay: %s", row.pk, error)
