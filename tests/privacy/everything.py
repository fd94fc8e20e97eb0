"""Workers that go through everything there is, at their most talkative, and all that anybody could hear meanwhile."""

import json
import logging
import os
import signal
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from celery.result import AsyncResult

from smsq import IdempotencyConflict, InvalidSms, QueueUnavailable, Sms, SmsQueue, keys
from smsq.job import RECORD_VERSION
from smsq.message import RULES_VERSION
from smsq.states import State
from tests.cli.conftest import Command
from tests.privacy.markers import API_KEY, Markers, leaks
from tests.support.commands import start_celery
from tests.support.jobs import end_of, in_state, make_due
from tests.support.monitor import Events, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

#: Their jobs wait on their lane, because the account was refused.
ACCOUNT: Final = ("code-8", "code-4", "code-5", "code-6", "code-9", "code-13", "code-14", "403", "404")
#: Layers of a worker that burst in `tests.privacy.bursts`.
LAYERS: Final = ("open", "load", "form", "client", "decide", "settle", "log")
UNCALLED: Final = ("cancelled", "too-late", "crashed", "broken", "unreadable")
#: Numbers that occur nowhere else.
_FIRST: Final = 4_381_700
_INSPECT: Final = ("active", "reserved", "scheduled", "revoked", "stats", "conf", "report", "registered", "ping")
_LOUD: Final = {
    "MOBIZON_API_KEY": API_KEY,
    "SMSQ_LOG_LEVEL": "debug",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONFAULTHANDLER": "1",
}
_QUICK: Final = {
    "SMSQ_CALL_TIMEOUT": "1",
    "SMSQ_LEASE": "10",
    "SMSQ_RETRY_WINDOW": "0",
    "SMSQ_ASK_LIMIT": "1",
    "SMSQ_CIRCUIT_AFTER": "1000",
    "SMSQ_DISPATCH_INTERVAL": "0.05",
}


#: A call may be out until its worker is killed.
_PATIENT: Final = {"SMSQ_CALL_TIMEOUT": "30", "SMSQ_LEASE": "60"}


