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

import psycopg

from tests.support.waiting import wait_until

#: Whom a server belongs to that root starts: it refuses to run as root.
_USER = "postgres"


def missing() -> str:
    """Returns why no server can be started on this machine, or ''."""
    if _programs() is None:
        return "PostgreSQL isn't installed"
    if os.geteuid() == 0 and (_owner() is None or not shutil.which("runuser")):
        return "PostgreSQL can't be started: we are root, and there is nobody else to run it"
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
        self._command = [] if os.geteuid() else ["runuser", "-u", _USER, "--"]
        self._databases = map("db{}".format, itertools.count())
        # Not below pytest's folder: that is its user's alone, and a socket's path has a hundred characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="smsq-pg-"))
        if owner := _owner() if self._command else None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        data = self.folder / "data"
        initdb = [programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*self._command, *map(str, initdb)], cwd="/", check=True, stdout=subprocess.DEVNULL)
        options = ["-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            [*self._command, *map(str, [programs / "postgres", "-D", data, *options])], cwd="/", stderr=subprocess.PIPE
        )
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
        # The server itself, not `runuser` before it; SIGINT doesn't wait for clients.
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        self._process.communicate(timeout=30)
        shutil.rmtree(self.folder)
