"""The fenced blocks of a page, and how each language of them is run or at least read."""

import configparser
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from smsq.address import Address
from tests.support.sandbox import ROOT

DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"^(?: *<!-- not run: (?P<why>[^\n]+) -->\n)?(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_SHELL = ("sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The page, below `docs/`.
        line: Where it begins.
        language: The word behind the fence.
        text: What is in it.
        why: Why it isn't run, if it says so; such a block is only read.
    """

    page: str
    line: int
    language: str
    text: str
    why: str | None

    @property
    def place(self) -> str:
        """Where it is, for a failure's message."""
        return f"docs/{self.page}, line {self.line}"


def blocks(page: str) -> Iterator[Block]:
    """Finds the blocks of a page, in order; directives of the site's generator aren't any."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        if not found["language"].startswith("{"):
            line = text.count("\n", 0, found.start("language")) + 1
            yield Block(page, line, found["language"], textwrap.dedent(found["text"]), found["why"])


def read(block: Block) -> None:
    """Parses a block by its language's own rules.

    Raises:
        AssertionError: It isn't what it says, or in a language that nobody reads.
    """
    match block.language:
        case "python":
            compile(block.text, block.place, "exec")
        case "sh" | "console":
            script = "\n".join(command for command, _ in session(block)) if block.language == "console" else block.text
            checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
            assert checked.returncode == 0, f"{block.place}: {checked.stderr}"
            for url in re.findall(r"SMSQ_REDIS_URL='?([^\s']+)", script):
                Address.parse(url)
        case "yaml":
            assert list(yaml.safe_load_all(block.text)), block.place
        case "json":
            json.loads(block.text)
        case "ini":
            configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
        case "acl":
            assert all(line.startswith("user ") for line in block.text.splitlines()), block.place
        case "text" | "promql":
            assert block.text.strip(), block.place
        case other:
            raise AssertionError(f"{block.place}: a block in {other!r}, which nobody reads; add it to tests/docs")


def session(block: Block) -> list[tuple[str, str]]:
    """Takes a `console` block apart: each command, and the output that it should have."""
    assert block.text.startswith("$ "), f"{block.place}: begins with a command, after '$ '"
    commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(each.partition("\n")[0], each.partition("\n")[2]) for each in commands]


class Reader:
    """Does what a page says, as one who reads it from the top: one shell's variables, one Python session.

    Args:
        folder: Where the reader stands.
        env: The environment.
    """

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = {**env, "PWD": str(folder)}
        self._names: dict[str, Any] = {"__name__": "docs"}

    def run(self, block: Block) -> None:
        """Runs a block; what it sets, later ones see.

        Raises:
            AssertionError: It failed, or printed something else than the page says.
        """
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), self._names)  # noqa: S102 - our own pages
        elif block.language == "sh":
            self._shell(block.text, block.place)
        else:
            for command, expected in session(block):
                printed = self._shell(command, block.place)
                pattern = ".*?".join(map(re.escape, expected.rstrip("\n").split("…")))
                assert re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL), (
                    f"{block.place}: printed\n{printed}\ninstead of\n{expected}"
                )

    def _shell(self, script: str, place: str) -> str:
        """Runs lines of shell that all must succeed, and keeps their variables and folder."""
        after = self._folder / ".environment"
        # An exit code of 1 or more ends it at once; `env` at the end writes down what was set.
        text = f"set -aeuo pipefail\n{script}\ncd . && env -0 > '{after}'"
        ran = subprocess.run(
            ["bash", "-c", text],
            cwd=self._env["PWD"],
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{place}: ended with {ran.returncode}\n{ran.stdout}"
        self._env = dict(each.split("=", 1) for each in after.read_bytes().decode().split("\0") if "=" in each)
        return ran.stdout


def pages() -> list[str]:
    """Returns every page, below `docs/`."""
    return sorted(str(each.relative_to(DOCS)) for each in DOCS.rglob("*.md"))


def runs(page: str) -> list[Block]:
    """Returns the blocks of a page that are to be run."""
    return [each for each in blocks(page) if each.why is None and each.language in ("python", *_SHELL)]


def path_of_venv() -> str:
    """Returns a PATH that finds the checkout's commands first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
