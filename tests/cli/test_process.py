"""`smsq` as a process among others: help, version, signals, pipes, full disks and poor encodings."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import SmsQueue
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.cli.test_mistakes import COMMANDS
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis


def test_help(offline: Command) -> None:
    """Each command explains itself and the exit codes, on standard output."""
    commands = COMMANDS.split(", ")
    whole, *each = offline.each([("--help",), *((name, "--help") for name in commands)])
    assert all(name in whole.out for name in commands)
    for ended in (whole, *each):
        assert (ended.code, ended.err) == (0, "")
        assert "exit codes: 0 done" in ended.out
    assert all("--json" in ended.out for ended in each)


def test_version(offline: Command, tmp_path: Path) -> None:
    """`--version` prints the installed package's version."""
    metadata = tmp_path / "smsq-9.8.7.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.4\nName: smsq\nVersion: 9.8.7\n")
    ended = offline("--version", PYTHONPATH=f"{tmp_path}:{offline.env['PYTHONPATH']}")
    assert (ended.code, ended.out, ended.err) == (0, "smsq 9.8.7\n", "")


def test_interrupted(smsq: Command, client: "redis.Redis") -> None:
    """Ctrl-C while waiting ends with 130, without an error, and leaves the accepted job's id."""
    process = smsq.start("send", NUMBER, TEXT, "--wait", "--json")
    wait_until(lambda: any(each["cmd"] == "blpop" for each in client.client_list()), what="the command waits")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    assert json.loads(out)["state"] == "queued"


@pytest.mark.parametrize("command", [("send", NUMBER, "a", "--dry-run"), ("send", "--help")], ids=["result", "help"])
def test_closed_pipe(offline: Command, command: tuple[str, ...]) -> None:
    """A reader that has left is no error worth a word."""
    ended = offline.shell('{ "$@"; echo $? >code; } | true; cat code', *command)
    assert (ended.out, ended.err) == ("141\n", "")


def test_full_disk(offline: Command) -> None:
    """A result that can't be written is told in one line, with a code that isn't 0."""
    ended = offline.shell('"$@" >/dev/full', "send", NUMBER, "a", "--dry-run")
    assert (ended.code, ended.out, ended.errors) == (1, "", ["the result can't be written: No space left on device"])


def test_poor_encoding(offline: Command) -> None:
    """A terminal that lacks a character gets its code instead of a traceback."""
    command = ("send", NUMBER, "я" * 71, "--dry-run")
    ended = offline(*command, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 0
    assert r"U+044F \u044f" in ended.out


def test_an_accepted_job_survives_its_printing(smsq: Command, queue: SmsQueue) -> None:
    """A job whose id can't be printed any more is enqueued all the same, once."""
    ended = smsq.shell('"$@" >/dev/full', "send", NUMBER, TEXT, "--batch", "autumn")
    assert ended.code == 1
    batch = queue.batch("autumn")
    assert batch is not None
    assert batch.total == 1
