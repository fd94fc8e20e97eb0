"""Celery's result backend that reads the ledger: one truth, no result stored beside it.

Any Celery application can name it: ``result_backend = "smsq.celery_backend:LedgerBackend+redis://…"``; without an
address it takes `SMSQ_REDIS_URL`. ``AsyncResult(job.id)`` then reads the job's record:

========================= ======== ==================================================================================
job                       Celery   result
========================= ======== ==================================================================================
scheduled, queued         PENDING  None
sending                   STARTED  None
retrying                  RETRY    `SmsNotSent` of the last try
sent                      SUCCESS  ``{"campaignId": int, "messageId": int, "status": 1 | 2}``
failed                    FAILURE  `SmsNotSent`
unknown                   FAILURE  `SmsUnknown`
expired, cancelled        REVOKED  `celery.exceptions.TaskRevokedError`
========================= ======== ==================================================================================

What Celery wants to write is dropped, but for one thing: revoking a job cancels it, if it can be.
"""

import time
from collections.abc import Callable
from typing import Any

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TaskRevokedError, TimeoutError  # noqa: A004 - what Celery's callers catch

from smsq.errors import QueueUnavailable, SmsNotSent, SmsUnknown
from smsq.job import Job
from smsq.queue import SmsQueue
from smsq.states import State

_CELERY_STATES = {
    State.SCHEDULED: states.PENDING,
    State.QUEUED: states.PENDING,
    State.SENDING: states.STARTED,
    State.RETRYING: states.RETRY,
    State.SENT: states.SUCCESS,
    State.FAILED: states.FAILURE,
    State.UNKNOWN: states.FAILURE,
    State.EXPIRED: states.REVOKED,
    State.CANCELLED: states.REVOKED,
}
#: Seconds of one wait when the caller set no time of his own.
_WAIT = 60.0


class LedgerBackend(BaseBackend):
    """Reads results from the job ledger."""

    persistent = True
    supports_autoexpire = True

    def __init__(self, app: Any = None, url: str | None = None, **options: Any) -> None:  # noqa: ANN401
        """Made by Celery; connects when it is used."""
        super().__init__(app=app, url=url, **options)
        self._queue = SmsQueue(url) if url and "://" in url else SmsQueue.from_env()

    def as_uri(self, include_password: bool = False) -> str:  # noqa: ARG002 - Celery's signature
        """Names the backend, never with its password."""
        return f"{type(self).__module__}:{type(self).__name__}+{self._queue.settings.address}"

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        return _meta(task_id, self._queue.lookup(task_id))

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,  # noqa: ARG002 - nothing is polled
        no_ack: bool = True,  # noqa: ARG002 - Celery's signature
        on_interval: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Waits for a job's end; woken at once.

        Raises:
            celery.exceptions.TimeoutError: It didn't end in time.
        """
        self._ensure_not_eager()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _WAIT if deadline is None else max(0.0, deadline - time.monotonic())
            job = self._wait(task_id, min(left, _WAIT))
            if job is not None and job.state.final:
                return _meta(task_id, job)
            if on_interval:
                on_interval()
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError("The operation timed out.")

    def _wait(self, task_id: str, seconds: float) -> Job | None:
        try:
            job = self._queue.wait(task_id, seconds)
        except QueueUnavailable:
            job = None  # it comes back, or the caller's time is up
        if job is None:
            time.sleep(min(seconds, 0.5))  # an id that isn't known yet may be, as with any backend
        return job

    def get_many(self, task_ids: Any, timeout: float | None = None, **_: Any) -> Any:  # noqa: ANN401
        """Yields ``(id, meta)`` as each job ends."""
        for task_id in task_ids:
            yield task_id, self.wait_for(task_id, timeout=timeout)

    def store_result(self, task_id: str, result: Any, state: str, **_: Any) -> Any:  # noqa: ANN401, ARG002
        """Writes nothing: `settle` has written the outcome before Celery hears of it."""
        return result

    def mark_as_revoked(self, task_id: str, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Cancels the job, if the gateway was certainly not called."""
        self._queue.cancel(task_id)

    def forget(self, task_id: str) -> None:
        """Forgets nothing: a job's record has its own retention."""

    def __reduce__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Survives pickling, as Celery's backends do."""
        return super().__reduce__(args, {**(kwargs or {}), "url": self.url})


def _meta(task_id: str, job: Job | None) -> dict[str, Any]:
    state = _CELERY_STATES[job.state] if job else states.PENDING
    return {
        "task_id": task_id,
        "status": state,
        "result": _result(job) if job else None,
        "traceback": None,
        "children": [],
        "date_done": job.done_at.isoformat() if job and job.done_at else None,
    }


def _result(job: Job) -> Any:  # noqa: ANN401 - Celery's results are anything
    error = job.error
    match job.state:
        case State.SENT:
            return {"campaignId": job.campaign_id, "messageId": job.message_id, "status": job.campaign_status}
        case State.FAILED | State.RETRYING | State.UNKNOWN:
            kind = SmsUnknown if job.state is State.UNKNOWN else SmsNotSent
            return kind(error.reason, error.code, error.fields) if error else kind("no reason was stored")
        case State.EXPIRED | State.CANCELLED:
            return TaskRevokedError(str(job.state))
    return None
