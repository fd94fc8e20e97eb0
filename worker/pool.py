"""A Celery pool that is one event loop: a thousand calls wait in one thread.

Each job runs the target that Celery gives, its own tracer, unchanged, in a greenlet on the loop's thread. When the
task's body awaits, the greenlet switches to the loop and later back, so Celery's signals, and what hangs on them, see
true durations. Celery's callbacks go back to the main thread, many at a time.
"""

import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any

import structlog
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from greenlet import GreenletExit
from structlog.typing import FilteringBoundLogger

from smsq.lanes import LANES
from tasks.loop import JobGreenlet
from tasks.runtime import Runtime, runtime
from tasks.slots import own_share
from worker.lifecycle import impatience

if TYPE_CHECKING:
    import asyncio

log: FilteringBoundLogger = structlog.get_logger()

Callback = Callable[..., Any]

#: Seconds between two times that the main thread is woken for what the loop has to tell: under load many at a time,
#: since a turn of Celery's loop costs as much as a job's share of it.
_TELL_PACE = 0.005
_SOON = 0.001


#: Allocations, less deallocations, after which the youngest objects are searched for cycles: so many, and so many more
#: a slot. Jobs in flight make thousands that live for a call: at Python's 700 each of them is searched several times,
#: and a thousand slots that begin and end in waves cost half as much again.
_YOUNG, _YOUNG_A_SLOT = 10_000, 50


def _spare_the_collector(slots: int) -> None:
    gc.set_threshold(_YOUNG + _YOUNG_A_SLOT * slots, *gc.get_threshold()[1:])


class _Job:
    """A task as Celery hands it to the pool."""

    __slots__ = ("accepted", "args", "body", "callback", "context", "kwargs", "on_accept", "target")

    body: "_Body"

    def __init__(self, target: Callback, args: Any, kwargs: Any, callback: Callback, on_accept: Callback) -> None:  # noqa: ANN401
        self.target = target
        self.args = args
        self.kwargs = kwargs
        self.callback = callback
        self.on_accept = on_accept
        self.accepted = False
        self.context = copy_context()


class _Body(JobGreenlet):
    """Runs one task's body after another: a greenlet's own stack costs as much to make as a job's way through it.

    Attributes:
        job: Whose body runs.
        through: Whether it has ended, and what was switched out is its value.
    """

    job: _Job
    through: bool

    def run(self) -> None:
        """Runs what `job` says and gives its value to the parent, again and again."""
        while True:
            self.parent.switch(self._run_job())

    def _run_job(self) -> Any:  # noqa: ANN401 - what Celery's tracer returns
        job = self.job
        try:
            return job.target(*job.args, **job.kwargs)
        except GreenletExit:
            raise
        except BaseException:  # noqa: BLE001 - Celery's tracer returns failures; what it raises is a bug or an exit
            return 1, ExceptionInfo(), 0.0
        finally:
            self.through = True
            del self.job


