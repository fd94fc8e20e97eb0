"""A real PostgreSQL server, where it is installed; it listens on a Unix socket alone."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.support.waiting import wait_until

#: Whom a server belongs to that root starts: it refuses to run as root.
_USER = "postgres"


def missing() -> str:
    """Returns why no server can be started on this machine, or ''."""
    if _programs() is None:
        return "PostgreSQL isn't installed"
    if os.geteuid() == 0 and _owner() is None:
        return f"PostgreSQL refuses to run as root, and there is no user {_USER!r}"
    return ""


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian has none of them in the path."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve())
    return next((each.parent for each in reversed(found) if (each.parent / "postgres").exists()), None)


def _owner() -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_USER)
    return None


class Postgres:
    """A server in a folder of its own, which it removes when it stops."""

    def __init__(self) -> None:
        programs = _programs()
        assert programs is not None, missing()
        self._databases = map("db{}".format, itertools.count())
        # Not below pytest's folder: that is its user's alone, and a socket's path has a hundred characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="smsq-pg-"))
        as_owner: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL}
        if os.geteuid() == 0 and (owner := _owner()):
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            as_owner |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        data = self.folder / "data"
        options = f"-U {_USER} -A trust -E UTF8 --locale=C --no-sync".split()
        initdb: list[str | Path] = [programs / "initdb", "-D", data, *options]
        subprocess.run(initdb, check=True, **as_owner)
        options = ["-c", "listen_addresses=", "-c", "fsync=off"]
        server: list[str | Path] = [programs / "postgres", "-D", data, "-k", self.folder, *options]
        self._process = subprocess.Popen(server, stderr=subprocess.DEVNULL, **as_owner)
        wait_until(self._answers, what="PostgreSQL answers")

    def _answers(self) -> bool:
        assert self._process.poll() is None, "PostgreSQL ended at once"
        with contextlib.suppress(psycopg.OperationalError), self._connect():
            return True
        return False

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True)

    def new_database(self) -> str:
        """Makes an empty database and returns its name; its user is `postgres`, its host is `folder`."""
        name = next(self._databases)
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def stop(self) -> None:
        """Ends it, and removes its files."""
        self._process.send_signal(signal.SIGINT)  # SIGTERM waits for clients
        self._process.wait(30)
        shutil.rmtree(self.folder)
