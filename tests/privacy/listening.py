"""Who listens to a run: logs, pages, answers, results, events, and what Redis has."""

import json
import logging
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from celery.result import AsyncResult

from tests.privacy.markers import LAYERS
from tests.support.commands import start_celery
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.privacy.everything import Run

_INSPECT: Final = ("active", "reserved", "scheduled", "revoked", "stats", "conf", "report", "registered", "ping")


@contextmanager
def logged(run: "Run") -> Iterator[None]:
    """Listens to what the producer's own process logs, libraries too."""
    log = run.folder / "producer.log"
    handler = logging.FileHandler(log)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
        run.heard.append(("the producer's log", log.read_bytes()))


@contextmanager
def flower(run: "Run") -> Iterator[None]:
    """Has Flower listen."""
    port = run.flower.rpartition(":")[2]
    env = run.env | {"FLOWER_UNAUTHENTICATED_API": "true"}
    process = start_celery(env, "flower", "--address=127.0.0.1", f"--port={port}", "--logging=debug")
    try:
        yield
    finally:
        process.terminate()
        run.heard.append(("Flower's log", "".join(process.communicate(timeout=30))))


def ask_workers(run: "Run", app: Any) -> None:  # noqa: ANN401
    """Asks a worker all that can be asked by remote control."""
    for name in _INSPECT:
        answer = app.control.broadcast(name, reply=True, timeout=5.0, limit=1)
        assert answer, f"nobody answers {name}"
        run.heard.append((f"inspect {name}", json.dumps(answer, default=repr, ensure_ascii=False)))


def look_at_pages(run: "Run") -> None:
    """Reads each page of the worker's and of Flower's."""
    for page in ("metrics", "healthz", "readyz"):
        run.heard.append((f"/{page}", _page(f"http://127.0.0.1:{run.metrics_port}/{page}")))
    listed = wait_until(lambda: _page(f"{run.flower}/api/tasks?limit=1000"), what="Flower lists tasks")
    assert run.jobs["sent"] in listed
    run.heard.append(("Flower's tasks", listed))
    pages = ["tasks", "broker", "metrics", "workers", "worker/main@example", "api/workers?refresh=1"]
    pages += [f"task/{run.jobs[name]}" for name in ("sent", "no-route", "code-2", "text-quoted", *LAYERS)]
    run.heard += [(f"Flower's {page}", _page(f"{run.flower}/{page}")) for page in pages]


def read_results(run: "Run", app: Any) -> None:  # noqa: ANN401
    """Reads each job's result, as Celery applications do."""
    for name, job_id in run.jobs.items():
        found: AsyncResult[Any] = AsyncResult(job_id, app=app)
        run.heard.append((f"the result of {name}", f"{found.state} {found.result!r} {found.traceback}"))


def look_into_redis(run: "Run") -> None:
    """Reads every key: without the jobs' records, what is left is the broker's, and lists of ids."""
    run.stored.append(run.server.contents())
    run.heard.append(("Redis, beside the records", run.server.contents(but="smsq:job:")))


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


def command_line(pid: int) -> str:
    """Returns a process's arguments and its threads' names, as `ps` shows them."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return ""
    names = [(tasks / each / "comm").read_text() for each in os.listdir(tasks)]  # noqa: PTH208 - names only
    return Path(f"/proc/{pid}/cmdline").read_text() + "".join(names)
