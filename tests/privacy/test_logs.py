"""A worker's logs at their most talkative, over every outcome: nothing personal, nothing secret, one look."""

import base64
import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.job import RECORD_VERSION
from smsq.message import RULES_VERSION
from smsq.privacy import mask_recipient
from smsq.states import State
from tests.support.jobs import end_of, in_state, put_off
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

KEY = 'kz+/=&"0123456789abcdefghijk'
TEXT = "Сегодня в 15:00 придёт курьер"
NAME = "Доставка"
OUTCOMES = [
    *("code-1", "no-route", "stop-listed", "stop-listed-15", "text-quoted", "data-nested", "data-list", "code-2"),
    *("code-30", "429", "500", "503", "307", "closed", "reset-accepted", "hang"),
    *("half-body", "drip-headers", "huge", "html-200", "json-cut", "id-letters", "not-http", "moderated", "no-money"),
]
#: Those whose next try the schedule keeps.
PUT_OFF = ("code-30", "429")
#: Those that wait on their lane, because the account was refused.
ACCOUNT = ("code-8", "code-13", "code-14", "404")
UNCALLED = ("cancelled", "expired", "crashed", "broken")
ENDS = ("job.sent", "job.failed", "job.unknown", "job.retrying", "job.ended_uncalled", "job.queued")


class Run:
    """A worker that has been through everything and was stopped.

    Attributes:
        worker: The worker.
        said: All that it printed.
        held: All that Redis holds at the end.
        numbers: The number of each job, by what became of it.
        jobs: Each job's id, likewise.
    """

    def __init__(self, server: Server, sandbox: Sandbox, log: Path) -> None:
        limits = {"SMSQ_CALL_TIMEOUT": "1", "SMSQ_LEASE": "10", "SMSQ_RETRY_WINDOW": "0", "SMSQ_ASK_LIMIT": "1"}
        limits["SMSQ_CIRCUIT_AFTER"] = "1000"
        loud = {"MOBIZON_API_KEY": KEY, "SMSQ_LOG_LEVEL": "debug", "SMSQ_DISPATCH_INTERVAL": "0.05"}
        self.worker = Worker(log, environment(server.url, sandbox.url, **limits, **loud), "-E", "-l", "debug")
        self.server = server
        self.queue = SmsQueue(server.url)
        self.numbers = {name: sandbox.recipient(name) for name in (*OUTCOMES, *ACCOUNT)}
        self.numbers |= {name: ordinary(number) for number, name in enumerate(["sent", *UNCALLED])}
        self.jobs: dict[str, str] = {}

    def go_through(self) -> None:
        """Has every outcome happen, and stops the worker."""
        self.worker.wait_ready()
        for name in ("sent", *OUTCOMES):
            self.jobs[name] = self.queue.enqueue(self._sms(name)).id
        for name in OUTCOMES:
            (put_off if name in PUT_OFF else end_of)(self.queue, self.jobs[name])
        self._end_uncalled()
        for name in UNCALLED:
            end_of(self.queue, self.jobs[name])
        with self.server.client() as client:
            wait_until(lambda: client.zcard(keys.DUE) == len(PUT_OFF), what="the worker has seen them all")
        jobs = self.queue.enqueue_many(map(self._sms, ACCOUNT))  # in one go: the first refusal closes the gate
        self.jobs |= {name: job.id for name, job in zip(ACCOUNT, jobs, strict=True)}
        for name in ACCOUNT:
            wait_until(lambda name=name: self.lines(name), what="the account was refused")  # type: ignore[misc]
        assert self.worker.stop() == 0
        self.queue.close()
        self.said, self.held = self.worker.text(), self.server.contents().decode(errors="replace")

    def _sms(self, name: str) -> Sms:
        return Sms(recipient=self.numbers[name], text=TEXT, name=NAME)

    def _end_uncalled(self) -> None:
        """While the worker is frozen, adds jobs that end on their lane and records that no enqueue writes."""
        self.worker.signal(signal.SIGSTOP)
        try:
            self.jobs["cancelled"] = self.queue.enqueue(self._sms("cancelled")).id
            assert self.queue.cancel(self.jobs["cancelled"])
            self.jobs["expired"] = self.queue.enqueue(self._sms("expired"), expires_in=0.1).id
            message = {"text": TEXT, "name": NAME}
            self._write("crashed", message | {"recipient": self.numbers["crashed"], "from": 5}, rules=RULES_VERSION)
            self._write("broken", message | {"recipient": self.numbers["broken"] + "000000", "colour": TEXT})
            wait_until(lambda: in_state(self.queue, self.jobs["expired"], State.EXPIRED), what="its time is over")
        finally:
            self.worker.signal(signal.SIGCONT)

    def _write(self, name: str, message: object, **fields: int) -> None:
        """Writes a record as a foreign hand would, and puts its id on the lane."""
        self.jobs[name] = job_id = f"{name:x<20}"
        record = {"v": RECORD_VERSION, "state": "queued", "lane": "normal", "at": int(time.time() * 1000), **fields}
        record["m0"] = json.dumps(message, ensure_ascii=False)
        with self.server.client() as client:
            record["epoch"] = str(client.hget("smsq:epoch", "number"))
            client.hset(keys.job(job_id), items=[part for field in record.items() for part in field])
            client.rpush(keys.waiting("normal", ""), job_id)
            client.rpush(keys.ring("normal"), "")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Returns our own lines about a job."""
        own = (line for line in self.worker.lines() if str(line["event"]).startswith("job."))
        return [line for line in own if line["job_id"] == self.jobs[name]]


@pytest.fixture(scope="module")
def run(shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A worker that went through every outcome with all logs at DEBUG."""
    with shared_server.client() as client:
        client.flushall()
    shared_sandbox.post("/sandbox/reset")
    made = Run(shared_server, shared_sandbox, tmp_path_factory.mktemp("logs") / "log")
    try:
        made.go_through()
        yield made
    finally:
        made.worker.kill()


