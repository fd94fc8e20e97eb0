"""Flower keeps as many tasks as `docker-compose.yml` says, however many a worker has done: its memory stays flat."""

import base64
import contextlib
import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from celery import Celery
from celery.events import EventDispatcher
from prometheus_client.parser import text_string_to_metric_families

from smsq import Sms, SmsQueue, State
from tests.support.commands import ROOT
from tests.support.jobs import end_of
from tests.support.monitor import Events, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

JOBS: Final = 200_000
#: Jobs whose events are out before Flower must have read them: few enough for Redis to keep them for it.
STEP: Final = 1_000
#: In bounds: Celery's index of tasks by time is trimmed at four times the bound, so that memory may grow until then.
SETTLED: Final = 5
#: What memory may grow by after that.
FLAT: Final = 1.1
LOGIN: Final = "smsq:correct-horse"
_END: Final = "task-succeeded"
#: What the dispatcher fills in itself.
_ITS_OWN: Final = frozenset({"type", "hostname", "clock", "pid", "timestamp", "utcoffset", "local_received"})

Event = dict[str, Any]


class Flower:
    """Flower as a process, started by compose's own command line but for its address.

    Args:
        env: Its environment.
        log: The file that its output goes to.

    Attributes:
        most: How many tasks it may keep.
    """

    def __init__(self, env: dict[str, str], log: Path) -> None:
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
        line = " ".join(compose["services"]["flower"]["command"])
        [most] = re.findall(r"--max_tasks=(\d+)", line)
        self.most, port = int(most), free_port()
        line = re.sub(r"--port=\d+", f"--port={port}", re.sub(r"--address=\S+", "--address=127.0.0.1", line))
        self._url = f"http://127.0.0.1:{port}"
        with log.open("wb") as out:
            command = [sys.executable, "-m", *line.split()]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env | {"FLOWER_BASIC_AUTH": LOGIN}, stdout=out, stderr=out
            )

    def get(self, path: str) -> str:
        """Returns a page; '' if it doesn't answer."""
        assert self.process.poll() is None, "flower ended"
        login = {"Authorization": f"Basic {base64.b64encode(LOGIN.encode()).decode()}"}
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(urllib.request.Request(self._url + path, headers=login), timeout=60) as answer,  # noqa: S310
        ):
            return str(answer.read().decode())
        return ""

    def heard(self, kind: str = _END) -> int:
        """Returns how many events of a kind it has read."""
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = (sample for family in families for sample in family.samples if sample.name == "flower_events_total")
        return int(sum(sample.value for sample in samples if sample.labels["type"] == kind))

    def read(self, number: int) -> None:
        """Waits until it has read the end of so many jobs."""
        wait_until(lambda: self.heard() >= number, timeout=300, what=f"Flower has read {number}")

    def memory(self) -> int:
        """Returns its resident memory, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        [kibibytes] = re.findall(r"VmRSS:\s+(\d+) kB", status)
        return int(kibibytes) * 1024


@pytest.fixture
def flower(server: Server, sandbox: Sandbox, tmp_path: Path) -> Iterator[Flower]:
    """A running Flower."""
    made = Flower(environment(server.url, sandbox.url), tmp_path / "flower.log")
    try:
        wait_until(lambda: made.get("/healthcheck"), timeout=60, what="Flower answers")
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def events_of_a_job(app: Celery, queue: SmsQueue) -> list[Event]:
    """Sends a message by a worker and returns the events that the worker tells of it, in their order."""
    with Events(app) as heard:
        job = queue.enqueue(Sms(recipient=ordinary(1), text="Hello")).id
        assert end_of(queue, job).state is State.SENT
        wait_until(lambda: _END in heard.story(job), what="the worker tells of the job")
        return heard.of(job)


def tell(dispatcher: EventDispatcher, events: list[Event]) -> None:
    """Sends a job's events again, as those of another job."""
    job = uuid.uuid4().hex[:20]
    for event in events:
        fields = {name: value for name, value in event.items() if name not in _ITS_OWN}
        dispatcher.send(event["type"], **fields | {"uuid": job})


def test_memory_is_flat_once_the_bound_is_reached(
    flower: Flower, worker: Callable[..., Worker], queue: SmsQueue, server: Server, record_property: Callable[..., None]
) -> None:
    """After 200,000 jobs Flower holds as many tasks as compose says, and hardly more memory than after a fraction."""
    running = worker("-E")
    app = monitor_app(server.url)
    events = events_of_a_job(app, queue)
    assert [event["type"] for event in events] == ["task-received", "task-started", _END]
    running.stop()
    before = flower.heard()
    memory: dict[int, int] = {0: flower.memory()}
    with app.connection() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname=events[0]["hostname"], buffer_while_offline=False)
        for told in range(STEP, JOBS + 1, STEP):
            for _ in range(STEP):
                tell(dispatcher, events)
            flower.read(before + told)
            if told % (SETTLED * flower.most) == 0 or told == flower.most:
                memory[told] = flower.memory()
    assert flower.heard() == before + JOBS, "it has read each"
    record_property("memory", memory)
    print({jobs: f"{size / 2**20:.0f} MiB" for jobs, size in memory.items()})
    assert len(json.loads(flower.get("/api/tasks"))) <= flower.most
    [first, *later] = [size for jobs, size in memory.items() if jobs >= SETTLED * flower.most]
    assert later
    assert max(later) < FLAT * first, memory
