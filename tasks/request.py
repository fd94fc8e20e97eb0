"""How Celery's worker reports what became of a job: to monitors, to signals, and to the worker's own metrics."""

from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore
from celery.signals import task_revoked
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from tasks.tally import outcome_of, tally


class Ended(Ignore):
    """The ledger says that the job has expired or was cancelled; there is nothing to do.

    Args:
        how: ``expired`` or ``cancelled``.
    """

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Crashed(Exception):  # noqa: N818 - monitors show the name
    """A bug burst. It has the exception's name alone: the words may hold the number or the text.

    Args:
        name: The exception's class.
    """


class Request(CeleryRequest):
    """Celery's request, which tells monitors and signals of such a job as of a revoked task."""

    def __init_subclass__(cls) -> None:
        """Counts what a subclass's `on_success` takes: Celery makes one for the task, and hides an inherited one."""
        super().__init_subclass__()
        celerys = cls.__dict__.get("on_success")
        if celerys is None:
            return

        def on_success(self: Request, failed__retval__runtime: Any, **options: Any) -> Any:  # noqa: ANN401
            failed, _, seconds = failed__retval__runtime
            if not failed:
                tally.sent(seconds)
            return celerys(self, failed__retval__runtime, **options)

        cls.on_success = on_success

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: ANN401
        """Takes a failure from the pool."""
        ended = exc_info.exception
        if isinstance(ended, ExceptionWithTraceback):  # what pools without child processes wrap it in
            ended = ended.exc
        if not isinstance(ended, Ended):
            tally.ended(outcome_of(ended))
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        tally.ended(ended.how)
        state.task_ready(self)
        expired = ended.how == "expired"
        self.send_event("task-revoked", terminated=False, signum=None, expired=expired)
        self.acknowledge()
        self._already_revoked = True
        task_revoked.send(sender=self.task, request=self._context, terminated=False, signum=None, expired=expired)
        return None
