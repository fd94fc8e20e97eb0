"""Runs `smsq` as a process of its own, away from the checkout's `.env`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.doctor import Doctor, beat
from tests.cli.stand_in import StandIn
from tests.support.sandbox import Sandbox
from tests.support.server import Server, free_port
from tests.support.worker import ROOT, environment

NUMBER = "77010000001"
TEXT = "Код: 4711"

_FORKS = """
import json, os, sys
import smsq.cli

codes = []
for number, words in enumerate(json.loads(sys.argv[1])):
    if child := os.fork():
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.exit(smsq.cli.main(words))
print(json.dumps(codes))
"""


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


def checked(code: int, out: bytes, err: bytes) -> Ended:
    """Returns how a command ended, and checks what holds for all: errors are never a traceback nor what was typed."""
    ended = Ended(code, out.decode(), err.decode())
    assert "Traceback" not in ended.err, ended.err
    for given in (NUMBER, TEXT):
        assert given not in ended.err, "what was typed is repeated"
    return ended


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
        """Runs a command to its end."""
        process = self.start(*arguments, **settings)
        out, err = process.communicate(stdin, timeout=60)
        return checked(process.returncode, out, err)

    def each(self, commands: Iterable[Sequence[str | bytes]], **settings: str) -> list[Ended]:
        """Runs commands one after the other, all with the same settings, and returns how they ended, in order.

        Each is a process of its own, forked off one that has done the imports, which take most of a command's time.
        """
        words = json.dumps([[os.fsdecode(word) for word in command] for command in commands])
        forks = subprocess.run(
            [sys.executable, "-c", _FORKS, words],
            cwd=self.folder,
            env=self.env | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert forks.stderr == b""
        return [
            checked(code, (self.folder / f"{number}.out").read_bytes(), (self.folder / f"{number}.err").read_bytes())
            for number, code in enumerate(json.loads(forks.stdout))
        ]

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
        return checked(process.returncode, process.stdout, process.stderr)

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


@pytest.fixture
def doctor(smsq: Command, server: Server, sandbox: Sandbox) -> Doctor:
    """The doctor, and a worker that was just heard of."""
    beat(server)
    return Doctor(smsq, sandbox)
