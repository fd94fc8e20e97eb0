"""Python environments that hold a wheel and what it declares to need, and nothing else. Made without a network."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path) -> Path:
    """Builds the checkout's wheel into a folder and returns it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def needed(requirements: Iterable[Requirement]) -> dict[str, Distribution]:
    """Returns the installed distributions that requirements ask for, directly or by others, with their extras."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras} - {extra for known, extra in asked if known == name}
        asked |= {(name, extra) for extra in extras}
        found[name] = distribution(name)
        for line in found[name].requires or []:
            each = Requirement(line)
            if any(each.marker is None or each.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(each)
    return found


class Environment:
    """A virtual environment of its own.

    Args:
        folder: Where it is made.
        distributions: What it holds. Their files are linked from the environment that the tests run in.
        wheel: What is installed besides, by pip.
    """

    def __init__(self, folder: Path, distributions: Iterable[Distribution], wheel: Path) -> None:
        self.folder = folder
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        for each in distributions:
            _link(each, packages)
            self._write_scripts(each)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self.python)]
        subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
        # All that is declared is there, in versions that are allowed.
        subprocess.run([*pip, "check"], check=True, capture_output=True)

    def _write_scripts(self, each: Distribution) -> None:
        for entry in each.entry_points.select(group="console_scripts"):
            script = self.folder / "bin" / entry.name
            script.write_text(
                f"#!{self.python}\nimport sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
            )
            script.chmod(0o755)

    def variables(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns a process's whole environment: this one's programs first, and what is given."""
        return {"PATH": f"{self.folder / 'bin'}:{os.defpath}", "LANG": "C.UTF-8", **(given or {})}


def _link(each: Distribution, packages: Path) -> None:
    for file in each.files or []:
        if file.is_absolute() or ".." in file.parts or file.suffix == ".pyc":
            continue
        link = packages / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.locate())
