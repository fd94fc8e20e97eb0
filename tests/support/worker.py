"""A real worker: `celery -A worker worker` as a process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
KEY = "kz" + "0123456789abcdef" * 2 + "0123456789"


def environment(redis_url: str, api_url: str, **more: str) -> dict[str, str]:
    """Returns the environment of a worker or a command: ours and nothing of the caller's smsq settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SMSQ_", "MOBIZON_", "CELERY_"))}
    return clean | {
        "SMSQ_REDIS_URL": redis_url,
        "MOBIZON_API_URL": api_url,
        "MOBIZON_API_KEY": KEY,
        "SMSQ_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def whole_lines(log: Path) -> str:
    """Returns what a file holds up to its last line's end: while it is written, a reader may see half a line."""
    written, end, _ = log.read_bytes().rpartition(b"\n")
    return (written + end).decode(errors="replace")


class Worker:
    """A running worker and its log.

    Args:
        log: The file that its output goes to.
        env: Its environment (`environment`).
        arguments: Options after `celery -A worker worker`.
    """

    def __init__(self, log: Path, env: dict[str, str], *arguments: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker", "worker", *arguments],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The main process's id."""
        return self.process.pid

    def text(self) -> str:
        """Returns all that it printed, as far as its last line is whole: a reader may see half of one."""
        return whole_lines(self.log)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Returns its log lines, or those of one event."""
        found = []
        for line in self.text().split("\n"):
            if line.startswith("{"):
                entry = json.loads(line)
                if event is None or entry.get("event") == event:
                    found.append(entry)
        return found

    def wait_lines(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Waits until it has printed so many lines of an event, and returns all of them.

        A job's line follows what the ledger shows: who has seen a job's end there may look into the log too early.
        """

        def printed() -> list[dict[str, Any]]:
            found = self.lines(event)
            return found if len(found) >= count else []

        return wait_until(printed, what=f"{count} lines of {event}")

    def wait_ready(self) -> "Worker":
        """Waits until it consumes."""
        wait_until(self._ready, what="the worker is ready")
        return self

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"the worker ended at once:\n{self.text()[-4000:]}"
        return bool(self.lines("worker.ready"))

    def signal(self, number: int) -> None:
        """Sends a signal to the main process."""
        os.kill(self.pid, number)

    def stop(self, timeout: float = 40.0) -> int:
        """Stops it as a supervisor does (SIGTERM) and returns its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Kills it and all its children, and waits for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(20)
