"""The outbox of Django: a Redis that is away at the commit, and what a person decides about refused rows."""

import json
from datetime import UTC, datetime, timedelta

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
