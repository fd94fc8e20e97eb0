"""Brings back what is due: reservations that were never begun, leases that ran out, retries and schedules.

Every worker runs one, and nothing depends on any of them. Its work grows with what is due, never with what waits.
"""

import threading

import structlog
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable

log: FilteringBoundLogger = structlog.get_logger()

#: Entries of a look. A full one is followed by the next at once; Redis is held for a few milliseconds by each.
LIMIT = 500
_TIMEOUT = 5.0


class Dispatcher:
    """Looks at what is due, in a thread of its own.

    Args:
        settings: The worker's settings.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._interval = settings.dispatch_interval
        self._retention = settings.retention_ms
        self._runner = SyncRunner(settings.address)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._unavailable = False

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="smsq-dispatcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wakes the thread and waits for its end."""
        self._stopping.set()
        if self._thread:
            self._thread.join()
        self._runner.close()

    def _run(self) -> None:
        while not self._stopping.wait(self.look()):
            pass

    def look(self) -> float:
        """Takes what is due and puts it where it belongs.

        Returns:
            Seconds until the next look: none when there was more than one look takes, less than the interval when
            something is due before.
        """
        try:
            looked = self._runner.run(ledger.take_due(LIMIT, retention=self._retention), _TIMEOUT)
        except QueueUnavailable as error:
            if not self._unavailable:
                log.warning("dispatcher.unavailable", reason=str(error))
            self._unavailable = True
            return self._interval
        self._unavailable = False
        for job_id, what in looked.events:
            if what == "parked":
                log.error("job.parked", job_id=job_id)
                continue
            event = "job.unknown" if what == "unknown" else "job.resend"
            log.warning(event, job_id=job_id, reason="the worker was lost during the call")
        if looked.entries >= LIMIT:
            return 0.0
        if looked.next_due is None:
            return self._interval
        return min(self._interval, max(0.01, looked.next_due / 1000))
