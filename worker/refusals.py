"""What Celery offers and can't hold beside the ledger: refused at start, with the reason, never ignored."""

import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from celery.bin.worker import WorkersPool
from celery.bin.worker import worker as worker_command
from celery.concurrency import get_implementation
from celery.concurrency.base import BasePool
from click import Context, Parameter
from click.core import ParameterSource

from config.settings import WorkerSettings
from worker.cold_stop import spare_calls
from worker.connection import PatientConnection
from worker.pool import TaskPool
from worker.startup import ServerStep, refuse_server

#: A wrong setting or option stops the program with this exit code, as every user's mistake does.
EXIT_USAGE = 2

_BUDGET = "a call has its own budget (SMSQ_CALL_TIMEOUT); cutting a call that is out would leave its outcome unknown"
_AHEAD = "begin runs ahead of the calls; what was taken goes back at shutdown"
_NO_CHILDREN = "this pool has no children; use -P prefork"
_BESIDE = "beat would be a process beside this pool's thread; run `celery beat` on its own"
_GREEN = "gevent and eventlet patch what this worker's event loop stands on; the default pool holds as many calls"


class _Refused(NamedTuple):
    """An option as the command line, Celery's signal and its configuration name it, and why it is refused."""

    flag: str
    option: str
    setting: str
    why: str


_ALWAYS = (
    _Refused("--time-limit", "time_limit", "task_time_limit", _BUDGET),
    _Refused("--soft-time-limit", "soft_time_limit", "task_soft_time_limit", _BUDGET),
    _Refused("--disable-prefetch", "disable_prefetch", "worker_disable_prefetch", _AHEAD),
)
_WITH_OUR_POOL = (
    _Refused("--max-tasks-per-child", "max_tasks_per_child", "worker_max_tasks_per_child", _NO_CHILDREN),
    _Refused("--max-memory-per-child", "max_memory_per_child", "worker_max_memory_per_child", _NO_CHILDREN),
    _Refused("-B", "beat", "", _BESIDE),
)


def _pool(options: Mapping[str, Any], conf: Mapping[str, Any]) -> type[BasePool]:
    pool: type[BasePool] = get_implementation(options.get("pool") or conf["worker_pool"])
    return pool


def refused(options: Mapping[str, Any], conf: Mapping[str, Any], settings: WorkerSettings) -> list[str]:
    """Returns a line for each thing that a worker won't start with.

    Args:
        options: The worker's options, as Celery passes them on.
        conf: Celery's configuration, where some options land.
        settings: The worker's settings.
    """
    pool = _pool(options, conf)
    candidates = _ALWAYS + (_WITH_OUR_POOL if issubclass(pool, TaskPool) else ())
    lines = [f"{each.flag}: {each.why}" for each in candidates if options.get(each.option) or conf.get(each.setting)]
    green = pool.__module__.rpartition(".")[2]
    if green in ("gevent", "eventlet"):
        lines.append(f"-P {green}: {_GREEN}")
    if os.environ.get("USE_FAST_LOCALS"):
        lines.append("USE_FAST_LOCALS: Celery's request stacks must be per greenlet")
    known = [queue.name for queue in conf["task_queues"]]
    given = options.get("queues") or ()
    names = given.split(",") if isinstance(given, str) else given
    lines += [f"-Q {name}: no such queue; the lanes are {', '.join(known)}" for name in names if name not in known]
    if not settings.api_key.get_secret_value():
        lines.append("MOBIZON_API_KEY: is required")
    return lines


def refuse(**event: Any) -> None:  # noqa: ANN401 - a Celery signal's arguments
    """Stops a worker that was started with something refused, or on a server that is (for the signal `celeryd_init`).

    What a worker that does start needs of Celery's application, and nobody else, is set here too.
    """
    from worker.app import settings

    lines = refused(event["options"], event["conf"], settings)
    if lines:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        raise SystemExit(EXIT_USAGE)
    refuse_server(settings)
    spare_calls(_pool(event["options"], event["conf"]))
    app = event["instance"].app
    app.steps["worker"].add(ServerStep)
    app.amqp.Connection = PatientConnection


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
