"""What watches and steers workers from outside, as Flower does: remote control and events, with stock Celery."""

import contextlib
import socket
import threading
from collections import defaultdict
from typing import Any, Self

from celery import Celery

from tests.support.waiting import wait_until


def monitor_app(redis_url: str, *, control_exchange: str = "smsq", event_exchange: str = "smsqev") -> Celery:
    """Makes a Celery application that speaks to our workers and has nothing else of them.

    Args:
        redis_url: The broker.
        control_exchange: Where commands go; ours by default.
        event_exchange: Where events come from.
    """
    app = Celery("monitor", broker=redis_url, set_as_current=False)
    app.conf.update(control_exchange=control_exchange, event_exchange=event_exchange)
    return app


def command(app: Celery, name: str, **arguments: Any) -> Any:  # noqa: ANN401 - a worker's answer
    """Sends a remote control command and returns the answer of the worker that answers first."""
    answers = wait_until(lambda: app.control.broadcast(name, arguments, reply=True, timeout=2.0, limit=1), what=name)
    ((_, answer),) = answers[0].items()
    return answer


class Events(threading.Thread):
    """Receives workers' events while it is entered.

    Args:
        app: The monitor's application.
    """

    def __init__(self, app: Celery) -> None:
        super().__init__(name="events", daemon=True)
        self._app = app
        self._over = threading.Event()
        self.seen: list[dict[str, Any]] = []

    def run(self) -> None:
        """Receives until it is left."""
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self.seen.append})
            with receiver.consumer_context() as (own, _, _):
                while not self._over.is_set():
                    with contextlib.suppress(socket.timeout):
                        own.drain_events(timeout=0.1)

    def __enter__(self) -> Self:
        """Starts, and waits until a worker was heard."""
        self.start()

        def heard() -> list[dict[str, Any]]:
            self._app.control.heartbeat()
            return self.seen

        wait_until(heard, what="a worker's events arrive")
        return self

    def __exit__(self, *_: object) -> None:
        """Stops."""
        self._over.set()
        self.join()

    def of(self, job_id: str) -> list[dict[str, Any]]:
        """Returns the events of a task, in the order of their arrival."""
        return [event for event in self.seen if event.get("uuid") == job_id]

    def story(self, job_id: str) -> list[str]:
        """Returns the kinds of a task's events, such as `task-received`."""
        return [event["type"] for event in self.of(job_id)]

    def uuids(self) -> dict[str, set[str]]:
        """Returns the ids of tasks by the kind of event."""
        found: dict[str, set[str]] = defaultdict(set)
        for event in self.seen:
            if "uuid" in event:
                found[event["type"]].add(event["uuid"])
        return found
