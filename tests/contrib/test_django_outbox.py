"""The outbox with Django: real processes, killed between the steps, and a worker that sends what was committed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from smsq import SmsQueue
from tests.support.jobs import end_of
from tests.support.sandbox import ROOT, Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def run(server: Server, database: Path) -> Iterator[Run]:
    """Starts a Python module of the project as a process."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        settings = {"DJANGO_SETTINGS_MODULE": "tests.contrib.django_settings", "OUTBOX_DB": str(database)}
        env = environment(server.url, "http://127.0.0.1:9", **(settings | variables))
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
            )
        )
        return started[-1]

    done = start("django", "migrate", "--verbosity", "0")
    assert done.wait(60) == 0, done.communicate()[1]
    yield start
    for each in started:
        each.kill()
        each.communicate()


def rows(database: Path) -> dict[str, tuple[str, str, str]]:
    """Returns state, payload and job of each row."""
    with closing(connect(database)) as connection:
        found = connection.execute("SELECT id, state, payload, job_id FROM smsq_outbox").fetchall()
    return {row_id: (state, payload, job) for row_id, state, payload, job in found}


def relay(run: Run, **variables: str) -> "tuple[int, str]":
    """Runs the command to its end and returns its exit code and output."""
    process = run("django", "smsq_relay", **variables)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_committed_is_sent_once_and_rolled_back_never(
    run: Run, database: Path, queue: SmsQueue, sandbox: Sandbox, worker: Callable[..., Worker]
) -> None:
    """Killed before the commit, after it, and between hand-over and mark; rolled back; and left alone."""
    steps = ["before commit", "after commit", "after relay", "rollback", "never"]
    phones = {step: ordinary(7_200_000 + number) for number, step in enumerate(steps)}
    ids = {}

    def start(step: str) -> "subprocess.Popen[str]":
        return run("tests.contrib.django_child", step, f"+{phones[step]}")

    def reached(child: "subprocess.Popen[str]", step: str) -> None:
        assert child.stdout
        ids[step] = child.stdout.readline().strip().replace("-", "")
        if step in {"rollback", "never"}:
            assert child.wait(60) == 0
        else:
            assert child.stdout.readline() == "here\n"
            child.kill()

    reached(start("before commit"), "before commit")  # alone: it holds the database until its end
    for step, child in {step: start(step) for step in steps[1:]}.items():
        reached(child, step)
    before = rows(database)
    assert before.keys() == {ids[step] for step in ("after commit", "after relay", "never")}
    assert before[ids["after commit"]][0] == before[ids["after relay"]][0] == "waiting"
    assert before[ids["never"]][:2] == ("relayed", "")
    assert relay(run, SMSQ_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")[0] == 3
    assert rows(database) == before

    two = [run("django", "smsq_relay") for _ in range(2)]
    assert [each.wait(60) for each in two] == [0, 0]
    after = rows(database)
    assert {state[:2] for state in after.values()} == {("relayed", "")}
    worker()
    for _, _, job_id in after.values():
        end_of(queue, job_id)
    assert sandbox.counts() == {phones[step]: 1 for step in ("after commit", "after relay", "never")}


def test_the_relay_as_a_service(run: Run, database: Path) -> None:
    """With --forever it takes what others leave, and nobody's number is in the table then."""
    service = run("django", "smsq_relay", "--forever", "--interval", "0.1")
    child = run("tests.contrib.django_child", "after commit", f"+{ordinary(7_200_010)}")
    assert child.stdout
    row_id = child.stdout.readline().strip().replace("-", "")
    wait_until(lambda: rows(database).get(row_id, ("",))[0] == "relayed", what="the service relays it")
    assert rows(database)[row_id][1] == ""
    assert service.poll() is None
