"""A virtual environment for each peer, made once and reused while its packages stay the same."""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.contenders import Contender
from bench.processes import ROOT, MeasurementError

#: Git-ignored, as is everything that the bench makes.
HOME = ROOT / ".bench"
_ENVIRONMENTS = HOME / "environments"
#: What draws the plots. It measures nothing, but it is large, and no contributor needs it for anything else.
PLOT_PACKAGES = ("matplotlib==3.11.2",)


def python_of(contender: Contender) -> str:
    """Returns the Python executable of a contender's environment, which is made if need be.

    Raises:
        MeasurementError: Its packages can't be installed.
    """
    return python_with(contender.environment, contender.packages) if contender.packages else sys.executable


def python_with(name: str, packages: Sequence[str]) -> str:
    """Returns the Python executable of an environment that has these packages.

    Raises:
        MeasurementError: They can't be installed.
    """
    folder = _ENVIRONMENTS / name
    ready = folder / "packages.json"
    python = folder / "bin" / "python"
    if not (ready.exists() and json.loads(ready.read_text()) == list(packages)):
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _install(name, python, packages)
        ready.write_text(json.dumps(list(packages)))
    return str(python)


def _install(name: str, python: Path, packages: Sequence[str]) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *packages]
    ended = subprocess.run(pip, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        raise MeasurementError(f"can't install {name}: {' '.join(lines) or ended.stderr[-300:]}")
