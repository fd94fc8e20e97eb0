"""Messages that belong to a transaction of SQLAlchemy's: rolled back, nothing is sent; committed, none is lost."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import sqlalchemy as sa
from sqlalchemy import event, util
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from smsq import Job, QueueUnavailable, Sms, SmsQueue
from smsq.contrib import outbox
from smsq.contrib.sqlalchemy import table as rows
from smsq.encryption import NoKey

if TYPE_CHECKING:  # without greenlet, which only async engines need, it can't be imported
    from sqlalchemy.ext.asyncio import (
        AsyncConnection,
        AsyncEngine,
        AsyncSession,
        async_scoped_session,
        async_sessionmaker,
    )

_log = logging.getLogger("smsq.outbox")


@dataclass(slots=True)
class OutboxMessage:
    """A message that was promised by a transaction.

    Attributes:
        id: The row's id, of which the idempotency key is made.
        job_id: The job's id once the commit has handed the message over; until then ''.
        error: Why there will be no job, if the queue refused the message at the commit.
    """

    id: uuid.UUID
    job_id: str = ""
    error: str = ""


@dataclass(slots=True)
class _Promises:
    """What a session's transaction has promised."""

    messages: list[tuple[OutboxMessage, sa.Connection]] = field(default_factory=list)
    committed: bool = False


class Outbox:
    """An outbox in the application's own database.

    Args:
        metadata: The application's: the outbox's table is made and migrated with the others.
        queue: The queue, or what returns it when it is needed first.
        table_name: The table's name.
        schema: The table's schema; None takes the metadata's.

    Attributes:
        table: The table.
    """

    def __init__(
        self,
        metadata: sa.MetaData,
        queue: SmsQueue | Callable[[], SmsQueue],
        *,
        table_name: str = "smsq_outbox",
        schema: str | None = None,
    ) -> None:
        self._given = queue
        self.table = rows.make_table(metadata, table_name, schema)

    @cached_property
    def queue(self) -> SmsQueue:
        """The queue."""
        return self._given if isinstance(self._given, SmsQueue) else self._given()

    def enqueue(
        self, session: Session | scoped_session[Any] | sa.Connection, sms: Sms, **options: Unpack[outbox.Options]
    ) -> OutboxMessage:
        """Promises a message by a session's transaction. After its commit, the queue gets it.

        Args:
            session: The session. With a plain connection, whose commit tells nobody, the relay hands the message over.
            sms: The message.
            **options: As in `SmsQueue.enqueue`: ``lane``, ``batch_id``, ``idempotency_key`` (None takes the row's id),
                ``send_at``, ``expires_in`` (seconds from now: time in the outbox counts), ``on_unknown``.

        Returns:
            The message, whose ``job_id`` is set by the commit.

        Raises:
            InvalidSms: The message, or an option, breaks a rule; nothing was written.
            TypeError: It isn't a session or a connection, or is an async one.
        """
        its: object = session() if isinstance(session, scoped_session) else session
        if not isinstance(its, Session | sa.Connection):
            raise TypeError("a Session or a Connection is needed; aenqueue takes async ones")
        return self._promise(its, sms, options)

    async def aenqueue(
        self,
        session: "AsyncSession | async_scoped_session[Any] | AsyncConnection",
        sms: Sms,
        **options: Unpack[outbox.Options],
    ) -> OutboxMessage:
        """Like `enqueue`, for async sessions: ``await session.commit()`` awaits the queue, and blocks no event loop."""
        its: AsyncSession | AsyncConnection = session() if callable(session) else session
        if not hasattr(its, "run_sync"):
            raise TypeError("an AsyncSession or an AsyncConnection is needed; enqueue takes the others")
        return await its.run_sync(self._promise, sms, options)

    def relay(self, bind: sa.Engine | sessionmaker[Any] | scoped_session[Any]) -> int:
        """Hands over what waits, oldest first. Several may run at once.

        A row that is encrypted by a key that isn't in the queue's settings goes on waiting; the log tells of it.

        Args:
            bind: An engine, or what makes sessions.

        Returns:
            How many rows became jobs.

        Raises:
            QueueUnavailable: Redis didn't confirm; what wasn't handed over waits.
        """
        engine = bind if isinstance(bind, sa.Engine) else self._engine(bind())
        relayed = locked = 0
        after: rows.Row | None = None
        while True:
            with engine.connect() as connection:
                done = self._relay_some(connection, after)
            relayed, locked = relayed + done.relayed, locked + len(done.locked)
            after = done.locked[-1] if done.locked else after
            if done.failed:
                raise done.failed
            if not (done.handed or done.locked):
                outbox.unread.tell(locked)
                return relayed

    async def arelay(self, bind: "AsyncEngine | async_sessionmaker[Any] | async_scoped_session[Any]") -> int:
        """Like `relay`, for async engines and sessions; never blocks the event loop."""
        engine = self._engine(bind().sync_session) if callable(bind) else bind.sync_engine
        return await util.greenlet_spawn(self.relay, engine)

    def _engine(self, session: Session) -> sa.Engine:
        return session.get_bind(clause=self.table.select()).engine

    # -- in the session's transaction

    def _promise(self, session: Session | sa.Connection, sms: Sms, options: outbox.Options) -> OutboxMessage:
        message = OutboxMessage(uuid.uuid4())
        statement = rows.insert(self.table, message.id, outbox.pack(self.queue, str(message.id), sms, **options))
        if isinstance(session, sa.Connection):
            session.execute(statement)
            return message
        connection = session.connection(bind_arguments={"clause": statement})
        connection.execute(statement)
        if self not in session.info:
            session.info[self] = _Promises()
            event.listen(session, "after_commit", self._after_commit)
            event.listen(session, "after_transaction_end", self._after_transaction_end)
        session.info[self].messages.append((message, connection))
        return message

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():  # a savepoint's release is no commit
            session.info[self].committed = True

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        """Hands over, once the session has given its connections back: the pool may have no other."""
        if transaction.parent is not None:
            return
        promises: _Promises = session.info[self]
        session.info[self] = _Promises()
        if not promises.committed:
            return
        # A session that had joined somebody's transaction has committed nothing while that isn't over.
        over = [(message, connection.engine) for message, connection in promises.messages if not _is_open(connection)]
        try:
            for engine in dict.fromkeys(engine for _, engine in over):
                self._hand_over_committed(engine, [message for message, its in over if its is engine])
        except QueueUnavailable as error:
            _log.warning("outbox: messages of a transaction wait for the relay: %s", error)
        except Exception as error:  # noqa: BLE001 - it is committed: nothing may look as if it weren't
            _log.warning("outbox: messages of a transaction wait for the relay: %s", type(error).__name__)

    def _hand_over_committed(self, engine: sa.Engine, messages: list[OutboxMessage]) -> None:
        """The relay in the request. What it can't do, the command does.

        What is committed, the database says: a savepoint that was rolled back has left no row.
        """
        for first in range(0, len(messages), outbox.BATCH):
            some = {message.id: message for message in messages[first : first + outbox.BATCH]}
            with engine.connect() as connection:
                found = rows.read(connection, self.table, list(some))
            for row in found:  # a relay may have been faster
                some[row.id].job_id, some[row.id].error = row.job_id, row.error
            # No connection is held while Redis is asked.
            done = self._hand_over(engine, [row for row in found if row.state is outbox.State.WAITING])
            for row_id, handed in done.handed.items():
                some[row_id].job_id, some[row_id].error = handed.job_id or "", handed.error
            if done.handed:
                with engine.begin() as connection:
                    rows.mark(connection, self.table, done.handed)
            if done.failed:
                raise done.failed

    # -- to the queue

    def _relay_some(self, connection: sa.Connection, after: rows.Row | None) -> "_Done":
        lock = rows.skips_locked(connection)
        found = rows.waiting(connection, self.table, after, lock=lock)
        if not lock:
            connection.commit()  # SQLite lets nobody else write during a transaction that will
        done = self._hand_over(connection.engine, found)
        relayed = rows.mark(connection, self.table, done.handed)
        connection.commit()
        return done._replace(relayed=relayed)

    def _hand_over(self, engine: sa.Engine, found: list[rows.Row]) -> "_Done":
        """Makes rows jobs, or says why not, until Redis doesn't answer. Twice is as once: the keys are the same."""
        enqueue = self._await_enqueue if engine.dialect.is_async else self.queue.enqueue
        handed: dict[uuid.UUID, outbox.Handed] = {}
        locked: list[rows.Row] = []
        for row in found:
            try:
                handed[row.id] = outbox.hand_over(self.queue, str(row.id), row.payload, row.written, enqueue=enqueue)
            except NoKey:
                locked.append(row)
            except QueueUnavailable as error:
                return _Done(handed, locked, error)
        return _Done(handed, locked)

    def _await_enqueue(self, sms: Sms, **options: Any) -> Job:  # noqa: ANN401 - as `SmsQueue.enqueue`
        """Awaits the queue from code that isn't async, as SQLAlchemy's own drivers do: the event loop goes on."""
        return util.await_only(self.queue.aenqueue(sms, **options))


class _Done(NamedTuple):
    """What came of rows, whose key is lacking, why it stopped early, and how many were first marked as jobs by this."""

    handed: dict[uuid.UUID, outbox.Handed]
    locked: list[rows.Row]
    failed: QueueUnavailable | None = None
    relayed: int = 0


def _is_open(connection: sa.Connection) -> bool:
    return not connection.closed and connection.in_transaction()
