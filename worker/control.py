"""Remote control commands that can't be Celery's own beside the ledger: they answer with the reason."""

from typing import Any

from celery.worker import control, state
from celery.worker.control import control_command, nok

from smsq.lanes import TASK_NAME

_BUCKET = "Celery's bucket would outlive the reservation; SMSQ_RATE_LIMIT is one rate for all workers"
_LIMIT = "a call has its own budget (SMSQ_CALL_TIMEOUT)"
_OUT = "a call that is out is not cut: its outcome would be unknown; revoke without terminate cancels what can be"


@control_command(args=[("task_name", str), ("rate_limit", str)], signature="<task_name> <rate_limit>")
def rate_limit(panel: Any, task_name: str, rate_limit: str, **options: Any) -> Any:  # noqa: ANN401
    """Refused for our task: `SMSQ_RATE_LIMIT` is the rate of all workers."""
    if task_name == TASK_NAME:
        return nok(f"refused: {_BUCKET}")
    return _rate_limit(panel, task_name, rate_limit, **options)


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)], signature="<task_name> <soft_secs> [hard_secs]"
)
def time_limit(panel: Any, task_name: str | None = None, **options: Any) -> Any:  # noqa: ANN401
    """Refused for our task: a call has its own budget."""
    if task_name == TASK_NAME:
        return nok(f"refused: {_LIMIT}")
    return _time_limit(panel, task_name=task_name, **options)


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(panel: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:  # noqa: ANN401
    """Cancels jobs in the ledger, where the gateway was certainly not called; never cuts a call that is out."""
    ids = {task_id} if isinstance(task_id, str) else set(task_id or ())
    active = {request.id for request in state.active_requests}
    out = ids & active
    if terminate and out:
        return nok(f"refused: {_OUT}")
    return _revoke(panel, sorted(ids), terminate=False, signal=signal, **options)


@control_command(args=[("signal", str)], variadic="task_id", signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(panel: Any, signal: Any, task_id: Any, **options: Any) -> Any:  # noqa: ANN401
    """The same as revoking with `terminate`."""
    return revoke(panel, task_id, terminate=True, signal=signal, **options)


_rate_limit, _time_limit, _revoke = control.rate_limit, control.time_limit, control.revoke
