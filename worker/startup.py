"""Whether the server keeps what it accepts: looked at before a worker serves, and again each hour (F02, F20, F21).

A server that is away is no reason not to start: Celery waits for it and says so, and the first look is made when it is
there.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker import state
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq.errors import QueueUnavailable
from smsq.server_checks import Finding, check_server, read_server

log: FilteringBoundLogger = structlog.get_logger()

#: Exit codes, as those of `smsq`: a setting of the server, or of ours, is wrong; the service can't be used at all.
_EXIT_USAGE: Final = 2
_EXIT_SERVICE: Final = 3
#: Seconds that a look may take, between looks, and between tries of the first while the server is away.
_TIMEOUT: Final = 2.0
_INTERVAL: Final = 3600.0
_PAUSE: Final = 1.0


def look(settings: WorkerSettings) -> list[Finding]:
    """Asks the server and judges its answers.

    Raises:
        QueueUnavailable: It can't be reached.
    """
    server = read_server(settings.address, _TIMEOUT)
    return check_server(server, durability=settings.durability, allow_eviction=settings.allow_eviction)


def refusal(findings: list[Finding]) -> int | None:
    """Returns the exit code of a worker that must not serve on such a server, or None if it may.

    That a server is a replica passes by itself when a failover is over: the worker waits, as for one that is away.
    """
    failed = {finding.name: finding.text for finding in findings if finding.verdict == "fail"}
    if "cluster" in failed.get("mode", ""):
        return _EXIT_SERVICE
    return _EXIT_USAGE if failed.keys() - {"mode"} else None


def refuse_server(settings: WorkerSettings) -> None:
    """Stops a worker whose server can't keep the promise, with a line for each reason; does nothing if it is away."""
    try:
        findings = look(settings)
    except QueueUnavailable:
        return
    code = refusal(findings)
    if code is not None:
        lines = [f"Redis at {settings.address}: {each.text}\n" for each in findings if each.verdict == "fail"]
        sys.stderr.write("".join(lines))
        raise SystemExit(code)


def _stop_worker(code: int) -> None:
    state.should_stop = code  # a warm stop: the hub looks at it at each turn


class ServerWatch(threading.Thread):
    """Looks at the server while the worker runs, and tells the log what is weaker than it should be.

    Args:
        settings: The worker's settings.
        interval: Seconds between looks.
        stop_worker: Called with an exit code if the first look finds a server that is refused. Later ones only tell:
            a worker that runs loses nothing by going on, and who changed the server reads it in the log.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        interval: float = _INTERVAL,
        stop_worker: Callable[[int], None] = _stop_worker,
    ) -> None:
        super().__init__(name="smsq-server-watch", daemon=True)
        self._settings = settings
        self._interval = interval
        self._stop_worker = stop_worker
        self._over = threading.Event()

    def run(self) -> None:
        """Looks, and waits, until it is stopped."""
        first = True
        while True:
            try:
                findings = look(self._settings)
            except QueueUnavailable:
                wait = _PAUSE if first else self._interval
            else:
                self._tell(findings)
                code = refusal(findings) if first else None
                if code is not None:
                    self._stop_worker(code)
                    return
                first, wait = False, self._interval
            if self._over.wait(wait):
                return

    @staticmethod
    def _tell(findings: list[Finding]) -> None:
        for finding in findings:
            if finding.verdict == "warn":
                log.warning("server.weak", check=finding.name, reason=finding.text)
            elif finding.verdict == "fail":
                log.error("server.unfit", check=finding.name, reason=finding.text)

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()
        self.join()


class ServerStep(bootsteps.StartStopStep):
    """Runs the watch beside the worker."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(parent, **kwargs)
        self._watch: ServerWatch | None = None

    def start(self, parent: Any) -> None:  # noqa: ANN401, ARG002
        """Starts the watch."""
        self._watch = ServerWatch(WorkerSettings.load())
        self._watch.start()

    def stop(self, parent: Any) -> None:  # noqa: ANN401, ARG002
        """Stops it."""
        if self._watch:
            self._watch.stop()
            self._watch = None

    def terminate(self, parent: Any) -> None:  # noqa: ANN401
        """The same when the stop is a cold one."""
        self.stop(parent)