class Run:
    """Workers that have been through everything and were stopped.

    Attributes:
        worker: The one that had most of it; it wrote its log as JSON.
        markers: What must be nowhere, by path.
        outcomes: The sandbox's recipients that were called.
        jobs: Each job's id, by its path.
        heard: What each source said, by its name; longer texts are in several pieces.
    """

    def __init__(self, server: Server, sandbox: Sandbox, folder: Path) -> None:
        self.server, self.sandbox, self.folder = server, sandbox, folder
        self.queue = SmsQueue(server.url)
        self.markers = Markers()
        self.jobs: dict[str, str] = {}
        self.heard: list[tuple[str, str | bytes]] = []
        self.flower = f"http://127.0.0.1:{free_port()}"
        self.metrics_port = free_port()
        names = [row["name"] for row in sandbox.get("/sandbox/recipients")]
        self.outcomes = [name for name in names if name not in ACCOUNT]
        for name in names:
            self.markers.make(name, sandbox.recipient(name))
        own = ("sent", *UNCALLED, *LAYERS, "guarded", "redirected", "redirect-to", "killed", "mistyped", "cli", "away")
        for number, name in enumerate(own):
            self.markers.make(name, ordinary(_FIRST + number))
        bursts = json.dumps({layer: self.markers.of[layer].text for layer in LAYERS})
        self.env = environment(server.url, sandbox.url, **_QUICK, **_LOUD, BURSTS=bursts)

    def leaks(self) -> dict[str, set[str]]:
        """Returns what was heard that nobody may hear, by source."""
        return leaks(self.markers, self.heard)

    def enqueue(self, name: str, **options: Any) -> str:  # noqa: ANN401 - as `enqueue`
        """Enqueues the job of a path and returns its id."""
        mark = self.markers.of[name]
        job = self.queue.enqueue(mark.sms, idempotency_key=mark.once, **options)
        self.heard.append(("a job's repr", repr(job)))
        self.jobs[name] = job.id
        return job.id

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Returns the worker's own lines about a job."""
        own = (line for line in self.worker.lines() if str(line["event"]).startswith("job."))
        return [line for line in own if line.get("job_id") == self.jobs[name]]

    # -- what happens

    def go_through(self) -> None:
        """Has everything happen, with everybody listening, and stops all of it."""
        app = monitor_app(self.server.url)
        app.conf.result_backend = f"smsq.celery_backend:LedgerBackend+{self.server.url}"
        with self._logged(), self._flower(), self._second_worker(app):
            self.sandbox.post("/sandbox/latency", seconds=0)
            self.worker = self._start("main", SMSQ_METRICS_PORT=str(self.metrics_port))
            self.worker.wait_ready()
            with Events(app) as events:
                with self.server.client() as client:
                    make_due(client, self.jobs["killed"])
                for name in ("sent", *self.outcomes, *LAYERS):
                    self.enqueue(name)
                self._wait_for_all()
                self._end_uncalled()
                self._wait_for_all()
                self._ask_workers(app)
                self._look_at_pages()
                self._run_commands()
                self._refuse_account()
                self._be_a_producer()
                self._read_results(app)
            self.heard.append(("Celery's events", json.dumps(events.seen, default=repr, ensure_ascii=False)))
            self.heard.append(("the processes", _command_line(self.worker.pid)))
            self._look_into_redis()
            assert self.worker.stop() == 0
        self.heard.append(("the worker's log", self.worker.text()))
        self.heard.append(("Redis's log", (self.server.folder / "log").read_bytes()))
        self.queue.close()

    def _start(self, name: str, **settings: str) -> Worker:
        options = ("-n", f"{name}@example", "-E", "-l", "debug", "-I", "tests.privacy.bursts")
        return Worker(self.folder / f"{name}.log", self.env | settings, *options)

    def _wait_for_all(self) -> None:
        for name in self.jobs:
            wait_until(lambda name=name: self._is_over(name), what=f"{name} is over")  # type: ignore[misc]

    def _is_over(self, name: str) -> bool:
        job = self.queue.lookup(self.jobs[name])
        if job is None or job.state.final or job.state is State.RETRYING:
            return True
        # A layer that burst after the call left the job to whoever comes when the lease is over.
        return name in LAYERS and bool(self.lines(name))

    @contextmanager
    def _second_worker(self, app: Any) -> Iterator[None]:  # noqa: ANN401 - Celery has no types
        """A worker of a staging site, that dies in mid-call and leaves a dump of its threads."""
        of = self.markers.of
        guard = {"SMSQ_ONLY_TO": f"{of['redirected'].number},{of['killed'].number}"}
        guard["SMSQ_REDIRECT_TO"] = of["redirect-to"].number
        staging = self._start("staging", **guard, **_PATIENT)
        try:
            staging.wait_ready()
            for name, state in (("guarded", State.CANCELLED), ("redirected", State.SENT)):
                assert end_of(self.queue, self.enqueue(name)).state is state
            self.sandbox.post("/sandbox/latency", seconds=30)
            self.enqueue("killed")
            wait_until(lambda: self.sandbox.called(of["redirect-to"].number) == 2, what="it is in mid-call")
            self._ask_workers(app)
            self._look_into_redis()
            staging.signal(signal.SIGABRT)
            assert staging.process.wait(20) == -signal.SIGABRT
            assert "Fatal Python error: Aborted" in staging.text()
            self.heard.append(("the log and dump of the worker that died", staging.text()))
            yield
        finally:
            staging.kill()
            with suppress(AttributeError):
                self.worker.kill()

    def _end_uncalled(self) -> None:
        """While the worker is frozen, adds jobs that end on their lane and records that no enqueue writes."""
        self.worker.signal(signal.SIGSTOP)
        try:
            self.enqueue("cancelled")
            assert self.queue.cancel(self.jobs["cancelled"])
            self.enqueue("too-late", expires_in=0.1)
            for name, change in (("crashed", {"from": 5}), ("broken", {"recipient": "7701", "colour": "red"})):
                mark = self.markers.of[name]
                message = {"text": mark.text, "name": mark.name, "recipient": mark.number} | change
                trusted = {"rules": RULES_VERSION} if name == "crashed" else {}
                self._write(name, json.dumps(message, ensure_ascii=False), **trusted)
            self.jobs["unreadable"] = job_id = f"{'unreadable':x<20}"
            with self.server.client() as client:  # a string where a record belongs: it is put aside
                client.set(keys.job(job_id), self.markers.of["unreadable"].text)
                client.rpush(keys.waiting("normal", ""), job_id)
                client.rpush(keys.ring("normal"), "")
            wait_until(lambda: in_state(self.queue, self.jobs["too-late"], State.EXPIRED), what="its time is over")
            self._look_into_redis()
        finally:
            self.worker.signal(signal.SIGCONT)

    def _write(self, name: str, message: str, **fields: int) -> None:
        """Writes a record as a foreign hand would, and puts its id on the lane."""
        self.jobs[name] = job_id = f"{name:x<20}"
        record = {"v": RECORD_VERSION, "state": "queued", "lane": "normal", "at": int(time.time() * 1000), **fields}
        record["m0"] = message
        with self.server.client() as client:
            record["epoch"] = str(client.hget(keys.EPOCH, "number"))
            client.hset(keys.job(job_id), items=[part for field in record.items() for part in field])
            client.rpush(keys.waiting("normal", ""), job_id)
            client.rpush(keys.ring("normal"), "")

    def _refuse_account(self) -> None:
        """Has as many refusals as one worker can hear: the first closes its gate, and the others are out by then."""
        self.sandbox.post("/sandbox/latency", seconds=0.3)
        jobs = list(self.queue.enqueue_many(self.markers.of[name].sms for name in ACCOUNT))
        self.jobs |= {name: job.id for name, job in zip(ACCOUNT, jobs, strict=True)}
        wait_until(self.refusals, what="the account was refused")

    def refusals(self) -> list[dict[str, Any]]:
        """Returns the worker's lines about jobs that went back because the account was refused."""
        return [line for name in ACCOUNT for line in self.lines(name) if line["event"] == "job.queued"]

    # -- who listens

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Listens to what the producer's own process logs, libraries too."""
        log = self.folder / "producer.log"
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
            self.heard.append(("the producer's log", log.read_bytes()))

    @contextmanager
    def _flower(self) -> Iterator[None]:
        port = self.flower.rpartition(":")[2]
        env = self.env | {"FLOWER_UNAUTHENTICATED_API": "true"}
        process = start_celery(env, "flower", "--address=127.0.0.1", f"--port={port}", "--logging=debug")
        try:
            yield
        finally:
            process.terminate()
            self.heard.append(("Flower's log", "".join(process.communicate(timeout=30))))

    def _ask_workers(self, app: Any) -> None:  # noqa: ANN401
        for name in _INSPECT:
            answer = app.control.broadcast(name, reply=True, timeout=5.0, limit=1)
            assert answer, f"nobody answers {name}"
            self.heard.append((f"inspect {name}", json.dumps(answer, default=repr, ensure_ascii=False)))

    def _look_at_pages(self) -> None:
        for page in ("metrics", "healthz", "readyz"):
            self.heard.append((f"/{page}", _page(f"http://127.0.0.1:{self.metrics_port}/{page}")))
        listed = wait_until(lambda: _page(f"{self.flower}/api/tasks?limit=1000"), what="Flower lists tasks")
        assert self.jobs["sent"] in listed
        self.heard.append(("Flower's tasks", listed))
        pages = ["tasks", "broker", "metrics", "workers", "worker/main@example", "api/workers?refresh=1"]
        pages += [f"task/{self.jobs[name]}" for name in ("sent", "no-route", "code-2", "text-quoted", *LAYERS)]
        self.heard += [(f"Flower's {page}", _page(f"{self.flower}/{page}")) for page in pages]

    def _run_commands(self) -> None:
        """Runs each command of `smsq`, with `--json` and without, rightly and wrongly."""
        typed, wrong = self.markers.of["cli"], self.markers.of["mistyped"]
        job = self.jobs
        commands: list[list[str]] = [
            ["send", typed.number, typed.text, "--key", typed.once, "--name", typed.name, "--wait"],
            ["send", f"+{typed.number}", typed.text, "--dry-run"],
            ["send", wrong.number, typed.text, "--key", typed.once],  # the key has another message
            ["send", f"{wrong.number}x", wrong.text],
            ["send", wrong.text, wrong.number],
            ["send", wrong.number, wrong.text, "--lane", wrong.text],
            ["send", wrong.number, wrong.text, "--from", wrong.text, "--deferred-to-ts", wrong.text],
            ["send", wrong.number, wrong.text, wrong.text],
            ["status", wrong.number],
            ["cancel", job["sent"]],
            ["queues"],
            ["failed"],
            ["unknown"],
            ["parked"],
            ["top", "--once"],
            ["doctor"],
            ["probe"],
            *(["why", job[name]] for name in ("sent", "text-quoted", "hang", "crashed", "unreadable", "client")),
            *(["status", job[name]] for name in ("sent", "text-quoted", "no-route", "cancelled", "redirected")),
        ]
        commands.append(["forget", self.markers.of["no-route"].number])
        with ThreadPoolExecutor() as both:
            for ended in both.map(self._run_each, ("plain", "json"), (commands, [[*c, "--json"] for c in commands])):
                self.heard += ended

    def _run_each(self, folder: str, commands: list[list[str]]) -> list[tuple[str, str]]:
        where = self.folder / folder
        where.mkdir()
        smsq = Command(self.server.url, where)
        smsq.env |= self.env | {"PYTHONPATH": smsq.env["PYTHONPATH"]}
        ended = zip(commands, smsq.each(commands), strict=True)
        return [(f"smsq {words[0]}, {folder}", each.out + each.err) for words, each in ended]

    def _be_a_producer(self) -> None:
        """What a web application's log, or its error page, may show: objects and exceptions."""
        mark, other = self.markers.of["away"], self.markers.of["sent"]
        away = SmsQueue(f"redis://127.0.0.1:{free_port()}/0")
        acts: list[tuple[type[Exception], Callable[[], object]]] = [
            (InvalidSms, lambda: Sms(recipient=f"{mark.number}000000", text=mark.text, mclass=7)),
            (InvalidSms, lambda: Sms.model_validate({"recipient": mark.number, "text": 5, "name": [mark.text]})),
            (IdempotencyConflict, lambda: self.queue.enqueue(mark.sms, idempotency_key=other.once)),
            (QueueUnavailable, lambda: away.enqueue(mark.sms, idempotency_key=mark.once)),
        ]
        for expected, act in acts:
            try:
                act()
            except expected as error:
                self.heard.append((f"{expected.__name__}", "".join(traceback.format_exception(error)) + repr(error)))
            else:
                raise AssertionError(f"no {expected.__name__}")
        away.close()
        sms = Sms(recipient=mark.number, text=mark.text)  # a campaign's name is shown
        self.heard.append(("a message's repr", repr(sms) + str(sms)))

    def _read_results(self, app: Any) -> None:  # noqa: ANN401
        for name, job_id in self.jobs.items():
            found: AsyncResult[Any] = AsyncResult(job_id, app=app)
            self.heard.append((f"the result of {name}", f"{found.state} {found.result!r} {found.traceback}"))

    def _look_into_redis(self) -> None:
        """Reads every key but the jobs' records: what is left is the broker's, and lists of ids."""
        self.heard.append(("Redis, beside the records", self.server.contents(but="smsq:job:")))


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


def _command_line(pid: int) -> str:
    """Returns a process's arguments and its threads' names, as `ps` shows them."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return ""
    names = [(tasks / each / "comm").read_text() for each in os.listdir(tasks)]  # noqa: PTH208 - names only
    return Path(f"/proc/{pid}/cmdline").read_text() + "".join(names)
