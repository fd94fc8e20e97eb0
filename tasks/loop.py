"""The event loop of a process, in a thread of its own, and the way from Celery's task bodies into it.

Under our own pool (`worker.pool`) a task's body runs in a greenlet on the loop's thread: `run` switches to the loop and
back, so a thousand jobs wait in one thread. Under Celery's threads and prefork pools the body runs in a thread of its
own: there `run` blocks it until the loop has the result. The coroutine is the same.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop
from greenlet import getcurrent, greenlet

T = TypeVar("T")


class JobGreenlet(greenlet):
    """A task's body on the loop's thread. Its parent, who drives it, runs the coroutine that it switches out.

    Attributes:
        on_call: Told when the job's first call may go out.
    """

    on_call: Callable[[], None] | None = None


def on_call() -> Callable[[], None] | None:
    """Returns whom to tell, of those who run the current task, when its first call may go out."""
    current = getcurrent()
    return current.on_call if isinstance(current, JobGreenlet) else None


class LoopThread:
    """An event loop in a daemon thread. Made where it is used first, so that a forked child makes its own."""

    def __init__(self) -> None:
        """Starts the thread and waits until the loop runs."""
        self.pid = os.getpid()
        self.loop = uvloop.new_event_loop()
        ready = threading.Event()
        self.loop.call_soon(ready.set)
        self._thread = threading.Thread(target=self._run, name="smsq-loop", daemon=True)
        self._thread.start()
        ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the loop and returns its result, from a job's greenlet or from any other thread."""
        current = getcurrent()
        if isinstance(current, JobGreenlet):
            result: T = current.parent.switch(coroutine)
            return result
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self) -> None:
        """Stops the loop and waits for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
