"""Writes down what Celery's signals say, inside a real worker: `-I tests.support.witness`; `WITNESS` names the file.

It hangs on the signals as tracing libraries do: what is set before a task is taken back after it, in the same context.
"""

import json
import os
import time
from contextvars import ContextVar, Token
from typing import Any

import structlog
from celery import current_task, signals

_task: ContextVar[str] = ContextVar("task", default="")
_tokens: dict[str, Token[str]] = {}


def _write(kind: str, task_id: str, **more: Any) -> None:  # noqa: ANN401 - JSON
    line = {
        "signal": kind,
        "id": task_id,
        "monotonic": time.monotonic(),
        "current": current_task.request.id if current_task else None,
        "context": _task.get(),
        **more,
    }
    # One write of an appended line: children of a prefork pool write into the same file.
    with open(os.environ["WITNESS"], "ab", buffering=0) as file:  # noqa: PTH123 - unbuffered
        file.write(json.dumps(line).encode() + b"\n")


def _received(request: Any = None, **_: Any) -> None:  # noqa: ANN401 - a signal's arguments
    _write("received", request.id)


def _prerun(task_id: str = "", **_: Any) -> None:  # noqa: ANN401
    _tokens[task_id] = _task.set(task_id)
    structlog.contextvars.bind_contextvars(traced=task_id)
    _write("prerun", task_id)


def _postrun(task_id: str = "", state: str = "", **_: Any) -> None:  # noqa: ANN401
    _write("postrun", task_id, state=state)
    _task.reset(_tokens.pop(task_id))  # raises in any other context than that of the prerun
    _write("reset", task_id)


def _success(sender: Any = None, result: Any = None, **_: Any) -> None:  # noqa: ANN401
    _write("success", sender.request.id, result=result)


def _failure(task_id: str = "", exception: Any = None, **_: Any) -> None:  # noqa: ANN401
    _write("failure", task_id, exception=type(exception).__name__, said=str(exception))


def _retry(request: Any = None, reason: Any = None, **_: Any) -> None:  # noqa: ANN401
    _write("retry", request.id, said=str(reason))


def _revoked(request: Any = None, expired: bool = False, **_: Any) -> None:  # noqa: ANN401
    _write("revoked", request.id, expired=expired)


def _internal_error(task_id: str = "", **_: Any) -> None:  # noqa: ANN401
    _write("internal error", task_id)


signals.task_received.connect(_received)
signals.task_prerun.connect(_prerun)
signals.task_postrun.connect(_postrun)
signals.task_success.connect(_success)
signals.task_failure.connect(_failure)
signals.task_retry.connect(_retry)
signals.task_revoked.connect(_revoked)
signals.task_internal_error.connect(_internal_error)