def test_no_number_text_or_name_is_logged(run: Run) -> None:
    """Nor any part of them, plainly or escaped, whatever the gateway quoted and whatever crashed."""
    numbers = run.numbers.values()
    personal = {*numbers, *(number[-7:] for number in numbers), TEXT, "курьер", "15:00", NAME}
    spelled = personal | {ascii(each)[1:-1] for each in personal} | {quote(each) for each in personal}
    assert not {each for each in spelled if each in run.said}


def test_the_key_is_nowhere(run: Run) -> None:
    """F59: neither in the logs nor in Redis, in no spelling."""
    encoded = base64.b64encode(KEY.encode()).decode().rstrip("=")
    for spelling in (KEY, quote(KEY, safe=""), quote(KEY), quote_plus(KEY), encoded, json.dumps(KEY)[1:-1], KEY[8:]):
        assert spelling not in run.said
        assert spelling not in run.held


@pytest.mark.parametrize("name", ["sent", *OUTCOMES, *ACCOUNT, *UNCALLED])
def test_a_job_has_one_line_that_says_how_it_ended(run: Run, name: str) -> None:
    """It has the job's id, its attempt, its masked number, and the reason if it wasn't sent."""
    end, *further = [line for line in run.lines(name) if line["event"] in ENDS]
    assert [line["event"] for line in further] == ["job.retrying"] * len(further)
    assert name in PUT_OFF or not further
    if name in ("expired", "cancelled"):
        assert (end["event"], end["state"]) == ("job.ended_uncalled", name)
        return
    assert [line["attempt"] for line in (end, *further)] == list(range(1, len(further) + 2))
    assert all("attempt" in line for line in run.lines(name))
    assert ("reason" in end) is (end["event"] != "job.sent")
    if name not in ("broken", "crashed"):  # their numbers could not be read, or not be trusted
        assert end["recipient"] == mask_recipient(run.numbers[name])


def test_an_expected_failure_has_no_traceback(run: Run) -> None:
    """A refusal and an unknown outcome are results, not crashes; only the crash shows where it happened."""
    assert not [line for line in run.worker.lines() if "exception" in line and line.get("logger") == "celery.app.trace"]
    (crash,) = [line for line in run.worker.lines() if line["event"] == "job.crashed"]
    assert crash["job_id"] == run.jobs["crashed"]
    assert any("gateway/client.py" in frame for frame in crash["frames"])


def test_every_line_is_json_with_the_same_look(run: Run) -> None:
    """Celery's own lines too: event, level and time, and the logger where it isn't ours."""
    printed = [line for line in run.said.splitlines() if line.strip()]
    ready = next(index for index, line in enumerate(printed) if '"worker.ready"' in line)  # the banner comes before
    # What Celery says to whoever presses Ctrl-C goes straight to the terminal, past all logging.
    lines = [json.loads(line) for line in printed[ready:] if not line.startswith("worker: ")]
    assert len(lines) > len(run.jobs)
    for line in lines:
        assert {"event", "level", "timestamp"} <= line.keys()
        assert datetime.fromisoformat(line["timestamp"]).tzinfo
    assert {str(line.get("logger", "")).partition(".")[0] for line in lines} >= {"", "celery", "kombu"}


def test_celerys_lines_about_a_running_task_name_the_job(run: Run) -> None:
    """What Celery's tracer says of a task carries the job's id and attempt, as our own lines do."""
    traced = [line for line in run.worker.lines() if line.get("logger") == "celery.app.trace"]
    called = [line for line in traced if any(run.jobs[name] in line["event"] for name in ("sent", *OUTCOMES))]
    assert len(called) >= len(OUTCOMES)
    for line in called:
        assert line["job_id"] in line["event"]
        assert line["attempt"] >= 1


def test_a_person_can_read_the_console(worker: Callable[..., Worker], queue: SmsQueue) -> None:
    """On a terminal a line is the event and its fields, with the number masked."""
    watched = worker(ready=False, SMSQ_LOG_FORMAT="console")
    job_id = queue.enqueue(Sms(recipient=ordinary(1), text=TEXT)).id
    assert end_of(queue, job_id).state is State.SENT
    line = wait_until(lambda: [each for each in watched.text().splitlines() if "job.sent" in each], what="its line")[0]
    for part in ("[info", f"job_id={job_id}", "attempt=1", "recipient=7701*****01", "message_id="):
        assert part in line
    assert ordinary(1) not in watched.text()
