"""What can be done to a lane as a queue of the broker: handed back to, purged, deleted; published to it can't be."""

from typing import Any

import structlog
from click import ClickException
from kombu.transport import redis
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.lanes import lane_of
from tasks import identity

log: FilteringBoundLogger = structlog.get_logger()

#: Seconds that a ledger's call may hold the worker's main thread.
TIMEOUT = 2.0


class PublishError(ClickException, ValueError):
    """A task was published to a lane. `celery call` says so in a line, and ends with 2, as with any mistake."""

    exit_code = 2


class LaneQueues(redis.Channel):
    """A channel whose lanes are the ledger's; it consumes none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._settings = WorkerSettings.load()
        self._runner = SyncRunner(self._settings.address, self._settings.durability, identity.known)

    def hand_back(self, job_ids: list[str]) -> None:
        """Returns taken ids to their lanes, where their jobs weren't begun; the dispatcher does it if this can't."""
        try:
            self._runner.run(ledger.untake(job_ids), TIMEOUT)
        except QueueUnavailable as error:
            log.warning("hand_back.unavailable", reason=str(error), count=len(job_ids))

    def _purge(self, queue: str) -> int:
        """Cancels the jobs that wait on a lane; nothing is orphaned."""
        lane = lane_of(queue)
        if not lane:
            return int(super()._purge(queue))
        cancelled = 0
        while True:
            purged = self._runner.run(ledger.purge(lane, 500, retention=self._settings.retention_ms), TIMEOUT)
            cancelled += purged.cancelled
            if not purged.removed:
                return cancelled

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Deleting a lane's queue cancels its jobs, as purging it does."""
        if lane_of(queue):
            self._purge(queue)
        else:
            super()._delete(queue, *args, **kwargs)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if lane_of(queue):
            raise PublishError(f"{queue} is filled by SmsQueue.enqueue or `smsq send`, not by publishing Celery tasks")
        super()._put(queue, message, **kwargs)

    def close(self) -> None:
        """Closes the channel."""
        super().close()
        self._runner.close()
