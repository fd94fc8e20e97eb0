"""The image without Docker: what the Dockerfile's instructions put where, in an environment of the pinned versions."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.packaging.environment import ROOT, Environment


def stages() -> list[list[tuple[str, str]]]:
    """Returns the Dockerfile's stages, each a list of instructions as (name, arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    parsed: list[list[tuple[str, str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            parsed.append([])
        if name:
            parsed[-1].append((name, arguments.strip()))
    return parsed


def instruction(wanted: str) -> str:
    """Returns the arguments of the last stage's last instruction of a name."""
    return [arguments for name, arguments in stages()[-1] if name == wanted][-1]


def pinned(file: str) -> list[Requirement]:
    """Returns the pins of a requirements file that apply to this Python."""
    lines = (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


class Image:
    """What `docker build` would make.

    Args:
        folder: Where it is made.
        wheel: The wheel of its first stage.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        pins = [distribution(pin.name) for pin in pinned("worker.txt")]
        self.environment = Environment(folder / "environment", pins, wheel)
        self.app = folder / "app"
        self.app.mkdir()
        for name, arguments in stages()[-1]:
            source, _, target = arguments.partition(" ")
            if name == "COPY" and (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, self.app / target, ignore=shutil.ignore_patterns("__pycache__"))

    def start(self, command: Sequence[str], variables: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Starts a command as a container would: nothing of this process's environment is in it."""
        with log.open("wb") as out:
            return subprocess.Popen(
                command,
                cwd=self.app,
                env=self.environment.variables({**variables, "HOSTNAME": socket.gethostname()}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @staticmethod
    def default_command() -> list[str]:
        """Returns what it runs when it is told nothing, if that is a list of words and no shell's line."""
        return [str(word) for word in json.loads(instruction("CMD"))]
