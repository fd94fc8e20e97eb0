"""`SMSQ_ENCRYPTION_KEY` and the outboxes: what rows hold, changes of keys, and rows whose key a relay lacks."""

import base64
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import sqlalchemy as sa

from smsq import Settings, Sms, SmsQueue
from smsq.contrib import outbox as rows
from smsq.contrib.sqlalchemy import Outbox
from tests.contrib.conftest import Command, Run
from tests.contrib.databases import Database
from tests.support.sandbox import ordinary
from tests.support.server import Server

NUMBER: Final = ordinary(7_300_001)
TEXT: Final = "Ячейка 8812"
SMS: Final = Sms(recipient=NUMBER, text=TEXT, name="Ячейка")
OLD, NEW, FOREIGN = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(3))
BOTH: Final = f"{NEW},{OLD}"

MakeOutbox = Callable[[str | None], Outbox]

#: Promises with OLD's key 101 messages, and one with no key; relays with none, and with a new one beside the old.
_DJANGO: Final = f"""
import sys
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import override_settings
from smsq import Sms
from smsq.contrib import outbox
from smsq.contrib.django.conf import get_queue
from smsq.contrib.django.models import OutboxMessage
def promise():
    row = OutboxMessage()
    sms = Sms(recipient="{NUMBER}", text="{TEXT}")
    row.payload = outbox.pack(get_queue(), str(row.id), sms, batch_id="all")
    row.save(force_insert=True)
with override_settings(SMSQ={{"ENCRYPTION_KEY": "{OLD}"}}):
    for _ in range(outbox.BATCH + 1):
        promise()
promise()
call_command("smsq_relay")
call_command("smsq_relay")
sys.stdin.readline()
with override_settings(SMSQ={{"ENCRYPTION_KEY": "{BOTH}"}}):
    call_command("smsq_relay")
"""


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    """An engine of the database's."""
    made = sa.create_engine(database.url)
    yield made
    made.dispose()


@pytest.fixture
def outbox_with(server: Server, engine: sa.Engine) -> Iterator[MakeOutbox]:
    """Makes outboxes of one table, whose queues have a key each, or none."""
    made: list[Outbox] = []

    def make(key: str | None) -> Outbox:
        metadata = sa.MetaData()
        queue = SmsQueue(settings=Settings.load(redis_url=server.url, encryption_key=key))
        made.append(Outbox(metadata, queue))
        metadata.create_all(engine)
        return made[-1]

    yield make
    for each in made:
        each.queue.close()


def promise(outbox: Outbox, engine: sa.Engine, number: int = 1) -> list[str]:
    """Leaves messages to the relay, and returns the rows' ids."""
    with engine.begin() as connection:
        return [str(outbox.enqueue(connection, SMS, batch_id="all").id) for _ in range(number)]


def states(database: Database) -> list[str]:
    """Returns the rows' states."""
    return [row.state for row in database.rows().values()]


def test_rows_hold_neither_number_nor_text(outbox_with: MakeOutbox, engine: sa.Engine, database: Database) -> None:
    """Nothing else of the message either; those from before there was a key are relayed, and those of the last key."""
    [plain] = promise(outbox_with(None), engine)
    [old] = promise(outbox_with(OLD), engine)
    both = outbox_with(BOTH)
    [new] = promise(both, engine)
    found = database.rows()
    assert NUMBER in found[plain].payload
    for sealed in (found[old].payload, found[new].payload):
        assert list(json.loads(sealed)) == ["sealed"]
        raw = base64.b64decode(json.loads(sealed)["sealed"])
        for word in (NUMBER, NUMBER[-7:], TEXT, json.dumps(TEXT)[1:-1], "recipient", "all", plain):
            assert word not in sealed
            assert word.encode() not in raw
    assert both.relay(engine) == 3
    assert states(database) == ["relayed"] * 3
    assert both.queue.settings.cipher is not None
    batch = both.queue.batch("all")
    assert batch
    assert batch.total == 3


def test_a_row_whose_key_a_relay_lacks_waits_and_holds_nobody_up(
    outbox_with: MakeOutbox, engine: sa.Engine, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """More of them than a relay reads at a time; it is told once, and one that has the key relays them, once each."""
    sealing, foreign = outbox_with(NEW), outbox_with(FOREIGN)
    locked = promise(sealing, engine, rows.BATCH + 1)
    caplog.set_level(logging.WARNING, "smsq.outbox")
    for each in (foreign, outbox_with(None)):
        promise(each, engine)
        assert each.relay(engine) == 1
        assert each.relay(engine) == 0
    assert [row.state for row_id, row in database.rows().items() if row_id in locked] == ["waiting"] * len(locked)
    [told] = caplog.messages
    assert f"rows that wait for a relay that has their key: {len(locked)}" in told
    assert "SMSQ_ENCRYPTION_KEY" in told
    assert sealing.relay(engine) == len(locked)
    assert states(database) == ["relayed"] * (len(locked) + 2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_its_command_says_so(
    outbox_with: MakeOutbox,
    engine: sa.Engine,
    database: Database,
    command: Command,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A row that was refused for its age is released without the key, too, and waits for it again."""
    sealing = outbox_with(NEW)
    promise(sealing, engine)
    database.change(created_at=datetime.now(UTC) - timedelta(days=30))
    assert command("relay") == (0, "relayed 0\n", "")
    assert command("refused", "--all", "--release") == (0, "released 1\n", "")
    assert command("relay")[:2] == (0, "relayed 0\n")
    assert "that has their key: 1" in caplog.text
    assert states(database) == ["waiting"]
    assert sealing.relay(engine) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_sealed_row_is_one_rows_alone(outbox_with: MakeOutbox, engine: sa.Engine, database: Database) -> None:
    """Changed, or copied into another row, it is put aside, and those after it are handed over."""
    outbox = outbox_with(NEW)
    [first] = promise(outbox, engine)
    payload = database.rows()[first].payload
    promise(outbox, engine, 4)
    table, sealed = outbox.table, json.loads(payload)["sealed"]
    damaged = [payload, json.dumps({"sealed": sealed[:-8]}), '{"sealed": 5}', '{"sealed": "?"}']
    others = [each for each in database.rows() if each != first]
    with engine.begin() as connection:
        for row_id, wrong in zip(others, damaged, strict=True):
            its = sa.cast(table.c.id, sa.String) == row_id.replace("-", "")
            assert connection.execute(table.update().where(its).values(payload=wrong)).rowcount == 1
    assert outbox.relay(engine) == 1
    with engine.connect() as connection:
        errors = connection.execute(sa.select(table.c.error).where(table.c.state == "refused")).scalars().all()
    assert sorted(errors) == ["sms: was changed since it was encrypted"] * 2 + ["unreadable"] * 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_djangos_rows_are_encrypted_too(run: Run, database: Database) -> None:
    """They wait for a relay that has their key, which is told in a line, and hold nobody up."""
    shell = run("django", "shell", "-v", "0", "-c", _DJANGO)
    assert shell.stdout
    assert [shell.stdout.readline() for _ in range(2)] == ["relayed 1\n", "relayed 0\n"]
    waiting = [row.payload for row in database.rows().values() if row.state == "waiting"]
    assert len(waiting) == rows.BATCH + 1
    assert not [each for each in waiting if NUMBER in each or list(json.loads(each)) != ["sealed"]]
    out, err = shell.communicate("\n", timeout=60)
    assert out == f"relayed {rows.BATCH + 1}\n", err
    assert err.count(f"that has their key: {rows.BATCH + 1}") == 1
    assert states(database) == ["relayed"] * (rows.BATCH + 2)
