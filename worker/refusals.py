"""What Celery offers and can't hold beside the ledger: refused at start, with the reason, never ignored."""

import os
import sys
from typing import Any

from celery.bin.worker import WorkersPool
from celery.bin.worker import worker as worker_command
from celery.concurrency import get_implementation
from celery.concurrency.base import BasePool
from click import Context, Parameter
from click.core import ParameterSource

from config.settings import WorkerSettings
from worker.pool import TaskPool

#: A wrong setting or option stops the program with this exit code, as every user's mistake does.
EXIT_USAGE = 2

_BUDGET = "a call has its own budget (SMSQ_CALL_TIMEOUT); cutting a call that is out would leave its outcome unknown"
_OPTIONS = {
    "time_limit": ("--time-limit", _BUDGET),
    "soft_time_limit": ("--soft-time-limit", _BUDGET),
    "disable_prefetch": ("--disable-prefetch", "begin runs ahead of the calls; what was taken goes back at shutdown"),
}
_OPTIONS_OF_OUR_POOL = {
    "max_tasks_per_child": ("--max-tasks-per-child", "this pool has no children; use -P prefork"),
    "max_memory_per_child": ("--max-memory-per-child", "this pool has no children; use -P prefork"),
    "beat": ("-B", "beat would be a process beside this pool's thread; run `celery beat` on its own"),
}
_GREEN = "gevent and eventlet patch what this worker's event loop stands on; the default pool holds as many calls"


def refused(options: dict[str, Any], pool: Any, settings: WorkerSettings) -> list[str]:  # noqa: ANN401
    """Returns a line for each thing that a worker won't start with.

    Args:
        options: The worker's options, as Celery passes them on.
        pool: The pool's class, or its name.
        settings: The worker's settings.
    """
    lines = [f"{name}: {why}" for option, (name, why) in _OPTIONS.items() if options.get(option)]
    if isinstance(pool, type) and issubclass(pool, TaskPool):
        lines += [f"{name}: {why}" for option, (name, why) in _OPTIONS_OF_OUR_POOL.items() if options.get(option)]
    module = pool.__module__ if isinstance(pool, type) else str(pool)
    if module.endswith(("gevent", "eventlet")):
        lines.append(f"-P {module.rpartition('.')[2]}: {_GREEN}")
    if os.environ.get("USE_FAST_LOCALS"):
        lines.append("USE_FAST_LOCALS: Celery's request stacks must be per greenlet")
    if not settings.api_key.get_secret_value():
        lines.append("MOBIZON_API_KEY: is required")
    return lines


def refuse(**event: Any) -> None:  # noqa: ANN401 - a Celery signal's arguments
    """Stops a worker that was started with something refused (for the signal `celeryd_init`)."""
    from worker.app import settings

    options = event["options"]
    lines = refused(options, options.get("pool_cls"), settings)
    if lines:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        raise SystemExit(EXIT_USAGE)


class _Pools(WorkersPool):
    """Celery's `-P`, which takes its default "prefork" for "not given", and so an explicit `-P prefork` too."""

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> type[BasePool]:  # noqa: ANN401
        given = ctx and param and param.name and ctx.get_parameter_source(param.name)
        if value == "prefork" and given not in (None, ParameterSource.DEFAULT):
            pool: type[BasePool] = get_implementation("prefork")
            return pool
        chosen: type[BasePool] = super().convert(value, param, ctx)
        return chosen


def honour_pool_option() -> None:
    """Makes an explicit `-P prefork` mean prefork, although the configuration names another pool."""
    for option in worker_command.params:
        if option.name == "pool":
            option.type = _Pools()
