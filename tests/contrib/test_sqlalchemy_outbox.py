"""The outbox of SQLAlchemy: what is handed over at the commit and what isn't, what a relay does, and its command."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from smsq import InvalidSms, Job, QueueUnavailable, Sms, SmsQueue
from smsq.contrib.sqlalchemy import Outbox
from tests.contrib.conftest import Command
from tests.contrib.databases import Database, with_savepoints
from tests.support.sandbox import ROOT
from tests.support.server import Server, free_port

_SMS = Sms(recipient="+77010000001", text="Код: 4711")


@pytest.fixture
def outbox(queue: SmsQueue, engine: sa.Engine) -> Outbox:
    """An outbox whose table is there."""
    return made(engine, queue)


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    """An engine with one connection: whoever holds it while another is needed waits for ever."""
    made = sa.create_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=5)
    yield with_savepoints(made)
    made.dispose()


@pytest.fixture
def redis_away() -> SmsQueue:
    """A queue that nobody answers for."""
    return SmsQueue(f"redis://127.0.0.1:{free_port()}/0")


def made(engine: sa.Engine, queue: SmsQueue) -> Outbox:
    """Makes an outbox and its table."""
    metadata = sa.MetaData()
    outbox = Outbox(metadata, queue)
    metadata.create_all(engine)
    return outbox


def accepted(queue: SmsQueue) -> int:
    """Returns how many jobs the queue has."""
    batch = queue.batch("all")
    return batch.total if batch else 0


def test_a_commit_hands_over_what_it_commits(
    outbox: Outbox, queue: SmsQueue, engine: sa.Engine, database: Database
) -> None:
    """Not before the root transaction's end, and not what a savepoint or the session rolled back."""
    factory = scoped_session(sessionmaker(engine))
    with factory() as session:
        first = outbox.enqueue(factory, _SMS, batch_id="all")
        with session.begin_nested():
            second = outbox.enqueue(session, _SMS, batch_id="all")
        with session.begin_nested() as savepoint:
            gone = outbox.enqueue(session, _SMS, batch_id="all")
            savepoint.rollback()
        with pytest.raises(InvalidSms):
            outbox.enqueue(session, _SMS, expires_in=-1)
        assert accepted(queue) == 0
        session.commit()
        assert {first.job_id, second.job_id} == {row.job_id for row in database.rows().values()}
        assert gone.job_id == ""

        outbox.enqueue(session, _SMS, batch_id="all")
        session.rollback()
        outbox.enqueue(session, _SMS, batch_id="all")
        session.close()
        session.commit()  # of another transaction: what was rolled back isn't remembered
    assert accepted(queue) == len(database.rows()) == 2


