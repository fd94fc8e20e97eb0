"""The outbox's table, and what is read from it and written to it; each on a connection of the caller's."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from smsq.contrib import outbox
from smsq.contrib.outbox import State

#: Dialects whose relays lock the rows that they hand over and skip each other's. Elsewhere two may hand over the same
#: row, which gives the same job twice.
_SKIPS_LOCKED = frozenset({"postgresql"})


class _Hidden(sa.TypeDecorator[str]):
    """A payload as it is read: an engine that logs the rows that it gets doesn't show it."""

    impl = sa.Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> outbox.Payload | None:  # noqa: ARG002
        """Makes it one that shows nothing."""
        return None if value is None else outbox.Payload(value)


@dataclass(frozen=True, slots=True)
class Row:
    """A row, as the relay needs it."""

    id: uuid.UUID
    state: State
    written: datetime
    payload: str
    job_id: str
    error: str


def make_table(metadata: sa.MetaData, name: str, schema: str | None) -> sa.Table:
    """Returns the table, added to the metadata.

    Args:
        metadata: The application's.
        name: The table's name.
        schema: Its schema; None takes the metadata's.
    """
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Index(f"{name}_state", "state", "created_at"),
        schema=schema,
    )


def insert(table: sa.Table, row_id: uuid.UUID, payload: str) -> sa.Insert:
    """Returns the statement that writes a row."""
    return table.insert().values(
        id=row_id, state=State.WAITING.value, created_at=datetime.now(UTC), payload=payload, job_id="", error=""
    )


def read(connection: sa.Connection, table: sa.Table, ids: Sequence[uuid.UUID]) -> list[Row]:
    """Returns rows by their ids, as far as they are there."""
    return _rows(connection, _select(table).where(table.c.id.in_(ids)).order_by(table.c.created_at))


def waiting(connection: sa.Connection, table: sa.Table, after: Row | None, *, lock: bool) -> list[Row]:
    """Returns the oldest rows that wait, `outbox.BATCH` at most; with a lock, those that nobody else has locked.

    Args:
        connection: A connection.
        table: The table.
        after: Only those that come after this row.
        lock: Whether rows are locked.
    """
    found = _select(table).where(table.c.state == State.WAITING.value).order_by(table.c.created_at, table.c.id)
    if after:
        same = (table.c.created_at == after.written) & (table.c.id > after.id)
        found = found.where((table.c.created_at > after.written) | same)
    if lock:
        found = found.with_for_update(skip_locked=True)
    return _rows(connection, found.limit(outbox.BATCH))


def skips_locked(connection: sa.Connection) -> bool:
    """Returns whether the database can skip rows that others have locked."""
    return connection.dialect.name in _SKIPS_LOCKED


def mark(connection: sa.Connection, table: sa.Table, handed: Mapping[uuid.UUID, outbox.Handed]) -> int:
    """Writes down what came of rows that wait: those that became jobs in one go, and those that were refused.

    Returns:
        How many became jobs by this. Those that another relay has marked meanwhile aren't counted, unless the driver
        can't tell.
    """
    relayed = 0
    still = (table.c.id == sa.bindparam("row_id")) & (table.c.state == State.WAITING.value)
    for state in (State.RELAYED, State.REFUSED):
        rows = [
            {"row_id": row_id} | {f"new_{column}": value for column, value in each.changes.items()}
            for row_id, each in handed.items()
            if each.state is state
        ]
        if rows:
            columns: dict[str, sa.BindParameter[str]] = {
                name.removeprefix("new_"): sa.bindparam(name) for name in rows[0] if name != "row_id"
            }
            marked = connection.execute(table.update().where(still).values(columns), rows).rowcount
            if state is State.RELAYED:
                relayed = marked if 0 <= marked <= len(rows) else len(rows)
    return relayed


def refused(connection: sa.Connection, table: sa.Table) -> list[Row]:
    """Returns the rows that were put aside, oldest first; ``error`` says why."""
    return _rows(connection, _select(table).where(table.c.state == State.REFUSED.value).order_by(table.c.created_at))


def release(connection: sa.Connection, table: sa.Table, row: Row) -> bool:
    """Has a refused row wait for the relay again, by the word of a person who looked; returns whether it was refused.

    One that was refused for its age is handed over whatever was sent before: its idempotency key may be forgotten.
    """
    again = {"state": State.WAITING.value, "error": "", "payload": outbox.release(row.payload)}
    return connection.execute(table.update().where(_refused(table, row)).values(**again)).rowcount > 0


def discard(connection: sa.Connection, table: sa.Table, row: Row) -> bool:
    """Deletes a refused row, with number and text; returns whether it was refused."""
    return connection.execute(table.delete().where(_refused(table, row))).rowcount > 0


def _select(table: sa.Table) -> sa.Select[tuple[object, ...]]:
    payload = table.c.payload
    return sa.select(*(sa.type_coerce(each, _Hidden).label(each.name) if each is payload else each for each in table.c))


def _refused(table: sa.Table, row: Row) -> sa.ColumnElement[bool]:
    return (table.c.id == row.id) & (table.c.state == State.REFUSED.value)


def _rows(connection: sa.Connection, statement: sa.Select[tuple[object, ...]]) -> list[Row]:
    return [
        Row(row.id, State(row.state), _aware(row.created_at), row.payload, row.job_id, row.error)
        for row in connection.execute(statement)
    ]


def _aware(moment: datetime) -> datetime:
    """Some databases keep no zone: what is written is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
