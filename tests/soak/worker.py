"""A soak's workers."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.sandbox import ROOT
from tests.support.waiting import wait_until
from tests.support.worker import Worker

#: Seconds that a worker may take to be ready while faults go on.
_READY: Final = 120.0


def python(module: str, mutant: str | None) -> list[str]:
    """Returns the command that runs a module, without a mechanism if a mutant is named."""
    return [sys.executable, "-m", *(("tests.soak.mutant", mutant) if mutant else ()), module]


class SoakWorker(Worker):
    """A worker, or a mutant of one.

    Args:
        log: Its log.
        env: Its environment.
        pool: Celery's options.
        mutant: The mechanism it runs without.
    """

    def __init__(self, log: Path, env: Mapping[str, str], pool: tuple[str, ...], mutant: str | None) -> None:
        self.log = log
        self.pool = pool
        command = [*python("celery", mutant), "-A", "worker", "worker", "-n", f"{log.stem}@%h", *pool]
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True)

    @property
    def has_children(self) -> bool:
        """Whether its jobs run in processes of their own."""
        return "prefork" in self.pool

    def children(self) -> list[int]:
        """Returns the ids of its children."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        except OSError:
            return []
        return [int(child) for child in listed.split()]

    def signal_all(self, number: int) -> None:
        """Sends a signal to it and to its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait_ready(self) -> "SoakWorker":
        """Waits until it consumes, whatever happens to Redis meanwhile."""
        wait_until(self._ready, timeout=_READY, what="the worker is ready")
        return self