def test_a_commit_into_somebodys_transaction_is_none(
    outbox: Outbox, queue: SmsQueue, engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """As in suites that roll every test back: the session commits, its connection doesn't."""
    with engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            outbox.enqueue(session, _SMS, batch_id="all")
            session.commit()
        outbox.enqueue(connection, _SMS, batch_id="all")
        outer.rollback()
    assert caplog.records == []
    assert outbox.relay(engine) == accepted(queue) == 0


def test_redis_away_at_the_commit_costs_one_time_out(
    redis_away: SmsQueue, queue: SmsQueue, engine: sa.Engine, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The commit succeeds, the rest of its rows aren't tried, and a relay hands all of them over, each once."""
    outbox = made(engine, redis_away)
    with sessionmaker(engine).begin() as session:
        for _ in range(3):
            outbox.enqueue(session, _SMS, batch_id="all")
    assert [record.name for record in caplog.records] == ["smsq.outbox"]
    assert "4711" not in caplog.text
    with pytest.raises(QueueUnavailable):
        outbox.relay(engine)
    assert [row.state for row in database.rows().values()] == ["waiting"] * 3
    later = Outbox(sa.MetaData(), lambda: queue)
    assert later.relay(sessionmaker(engine)) == accepted(queue) == 3
    assert later.relay(engine) == 0


def test_the_event_loop_goes_on(server: Server, engine: sa.Engine, database: Database) -> None:
    """At an async commit, and in a relay: what stands between them and Redis runs on the same loop."""

    async def use() -> list[str]:
        async with _in_between(server) as url:
            queue = SmsQueue(url)
            outbox = made(engine, queue)
            async_engine = create_async_engine(database.async_url)
            factory = async_sessionmaker(async_engine)
            async with factory.begin() as session:
                message = await outbox.aenqueue(session, _SMS)
            async with async_engine.begin() as connection:
                await outbox.aenqueue(connection, _SMS)
            assert await outbox.arelay(async_engine) == 1
            assert await outbox.arelay(factory) == 0
            await async_engine.dispose()
            await queue.aclose()
            return [message.job_id]

    [job_id] = asyncio.run(use())
    rows = database.rows().values()
    assert [row.state for row in rows] == ["relayed"] * 2
    assert job_id in [row.job_id for row in rows]


@asynccontextmanager
async def _in_between(server: Server) -> AsyncIterator[str]:
    """Passes on what goes to a server and back, on this event loop; yields the URL to use."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await asyncio.open_connection("127.0.0.1", server.port)
        open_until.append(asyncio.current_task())
        await asyncio.gather(pass_on(reader, its_writer), pass_on(its_reader, writer))

    open_until: list[asyncio.Task[None] | None] = []
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
        await asyncio.gather(*filter(None, open_until))


def test_a_person_decides_about_refused_rows(
    outbox: Outbox, queue: SmsQueue, engine: sa.Engine, database: Database, command: Command
) -> None:
    """They are listed with the reason, and no more; released, they become jobs; discarded, they are gone."""
    with engine.begin() as connection:
        first, second = (outbox.enqueue(connection, _SMS, batch_id="all") for _ in range(2))
    with pytest.MonkeyPatch.context() as away:
        away.setenv("SMSQ_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
        assert command("relay")[0] == 3
    database.change(created_at=datetime.now(UTC) - timedelta(days=30))
    assert command("relay") == (0, "relayed 0\n", "")
    assert [row.state for row in database.rows().values()] == ["refused"] * 2
    code, listed, _ = command("refused", "--json")
    assert code == 0
    shown = [json.loads(line) for line in listed.splitlines()]
    assert {each["id"] for each in shown} == {str(first.id), str(second.id)}
    assert all("older than" in each["error"] for each in shown)
    assert "7701" not in listed
    assert command("refused", str(first.id), "--release", "--json") == (0, '{"released": 1}\n', "")
    assert command("refused", str(first.id), "--discard")[::2] == (1, "1 of the rows aren't refused\n")
    assert command("refused", "--all", "--discard") == (0, "discarded 1\n", "")
    assert command("relay") == (0, "relayed 1\n", "")
    assert list(database.rows()) == [str(first.id)]
    assert accepted(queue) == 1


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_of_two_relays_one_counts_a_row(
    outbox: Outbox, queue: SmsQueue, engine: sa.Engine, database: Database, driver: str
) -> None:
    """Also where neither can lock what it hands over: the second comes while the first asks Redis, and is faster."""
    with engine.begin() as connection:
        for _ in range(3):
            outbox.enqueue(connection, _SMS, batch_id="all")
    counted: list[int] = []
    other_engine = sa.create_engine(database.url)

    class Slow(SmsQueue):
        def enqueue(self, *arguments: Any, **options: Any) -> Job:  # noqa: ANN401
            if not counted:
                counted.append(Outbox(sa.MetaData(), queue).relay(other_engine))
            return super().enqueue(*arguments, **options)

        async def aenqueue(self, *arguments: Any, **options: Any) -> Job:  # noqa: ANN401
            return self.enqueue(*arguments, **options)

    async def relay() -> None:
        async_engine = create_async_engine(database.async_url)
        counted.append(await slow.arelay(async_engine))
        await async_engine.dispose()

    slow = Outbox(sa.MetaData(), Slow(settings=queue.settings))
    if driver == "async":
        asyncio.run(relay())
    else:
        counted.append(slow.relay(engine))
    other_engine.dispose()
    assert len(counted) == 2
    assert sum(counted) == accepted(queue) == 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_cant_be_read_holds_nothing_up(
    outbox: Outbox, queue: SmsQueue, engine: sa.Engine, database: Database
) -> None:
    """A row that a foreign hand or a newer version has written is put aside, and those after it are handed over."""
    for payload in ("", "[]", "{}", '{"sms": 1}', "[" * 100_000):
        with engine.begin() as connection:
            outbox.enqueue(connection, _SMS)
        database.change(payload=payload, state="waiting")
    with engine.begin() as connection:
        newer = outbox.enqueue(connection, _SMS)
        outbox.enqueue(connection, _SMS)
        row = outbox.table.c.id == newer.id
        stored = json.loads(connection.execute(sa.select(outbox.table.c.payload).where(row)).scalar_one())
        stored["options"]["colour"] = "red"
        connection.execute(outbox.table.update().where(row).values(payload=json.dumps(stored)))
    assert outbox.relay(engine) == 1
    assert sorted(row.state for row in database.rows().values()) == ["refused"] * 6 + ["relayed"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["relay", "--url", "postgresql+psycopg://u:secret@127.0.0.1:1/x"], 3, "the database can't be used: "),
        (["relay", "--url", "here:secret"], 2, "--url: isn't a database's URL"),
        (["relay", "--url", "sqlite+secret://"], 2, "--url: SQLAlchemy doesn't know"),
        (["relay", "--table", "other"], 3, "no such table: other"),
        (["refused", "secret"], 2, "ID: must be a row's id"),
        (["refused", "--release"], 2, "name the rows"),
        (["secret"], 2, "COMMAND: "),
        (["relay", "--interval", "secret"], 2, "--interval: must be a number of seconds"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], code: int, words: str, command: Command) -> None:
    """It names the option and the rule, and repeats no URL, which may hold a password."""
    ended, out, err = command(*arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert "secret" not in err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_neither_errors_nor_the_log_of_sql_show_a_message(
    queue: SmsQueue, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that isn't there; an engine that logs each statement with its values, and each row that it reads."""
    caplog.set_level(logging.DEBUG, "sqlalchemy.engine")
    engine = sa.create_engine(database.url)
    with Session(engine) as session, pytest.raises(sa.exc.OperationalError) as caught:
        Outbox(sa.MetaData(), queue).enqueue(session, _SMS)
    outbox = made(engine, queue)
    with Session(engine) as session:
        outbox.enqueue(session, _SMS)
        session.commit()
    engine.dispose()
    assert "INSERT" in caplog.text
    assert "Row (" in caplog.text
    for shown in (caplog.text, str(caught.value), repr(caught.value)):
        assert "77010000001" not in shown
        assert "4711" not in shown


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_session_of_the_other_kind_is_told_so(queue: SmsQueue, database: Database) -> None:
    """The error names the method that was meant."""
    outbox = Outbox(sa.MetaData(), queue)
    with pytest.raises(TypeError, match="aenqueue takes async ones"):
        outbox.enqueue(AsyncSession(create_async_engine(database.async_url)), _SMS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="enqueue takes the others"):
        asyncio.run(outbox.aenqueue(Session(), _SMS))  # type: ignore[arg-type]


def test_without_an_async_engine_greenlet_isnt_needed() -> None:
    """As it isn't by SQLAlchemy alone."""
    script = "import sys\nsys.modules['greenlet'] = None\nimport smsq.contrib.sqlalchemy.__main__"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    ("code", "package", "extra"),
    [
        (["-m", "smsq.contrib.sqlalchemy", "relay"], "sqlalchemy", "smsq[sqlalchemy]"),
        (["-c", "from smsq.contrib.sqlalchemy import Outbox"], "sqlalchemy", "smsq[sqlalchemy]"),
        (["-c", "from smsq.contrib.django import get_queue"], "django", "smsq[django]"),
    ],
    ids=["its command", "its package", "django's"],
)
def test_without_the_library_the_extra_is_named(code: list[str], package: str, extra: str, tmp_path: Path) -> None:
    """A command says it in one line; code in the last line of its traceback."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        [sys.executable, *code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == (2 if code[0] == "-m" else 1)
    *before, line = ended.stderr.splitlines()
    assert line.endswith(f"smsq.contrib.{package} needs the library {package}: pip install '{extra}'")
    assert bool(before) is (code[0] == "-c")
