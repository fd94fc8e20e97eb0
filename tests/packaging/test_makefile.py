"""The Makefile, on a copy of the checkout: what it says, without installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.environment import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment that is set up, as far as make can see."""
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs make and returns its end; what a make that runs these tests has told its children is not passed on."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_help_names_each_target(checkout: Path) -> None:
    """Plain `make` lists what there is to make, a line each, and makes nothing."""
    listed = make(checkout)
    assert listed.returncode == 0
    targets = ["help", "run", "test", "faults", "soak", "bench", "check", "docs", "clean"]
    assert [line.split()[1] for line in listed.stdout.splitlines()] == targets


def test_a_set_up_checkout_is_not_set_up_again(checkout: Path) -> None:
    """When nothing has changed since the set-up, a target runs its command at once."""
    assert make(checkout, "--dry-run", "run").stdout.split() == [".venv/bin/python", "-m", "worker.demo"]
    assert make(checkout, "--dry-run", "run", "ONCE=1").stdout.split()[-1] == "--once"
    assert "pip install" not in make(checkout, "--dry-run", "test", "check").stdout


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements/worker.txt", "requirements/dev.txt"])
def test_changed_requirements_are_installed(checkout: Path, changed: str) -> None:
    """When what the environment is made from is newer than the environment, it is brought up to date first."""
    ready = checkout / ".venv" / ".ready"
    made = ready.stat()
    os.utime(checkout / changed, ns=(made.st_atime_ns, made.st_mtime_ns + 1_000_000_000))
    assert "install -r requirements/dev.txt" in make(checkout, "--dry-run", "test").stdout


def test_without_a_suitable_python_it_says_what_it_needs(checkout: Path) -> None:
    """A machine whose Python is too old, or has no venv module, gets one clear line and no half-made environment."""
    shutil.rmtree(checkout / ".venv")
    ended = make(checkout, "test", "PYTHON=no-such-python false")
    assert ended.returncode == 2
    assert "needs Python 3.11 or newer with its venv module" in ended.stderr
    assert not (checkout / ".venv").exists()
