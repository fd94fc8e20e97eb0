"""The outbox of Django: a Redis that is away at the commit, and what a person decides about refused rows."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from smsq import SmsQueue
from tests.contrib.conftest import Run
from tests.contrib.databases import Database
from tests.support.server import free_port

_PROMISE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.db import transaction
from smsq import Sms
from smsq.contrib.django.outbox import enqueue_on_commit
for number in (3, 1):
    with transaction.atomic():
        for _ in range(number):
            enqueue_on_commit(Sms(recipient="+77010000001", text="Код: 4711"), batch_id="all")
call_command("smsq_relay")
"""
#: Runs commands, one in a line of standard input; prints the exit code and what was printed, as JSON.
_COMMANDS = """
import io, json, shlex, sys
from django.core.management import CommandError, call_command
for line in sys.stdin:
    out, code = io.StringIO(), 0
    try:
        call_command(*shlex.split(line), stdout=out)
    except CommandError as error:
        code = error.returncode
        print(error, file=out)
    print(json.dumps([code, out.getvalue()]), flush=True)
"""
_BY_HAND = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.db import transaction
from smsq import Sms
from smsq.contrib.django.outbox import enqueue_on_commit
transaction.set_autocommit(False)
for end in (transaction.rollback, transaction.commit):
    enqueue_on_commit(Sms(recipient="+77010000001", text="Hello"))
    end()
transaction.set_autocommit(True)
call_command("smsq_relay")
"""
#: A second relay comes while the first asks Redis, and is faster.
_TWO_RELAYS = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from smsq import Sms
from smsq.contrib import outbox
from smsq.contrib.django.models import OutboxMessage
from smsq.contrib.django.conf import get_queue
from smsq.contrib.django.outbox import relay
for _ in range(3):
    row = OutboxMessage()
    row.payload = outbox.pack(get_queue(), str(row.id), Sms(recipient="+77010000001", text="Hello"))
    row.save(force_insert=True)
counted, enqueue = [], get_queue().enqueue
def slow(*arguments, **options):
    if not counted:
        counted.append(None)
        counted[0] = relay()
    return enqueue(*arguments, **options)
get_queue().enqueue = slow
counted.append(relay())
print(len(counted), sum(counted))
"""


def test_a_transaction_by_hand_is_the_relays(run: Run) -> None:
    """Django tells nobody of a commit without `atomic` and autocommit: no error, and the relay hands the row over."""
    out, err = run("django", "shell", "-v", "0", "-c", _BY_HAND).communicate(timeout=60)
    assert out == "relayed 1\n", err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_of_two_relays_one_counts_a_row(run: Run) -> None:
    """Neither can lock what it hands over."""
    out, err = run("django", "shell", "-v", "0", "-c", _TWO_RELAYS).communicate(timeout=60)
    assert out == "2 3\n", err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 3, "CommandError: the database can't be used: no such table: smsq_outbox"),
        (["--interval", "inf", "--forever"], 2, "--interval: must be a number of seconds"),
        (["--interval", "0", "--forever"], 2, "--interval: must be a number of seconds"),
        (["--database", "other"], 2, "--database: invalid choice: 'other'"),
    ],
)
def test_the_relay_tells_mistakes_in_a_line(options: list[str], code: int, words: str, run: Run) -> None:
    """A table that `migrate` hasn't made, and options that can't be meant, are no traceback."""
    relay = run("django", "smsq_relay", *options)
    _, err = relay.communicate(timeout=60)
    assert (relay.returncode, words in err, "Traceback" in err) == (code, True, False), err


def test_a_person_decides_about_refused_rows(run: Run, queue: SmsQueue, database: Database) -> None:
    """They are listed with the reason, and no more; released, they become jobs; discarded, they are gone.

    Before, Redis was away: that cost each commit one time-out, the relay ended with 3, and no text is in the log.
    """
    away = run("django", "shell", "-v", "0", "-c", _PROMISE, SMSQ_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    out, err = away.communicate(timeout=60)
    assert away.returncode == 3, err
    assert err.count("waits for the relay") == 2, err
    assert "4711" not in out + err
    assert [row.state for row in database.rows().values()] == ["waiting"] * 4
    database.change(created_at=datetime.now(UTC) - timedelta(days=30))
    first, *others = database.rows()

    shell = run("django", "shell", "-v", "0", "-c", _COMMANDS)

    def command(line: str) -> tuple[int, str]:
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write(f"{line}\n")
        shell.stdin.flush()
        code, printed = json.loads(shell.stdout.readline())
        return code, printed

    assert command("smsq_relay") == (0, "relayed 0\n")
    code, listed = command("smsq_refused --json")
    assert code == 0
    shown = [json.loads(line) for line in listed.splitlines()]
    assert {each["id"] for each in shown} == {first, *others}
    assert all("older than" in each["error"] for each in shown)
    assert "7701" not in listed
    assert command("smsq_refused --release") == (2, "name the rows by their ids, or all of them by --all\n")
    assert command(f"smsq_refused {first} --release") == (0, "released 1\n")
    assert command(f"smsq_refused {first} --discard") == (1, "discarded 0\n1 of the rows aren't refused\n")
    assert command("smsq_refused --all --discard") == (0, "discarded 3\n")
    assert command("smsq_relay") == (0, "relayed 1\n")
    assert list(database.rows()) == [first]
    assert database.rows()[first].payload == ""
    batch = queue.batch("all")
    assert batch is not None
    assert batch.total == 1
