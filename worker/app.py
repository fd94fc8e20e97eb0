"""The Celery application, and what surrounds it in a worker: logging, the dispatcher, the refusals."""

import gc
import logging
import os
import socket
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import state
from structlog.typing import FilteringBoundLogger

import worker.control
import worker.result_text  # noqa: F401 - like `worker.control`, it replaces something of Celery's
from config import logs
from config.celery_options import options
from config.settings import WorkerSettings
from smsq.errors import ConfigurationError
from smsq.lanes import lane_of
from tasks import identity
from tasks.runtime import stop_calls
from worker import sentry, telemetry
from worker.announce import Announcer
from worker.dispatcher import Dispatcher
from worker.lifecycle import impatience, pulse, stopping
from worker.metrics_server import Pages
from worker.pool import TaskPool
from worker.refusals import EXIT_USAGE, honour_pool_option, refuse


def _settings() -> WorkerSettings:
    try:
        return WorkerSettings.load()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_USAGE) from None


log: FilteringBoundLogger = structlog.get_logger()
settings = _settings()
app = Celery("smsq", set_as_current=True)
app.conf.update(options(settings))
honour_pool_option()
signals.celeryd_init.connect(refuse)
signals.worker_shutting_down.connect(impatience.hear)
telemetry.connect()
if settings.sentry_dsn:
    sentry.connect(settings.sentry_dsn.get_secret_value())


@signals.setup_logging.connect
def _set_up_logging(loglevel: int | str | None = None, **_: Any) -> None:  # noqa: ANN401
    """Takes Celery's place: its lines go through our renderer, at the level that `-l` gives."""
    level = loglevel if isinstance(loglevel, int) else logging.getLevelName(str(loglevel or "WARNING").upper())
    logs.set_up(
        level=settings.log_level,
        celery_level=level if isinstance(level, int) else logging.WARNING,
        json=logs.wants_json(settings.log_format),
        secrets=[each for each in (settings.api_key.get_secret_value(), settings.address.password) if each],
        report=sentry.report if settings.sentry_dsn else None,
    )


@signals.worker_ready.connect
def _spare_the_collector(**_: Any) -> None:  # noqa: ANN401
    """Takes what was imported out of the garbage collector's rounds: searching it again cost a fifth of the CPU."""
    gc.collect()
    gc.freeze()


@signals.worker_ready.connect
def _say_ready(**_: Any) -> None:  # noqa: ANN401
    # Celery warns at each lost connection that its default for cancelling tasks will change; ours is set, with its why.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning, module="celery.worker.consumer")
    if settings.allowed:  # how many, not which: no number is in the log
        why = "SMSQ_ONLY_TO: jobs to other numbers are cancelled"
        log.warning("worker.guarded", reason=why, numbers=len(settings.allowed))
    if settings.redirect_to:
        log.warning("worker.guarded", reason="SMSQ_REDIRECT_TO: every message goes to one number")
    log.info("worker.ready", lanes=list(app.amqp.queues.consume_from))


class Life(bootsteps.StartStopStep):
    """Runs the dispatcher beside the worker, and says when the worker stops."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(parent, **kwargs)
        self._parent = parent
        self._started = int(time.time())
        identity.call_it(parent.hostname)
        self._dispatcher = Dispatcher(settings, self._state, Announcer(parent))
        self._pages = Pages(settings, self._state)
        signals.worker_shutdown.connect(self._say_goodbye)

    def _state(self) -> dict[str, Any]:
        """What the worker says of itself with each heartbeat."""
        parent = self._parent
        lanes = [lane_of(queue) for queue in app.amqp.queues.consume_from if lane_of(queue)]
        pool = getattr(parent, "pool", None)
        return {
            "version": version("smsq"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "slots": pool.slots() if isinstance(pool, TaskPool) else getattr(pool, "limit", 0) or 0,
            "in_use": pool.slots_in_use() if isinstance(pool, TaskPool) else len(state.active_requests),
            "reserved": len(state.reserved_requests),
            "begun": state.total_count.total(),  # since it started; `smsq top` makes rates of it
            "lanes": lanes,
            "rate": settings.rate_limit,
            "leaving": stopping.is_set(),
            "stalled": 0 if stopping.is_set() or not lanes else round(pulse.silence(), 1),
        }

    def info(self, parent: Any) -> dict[str, str]:  # noqa: ANN401, ARG002
        """What `inspect stats` and Flower's page of the worker show."""
        reasons = (f"{gate}: {reason}" for gate, reason in self._dispatcher.held_back.items())
        return {"held_back": "; ".join(reasons) or "nothing"}

    def start(self, parent: Any) -> None:  # noqa: ANN401, ARG002
        """Starts the dispatcher."""
        stopping.clear()
        sys.setswitchinterval(0.001)  # the main thread and the loop's: at 5 ms they starve each other
        self._pages.start()
        self._dispatcher.start()

    def close(self, parent: Any) -> None:  # noqa: ANN401, ARG002
        """The first that hears of a stop, warm or cold: nothing is taken and no call starts after it."""
        stopping.set()
        stop_calls()

    def stop(self, parent: Any) -> None:  # noqa: ANN401, ARG002
        """Dispatches no more. The pool stops after this step: who watches sees until then that calls are still out."""
        stopping.set()
        self._dispatcher.leave()

    def terminate(self, parent: Any) -> None:  # noqa: ANN401
        """The same when the stop is a cold one, of whose end Celery tells nobody."""
        self.stop(parent)
        self._say_goodbye()

    def _say_goodbye(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is out any more: who watches doesn't look for this worker, as for one that was lost."""
        self._dispatcher.stop()
        self._pages.stop()


app.steps["worker"].add(Life)