class TaskPool(BasePool):
    """What `worker_pool` names. `--concurrency` counts the calls that are out."""

    signal_safe = False
    body_can_be_buffer = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._incoming: deque[_Job] = deque()
        self._outgoing: deque[tuple[Callback, tuple[Any, ...]]] = deque()
        self._jobs: set[_Job] = set()
        self._bodies: list[_Body] = []  # that are through
        self._hub: Any = None
        self._woken = False
        self._telling = False
        self._told_at = 0.0
        self._stopped = False
        self._idle = threading.Event()

    def on_start(self) -> None:
        """Starts the loop's thread."""
        self._runtime: Runtime = runtime()
        self._loop = self._runtime.thread.loop
        self._runtime.resize(self.limit)
        _spare_the_collector(self.limit)

    def register_with_event_loop(self, loop: Any) -> None:  # noqa: ANN401
        """Learns which hub takes the callbacks."""
        self._hub = loop

    # -- main thread: jobs go in

    def on_apply(
        self,
        target: Callback,
        args: Any = None,  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
        callback: Callback | None = None,
        accept_callback: Callback | None = None,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Hands a job to the loop; the loop is woken once for all that come before it looks."""
        nothing: Callback = lambda *_: None  # noqa: E731
        self._incoming.append(_Job(target, args or (), kwargs or {}, callback or nothing, accept_callback or nothing))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._start_jobs)

    # -- loop's thread: jobs run

    def _start_jobs(self) -> None:
        self._woken = False
        while self._incoming:
            job = self._incoming.popleft()
            self._jobs.add(job)
            body = job.body = self._bodies.pop() if self._bodies else _Body()
            body.job, body.through, body.on_call = job, False, partial(self._accept, job)
            body.gr_context = job.context
            self._advance(job, body.switch)

    def _advance(self, job: _Job, switch: Callback, *args: Any) -> None:  # noqa: ANN401
        """Runs a job's body until it wants something awaited, or is through."""
        value = switch(*args)
        body = job.body
        if not body.through:
            awaited = self._loop.create_task(value, context=job.context)
            awaited.add_done_callback(partial(self._resume, job), context=job.context)
            return
        del job.body
        body.gr_context = body.on_call = None
        self._bodies.append(body)
        self._jobs.discard(job)
        self._accept(job)
        self._tell(job.callback, value)

    def _resume(self, job: _Job, awaited: "asyncio.Task[Any]") -> None:
        """Gives a body what it waited for; whatever was raised is the body's to handle."""
        try:
            result = awaited.result()
        except BaseException as error:  # noqa: BLE001
            self._advance(job, job.body.throw, type(error), error, error.__traceback__)  # else where it was is lost
        else:
            self._advance(job, job.body.switch, result)

    def _accept(self, job: _Job) -> None:
        if not job.accepted:
            job.accepted = True
            self._tell(job.on_accept, getpid(), time.monotonic())

    # -- back to the main thread

    def _tell(self, callback: Callback, *args: Any) -> None:  # noqa: ANN401
        self._outgoing.append((callback, args))
        if not self._telling:
            self._telling = True
            self._loop.call_at(max(self._told_at + _TELL_PACE, self._loop.time()), self._wake_hub)

    def _wake_hub(self) -> None:
        self._telling = False
        self._told_at = self._loop.time()
        if self._hub is not None:
            self._hub.call_soon(self._run_callbacks)
        self._idle.set()

    def _run_callbacks(self) -> None:
        while self._outgoing:
            callback, args = self._outgoing.popleft()
            try:
                callback(*args)
            except Exception:
                log.exception("pool.callback_failed")
        if self._hub is not None and not self._stopped:
            # Celery acknowledges by the hub, which looks at what comes from its own thread only after its next wait, of
            # a second: room for the next job would be seen as late.
            self._hub.call_later(_SOON, lambda: None)

    # -- control

    def grow(self, n: int = 1) -> None:
        """Adds slots (`pool_grow`, `--autoscale`)."""
        self._resize(self.limit + n)

    def shrink(self, n: int = 1) -> None:
        """Takes slots away; calls that are out end as ever."""
        self._resize(max(1, self.limit - n))

    def _resize(self, limit: int) -> None:
        self.limit = limit
        self._loop.call_soon_threadsafe(self._runtime.resize, limit)
        _spare_the_collector(limit)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:  # noqa: ARG002
        """Cuts no call: each would be an unknown outcome. Celery's cold shutdown asks for it, and nobody else does."""
        impatience.hear("Cold")  # its signal comes only after it has stopped the pool, from within its handler
        log.warning("pool.terminate_refused", reason="a call that is out is not cut; its outcome would be unknown")

    def on_stop(self) -> None:
        """Ends what is out, within the grace; nothing else starts. Celery's cold shutdown calls it twice.

        A second signal, or SIGQUIT, shortens the grace to a few seconds.
        """
        if self._stopped:
            return
        self._stopped = True
        self._runtime.stop()
        deadline = time.monotonic() + self._runtime.settings.shutdown_grace
        while (self._incoming or self._jobs or self._outgoing) and time.monotonic() < min(
            deadline, impatience.deadline
        ):
            self._idle.clear()
            self._run_callbacks()
            if self._jobs or self._incoming:
                self._idle.wait(0.05)
        self._run_callbacks()
        self._loop.call_soon_threadsafe(self._bodies.clear)  # they end where they ran
        if self._jobs:
            log.error("pool.grace_over", jobs=len(self._jobs))  # their leases end, and say what is known of them
        self._runtime.close()

    def on_terminate(self) -> None:
        """Ends like a warm stop: a call that is cut would be an unknown outcome."""
        self.on_stop()

    def slots(self) -> int:
        """Returns how many calls may be out at once, of all lanes together."""
        return self.limit + len(LANES) * own_share(self.limit)

    def slots_in_use(self) -> int:
        """Returns how many calls are out."""
        return self._runtime.slots.used

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return info | {"slots-in-use": self._runtime.slots.used, "jobs": len(self._jobs) + len(self._incoming)}
