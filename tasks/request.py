"""How Celery's worker reports a job that ended before it was called."""

from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore
from celery.signals import task_revoked
from celery.worker import state
from celery.worker.request import Request as CeleryRequest


class Ended(Ignore):
    """The ledger says that the job has expired or was cancelled; there is nothing to do.

    Args:
        how: ``expired`` or ``cancelled``.
    """

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Request(CeleryRequest):
    """Celery's request, which tells monitors and signals of such a job as of a revoked task."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: ANN401
        """Takes a failure from the pool."""
        ended = exc_info.exception
        if isinstance(ended, ExceptionWithTraceback):  # what pools without child processes wrap it in
            ended = ended.exc
        if not isinstance(ended, Ended):
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        state.task_ready(self)
        expired = ended.how == "expired"
        self.send_event("task-revoked", terminated=False, signum=None, expired=expired)
        self.acknowledge()
        self._already_revoked = True
        task_revoked.send(sender=self.task, request=self._context, terminated=False, signum=None, expired=expired)
        return None
