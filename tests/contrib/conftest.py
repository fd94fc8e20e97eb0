"""An empty database, on SQLite and, where it is installed, on PostgreSQL; and processes that use it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smsq.contrib.sqlalchemy.__main__ import main
from tests.contrib.databases import Database
from tests.support import postgres
from tests.support.sandbox import ROOT
from tests.support.server import Server
from tests.support.worker import environment

Run = Callable[..., "subprocess.Popen[str]"]
Command = Callable[..., tuple[int, str, str]]
#: What a test runs on that runs once.
BEST = "sqlite" if postgres.missing() else "postgresql"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """One PostgreSQL for all tests of a run."""
    if why := postgres.missing():
        pytest.skip(why)
    server = postgres.Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database."""
    if request.param == "sqlite":
        file = tmp_path / "outbox.sqlite"
        return Database(
            f"sqlite:///{file}",
            f"sqlite+aiosqlite:///{file}",
            {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)},
        )
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    name, host = server.new_database(), str(server.folder)
    url = f"postgresql+psycopg://postgres@/{name}?host={host}"
    django = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "postgres", "HOST": host}
    return Database(url, url, django)  # psycopg is both


@pytest.fixture
def run(server: Server, database: Database) -> Iterator[Run]:
    """Starts a Python module of the project as a process of a web application."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        settings = {
            "DJANGO_SETTINGS_MODULE": "tests.contrib.django_settings",
            "DJANGO_DATABASE": json.dumps(database.django),
            "DATABASE_URL": database.url,
        }
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=environment(server.url, "http://127.0.0.1:9", **(settings | variables)),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.fixture
def command(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `python -m smsq.contrib.sqlalchemy`, in this process; returns exit code, output and errors."""
    monkeypatch.setenv("SMSQ_REDIS_URL", server.url)
    monkeypatch.setenv("DATABASE_URL", database.url)

    def run(*arguments: str) -> tuple[int, str, str]:
        return main(arguments), *capsys.readouterr()

    return run
