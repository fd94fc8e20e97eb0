"""The databases that outboxes are tested on, as Django and SQLAlchemy name them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from smsq.contrib.sqlalchemy.table import make_table

TABLE = make_table(sa.MetaData(), "smsq_outbox", None)


class Row(NamedTuple):
    """A row of the outbox."""

    state: str
    payload: str
    job_id: str


@dataclass(frozen=True)
class Database:
    """An empty database.

    Attributes:
        url: As SQLAlchemy writes it.
        async_url: With a driver that is async.
        django: As an entry of Django's `DATABASES`.
    """

    url: str
    async_url: str
    django: dict[str, str]

    def rows(self) -> dict[str, Row]:
        """Returns the outbox's rows by their ids; Django's columns are named as SQLAlchemy's."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return {
                str(row.id): Row(row.state, row.payload, row.job_id) for row in connection.execute(sa.select(TABLE))
            }

    def change(self, **values: object) -> None:
        """Changes all rows of the outbox."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(TABLE.update().values(**values))


def with_savepoints(engine: sa.Engine) -> sa.Engine:
    """Has SQLite's driver leave transactions to SQLAlchemy, as its pages say: else releasing a savepoint commits."""
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def connect(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
            connection.isolation_level = None

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine
