"""The outboxes in real processes, killed between the steps, and a worker that sends what was committed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from smsq import SmsQueue
from tests.contrib import steps
from tests.contrib.conftest import BEST, Run
from tests.contrib.databases import TABLE, Database
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import subprocess


@pytest.fixture(scope="module")
def standing_worker(
    shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """One worker for all of these tests."""
    env = environment(shared_server.url, shared_sandbox.url)
    worker = Worker(tmp_path_factory.mktemp("worker") / "log", env).wait_ready()
    yield worker
    worker.kill()


class Application:
    """A web application with an outbox.

    Args:
        framework: ``django``, ``sqlalchemy`` or ``async sqlalchemy``.
        run: Starts processes.
        database: Its database, still empty.
    """

    def __init__(self, framework: str, run: Run, database: Database) -> None:
        self._run = run
        self._variables: dict[str, str] = {}
        if framework == "django":
            self._child, self._relay = "tests.contrib.django_child", ("django", "smsq_relay")
            migrated = run("django", "migrate", "--verbosity", "0")
            assert migrated.wait(60) == 0, migrated.communicate()[1]
            return
        self._child, self._relay = "tests.contrib.sqlalchemy_child", ("smsq.contrib.sqlalchemy", "relay")
        engine = sa.create_engine(database.url, poolclass=sa.NullPool)
        TABLE.metadata.create_all(engine)
        if framework.startswith("async"):
            self._variables = {"ASYNC": "1", "DATABASE_URL": database.async_url}

    def promise(self, step: str, recipient: str) -> "subprocess.Popen[str]":
        """Starts a process that promises a message and stops at a step."""
        return self._run(self._child, step, f"+{recipient}", **self._variables)

    def relay(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a relay."""
        return self._run(*self._relay, *arguments, **self._variables)


@pytest.fixture
def application(framework: str, run: Run, database: Database) -> Application:
    """An application whose tables are made."""
    return Application(framework, run, database)


def _reached(child: "subprocess.Popen[str]", step: str) -> str:
    """Waits until a process is where it is to be, kills it there, and returns its row's id."""
    assert child.stdout
    row_id = child.stdout.readline().strip()
    if step in steps.ENDING:
        assert child.wait(60) == 0, child.communicate()[1]
    else:
        assert child.stdout.readline() == "here\n"
        child.kill()
        child.wait()
    return row_id


@pytest.mark.parametrize(
    ("framework", "database"),
    [
        ("django", "sqlite"),
        ("django", "postgresql"),
        ("sqlalchemy", BEST),
        ("async sqlalchemy", BEST),
    ],
    indirect=["database"],
)
def test_committed_is_sent_once_and_rolled_back_never(
    application: Application, database: Database, queue: SmsQueue, sandbox: Sandbox, standing_worker: Worker
) -> None:
    """Whichever step a process dies at, and with two relays at once."""
    phones = {step: ordinary(7_200_000 + number) for number, step in enumerate(steps.STEPS)}
    _reached(application.promise(steps.BEFORE_COMMIT, phones[steps.BEFORE_COMMIT]), steps.BEFORE_COMMIT)
    rest = {step: application.promise(step, phones[step]) for step in steps.STEPS[1:]}
    ids = {step: _reached(child, step) for step, child in rest.items()}

    before = database.rows()
    assert before.keys() == {ids[step] for step in steps.COMMITTED}
    waiting = [ids[steps.AFTER_COMMIT], ids[steps.AFTER_HANDING_OVER]]
    assert [before[each].state for each in waiting] == ["waiting"] * 2
    assert before[ids[steps.NEVER]][:2] == ("relayed", "")
    two = [application.relay() for _ in range(2)]
    assert [each.wait(60) for each in two] == [0, 0], [each.communicate() for each in two]
    after = database.rows()
    assert {row[:2] for row in after.values()} == {("relayed", "")}
    for row in after.values():
        end_of(queue, row.job_id)
    assert sandbox.counts() == {phones[step]: 1 for step in steps.COMMITTED}


@pytest.mark.parametrize("framework", ["django", "async sqlalchemy"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_relay_as_a_service(application: Application, database: Database, queue: SmsQueue) -> None:
    """With --forever it takes what others leave, and nobody's number is in the table then."""
    service = application.relay("--forever", "--interval", "0.1")
    row_id = _reached(application.promise(steps.AFTER_COMMIT, ordinary(7_200_010)), steps.AFTER_COMMIT)
    wait_until(lambda: database.rows()[row_id].state == "relayed", what="the service relays it")
    assert database.rows()[row_id].payload == ""
    assert service.poll() is None
