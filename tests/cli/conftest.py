"""Runs `smsq` as a process of its own, away from the checkout's `.env`."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stand_in import StandIn
from tests.support.server import Server, free_port
from tests.support.worker import ROOT, environment

NUMBER = "77010000001"
TEXT = "Код: 4711"


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()

    @property
    def result(self) -> dict[str, Any]:
        """The one line of JSON on standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        return dict(json.loads(lines[0]))

    @property
    def rows(self) -> dict[str, str]:
        """The rows on standard output."""
        pairs = [line.split(maxsplit=1) for line in self.out.splitlines()]
        return {name: value for name, value in pairs}  # noqa: C416 - mypy knows no length of a list


class Command:
    """`smsq` with an environment and a working directory.

    Args:
        redis_url: Where it finds Redis.
        folder: Its working directory.
    """

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.folder = folder
        self.env = environment(redis_url, "http://127.0.0.1:9") | {"PYTHONPATH": str(ROOT)}
        del self.env["PYTHONUNBUFFERED"]  # a person's shell doesn't set it, and a closed pipe shows elsewhere then

    def __call__(self, *arguments: str | bytes, stdin: bytes = b"", **settings: str) -> Ended:
        """Runs a command to its end; its errors are never a traceback and never repeat what was typed."""
        return self._end(self.start(*arguments, **settings), stdin)

    def each(self, commands: Iterable[Sequence[str | bytes]], **settings: str) -> list[Ended]:
        """Runs commands beside each other, all with the same settings, and returns how they ended, in order."""
        return [self._end(process) for process in [self.start(*command, **settings) for command in commands]]

    def _end(self, process: "subprocess.Popen[bytes]", stdin: bytes = b"") -> Ended:
        out, err = process.communicate(stdin, timeout=60)
        ended = Ended(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in ended.err, ended.err
        for given in (NUMBER, TEXT):
            assert given not in ended.err, "what was typed is repeated"
        return ended

    def start(self, *arguments: str | bytes, **settings: str) -> "subprocess.Popen[bytes]":
        """Starts a command, with its streams in pipes; settings are environment variables."""
        return subprocess.Popen(
            self.line(*arguments),
            cwd=self.folder,
            env=self.env | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def shell(self, script: str, *arguments: str) -> Ended:
        """Runs a line of bash in which `"$@"` is a command."""
        process = subprocess.run(
            ["bash", "-c", script, "bash", *map(str, self.line(*arguments))],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ended(process.returncode, process.stdout.decode(), process.stderr.decode())

    def line(self, *arguments: str | bytes) -> list[str | bytes]:
        """The whole command line."""
        return [sys.executable, "-m", "smsq.cli", *arguments]


@pytest.fixture
def smsq(server: Server, tmp_path: Path) -> Command:
    """`smsq` on the shared server."""
    return Command(server.url, tmp_path)


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    """`smsq` where no Redis answers."""
    return Command(f"redis://127.0.0.1:{free_port()}/0", tmp_path)


@pytest.fixture
def stand_in(server: Server) -> Iterator[StandIn]:
    """A worker's part on the shared server, without a gateway."""
    made = StandIn(server.url)
    yield made
    made.close()
