"""Workers that go through everything there is, at their most talkative, and all that anybody could hear meanwhile."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from smsq import Settings, SmsQueue, keys
from smsq.job import RECORD_VERSION
from smsq.message import RULES_VERSION
from smsq.states import State
from tests.privacy import listening, producing
from tests.privacy.markers import ACCOUNT, API_KEY, ENCRYPTION_KEY, LAYERS, TRACED, UNCALLED, WEB, Markers, leaks
from tests.support.jobs import end_of, in_state, make_due
from tests.support.monitor import Events, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment
from tests.watching.collector import Collector
from tests.watching.sentry import Sentry

#: Numbers that occur nowhere else.
_FIRST: Final = 4_381_700
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
        stored: All that Redis had, at several moments; jobs waited, were asked about, or had ended.
        sentry: Where failures were reported to, if they were.
        collector: Where spans were sent to, if they were.

    Args:
        server: Redis.
        sandbox: The gateway.
        folder: Where logs go.
        everything_on: Whether messages are encrypted, deliveries followed, failures reported and spans sent.
    """

    def __init__(self, server: Server, sandbox: Sandbox, folder: Path, *, everything_on: bool = False) -> None:
        self.server, self.sandbox, self.folder = server, sandbox, folder
        self.encryption_key = ENCRYPTION_KEY if everything_on else None
        self.queue = SmsQueue(settings=Settings.load(redis_url=server.url, encryption_key=self.encryption_key))
        self.markers = Markers()
        self.jobs: dict[str, str] = {}
        self.heard: list[tuple[str, str | bytes]] = []
        self.stored: list[bytes] = []
        self.flower = f"http://127.0.0.1:{free_port()}"
        self.metrics_port = free_port()
        names = [row["name"] for row in sandbox.get("/sandbox/recipients")]
        self.outcomes = [name for name in names if name not in ACCOUNT]
        for name in names:
            self.markers.make(name, sandbox.recipient(name))
        own = ("sent", *UNCALLED, *LAYERS, "guarded", "redirected", "redirect-to", "killed", "mistyped", "cli", "away")
        for number, name in enumerate((*own, *WEB)):
            self.markers.make(name, ordinary(_FIRST + number))
        for name in TRACED:
            self.markers.make(f"traced {name}", sandbox.recipient(name))
        bursts = json.dumps({layer: self.markers.of[layer].text for layer in LAYERS})
        self.sentry = Sentry() if everything_on else None
        self.collector = Collector() if everything_on else None
        self.env = environment(server.url, sandbox.url, **_QUICK, **_LOUD, BURSTS=bursts) | self._switches()

    def _switches(self) -> dict[str, str]:
        """The variables that switch on what is off by default."""
        if not (self.sentry and self.collector):
            return {}
        return {
            "SMSQ_ENCRYPTION_KEY": ENCRYPTION_KEY,
            "SMSQ_DELIVERY": "on",
            "SENTRY_DSN": self.sentry.dsn,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

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
        with listening.logged(self), listening.flower(self), self._second_worker(app):
            self.sandbox.post("/sandbox/latency", seconds=0)
            self.worker = self._start("main", SMSQ_METRICS_PORT=str(self.metrics_port))
            self.worker.wait_ready()
            with Events(app) as events:
                with self.server.client() as client:
                    make_due(client, self.jobs["killed"])
                with self._frozen():
                    for name in ("sent", *self.outcomes, *LAYERS):
                        self.enqueue(name)
                    listening.look_into_redis(self)
                self._wait_for_all()
                producing.use_outboxes(self)
                self._follow()
                self._end_uncalled()
                self._wait_for_all()
                listening.ask_workers(self, app)
                listening.look_at_pages(self)
                producing.run_commands(self)
                self._refuse_account()
                producing.be_a_producer(self)
                listening.read_results(self, app)
            self.heard.append(("Celery's events", json.dumps(events.seen, default=repr, ensure_ascii=False)))
            self.heard.append(("the processes", listening.command_line(self.worker.pid)))
            listening.look_into_redis(self)
            assert self.worker.stop() == 0
        self._listen_to_services()
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
            listening.ask_workers(self, app)
            listening.look_into_redis(self)
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
        with self._frozen():
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
            listening.look_into_redis(self)

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.worker.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.signal(signal.SIGCONT)

    def _follow(self) -> None:
        """Has the gateway say what became of a message, and a moderator decide, where somebody wants to know."""
        if not self.encryption_key:
            return
        self.sandbox.post("/sandbox/clock", advance=1000)
        with self.server.client() as client:
            client.zadd(keys.FOLLOW, {self.jobs[name]: 0 for name in ("sent", "declined")}, xx=True)
        for name, wanted in (("sent", "delivery"), ("declined", "error")):
            job_id = self.jobs[name]
            wait_until(lambda job_id=job_id, wanted=wanted: getattr(self.queue.lookup(job_id), wanted), what=wanted)  # type: ignore[misc]

    def _listen_to_services(self) -> None:
        if not (self.sentry and self.collector):
            return
        for service in (self.sentry, self.collector):
            service.close()
        assert {each["tags"]["event"] for each in self.sentry.events() if "event" in each.get("tags", {})} >= {
            *("job.failed", "job.unknown", "job.crashed"),
        }
        assert {each.service for each in self.collector.spans()} >= {"smsq-worker", "web"}
        self.heard.append(("Sentry", b"\n".join(self.sentry.bodies)))
        self.heard.append(("the collector of traces", b"\n".join(self.collector.bodies)))

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
