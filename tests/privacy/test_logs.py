"""A worker's logs at their most talkative, over every outcome: nothing personal, nothing secret, one look."""

import base64
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
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
    *("code-8", "code-13", "code-14", "code-30", "429", "500", "503", "404", "307", "closed", "reset-accepted", "hang"),
    *("half-body", "drip-headers", "huge", "html-200", "json-cut", "id-letters", "not-http", "moderated", "no-money"),
]
CRASHES = "aaaaaaaaaaaaaaaaaaaa"
BREAKS_A_RULE = "bbbbbbbbbbbbbbbbbbbb"
NO_RECORD = "cccccccccccccccccccc"


class Run:
    """A worker that has been through everything and was stopped.

    Attributes:
        said: All that it printed.
        held: All that Redis holds at the end.
        numbers: The numbers of its jobs.
        jobs: Each job's id, by what became of it.
    """

    def __init__(self, worker: Worker, server: Server, numbers: set[str], jobs: dict[str, str]) -> None:
        self.worker = worker
        self.said = worker.text()
        self.held = server.contents().decode(errors="replace")
        self.numbers = numbers
        self.jobs = jobs


@pytest.fixture(scope="module")
def run(shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a worker through every outcome with all logs at DEBUG, and stops it."""
    with shared_server.client() as client:
        client.flushall()
    shared_sandbox.post("/sandbox/reset")
    limits = {"SMSQ_CALL_TIMEOUT": "1", "SMSQ_RETRY_WINDOW": "0", "SMSQ_LEASE": "10", "SMSQ_DISPATCH_INTERVAL": "0.05"}
    env = environment(shared_server.url, shared_sandbox.url, MOBIZON_API_KEY=KEY, SMSQ_LOG_LEVEL="debug", **limits)
    worker = Worker(tmp_path_factory.mktemp("logs") / "log", env, "-E", "-l", "debug").wait_ready()
    try:
        queue = SmsQueue(shared_server.url)
        numbers = {name: shared_sandbox.recipient(name) for name in OUTCOMES} | {"sent": ordinary(1)}
        jobs = {name: queue.enqueue(_sms(number)).id for name, number in numbers.items()}
        _by_hand(shared_server, worker, queue, jobs)
        for name, job_id in jobs.items():
            if name in ("code-30", "429"):
                put_off(queue, job_id)
            else:
                end_of(queue, job_id)
        queue.close()
        assert worker.stop() == 0
        made_by_hand = {ordinary(number) for number in (2, 3, 4, 5)}
        yield Run(worker, shared_server, set(numbers.values()) | made_by_hand, jobs)
    finally:
        worker.kill()


def _sms(number: str) -> Sms:
    return Sms(recipient=number, text=TEXT, name=NAME)


def _by_hand(server: Server, worker: Worker, queue: SmsQueue, jobs: dict[str, str]) -> None:
    """Adds what enqueue doesn't: jobs that crash, break a rule, were never written, or ended on their lane."""
    worker.signal(signal.SIGSTOP)
    try:
        jobs["expired"] = queue.enqueue(_sms(ordinary(2)), expires_in=0.1).id
        jobs["cancelled"] = queue.enqueue(_sms(ordinary(3))).id
        assert queue.cancel(jobs["cancelled"])
        message = {"recipient": ordinary(4), "text": TEXT, "name": NAME, "from": 5}
        _write(server, CRASHES, message, rules=RULES_VERSION)
        _write(server, BREAKS_A_RULE, {"recipient": ordinary(5) + "000000", "text": TEXT, "colour": TEXT})
        _write(server, NO_RECORD, None)
        wait_until(lambda: in_state(queue, jobs["expired"], State.EXPIRED), what="the job's time is over")
    finally:
        worker.signal(signal.SIGCONT)
    jobs |= {"crashed": CRASHES, "broken": BREAKS_A_RULE}


def _write(server: Server, job_id: str, message: object, **fields: int) -> None:
    record = {"v": RECORD_VERSION, "state": "queued", "lane": "normal", "at": int(datetime.now(UTC).timestamp() * 1000)}
    with server.client() as client:
        if message:
            client.hset(keys.job(job_id), mapping={**record, **fields, "m0": json.dumps(message, ensure_ascii=False)})
        client.rpush(keys.waiting("normal", ""), job_id)
        client.rpush(keys.ring("normal"), "")


def test_no_number_text_or_name_is_logged(run: Run) -> None:
    """Nor any part of them, plainly or as JSON and Python escape it, whatever the gateway quoted or what crashed."""
    personal = {*run.numbers, *(number[-7:] for number in run.numbers), TEXT, "курьер", "15:00", NAME}
    spelled = personal | {ascii(each)[1:-1] for each in personal} | {quote(each) for each in personal}
    assert not {each for each in spelled if each in run.said}


def test_the_key_is_nowhere(run: Run) -> None:
    """Neither in the logs nor in Redis, in no spelling."""
    encoded = base64.b64encode(KEY.encode()).decode().rstrip("=")
    for spelling in (KEY, quote(KEY, safe=""), quote(KEY), quote_plus(KEY), encoded, json.dumps(KEY)[1:-1], KEY[3:]):
        assert spelling not in run.said
        assert spelling not in run.held


def test_each_job_has_one_line_that_says_how_it_ended(run: Run) -> None:
    """With its id, its attempt, its masked number, and the reason if it wasn't sent."""
    ends = {"sent", "failed", "unknown", "retrying", "ended_uncalled"}
    for name, job_id in run.jobs.items():
        lines = [line for line in ours(run) if line.get("job_id") == job_id]
        (end,) = [line for line in lines if line["event"].removeprefix("job.") in ends]
        if end["event"] == "job.ended_uncalled":
            assert end["state"] == name
            continue
        assert end["attempt"] == 1
        assert ("reason" in end) is (end["event"] != "job.sent")
        if name in OUTCOMES:
            assert end["recipient"] == mask_recipient(number_of(run, name))
        assert all("attempt" in line for line in lines)


def ours(run: Run) -> list[dict[str, Any]]:
    """Returns our own lines about jobs."""
    return [line for line in run.worker.lines() if str(line["event"]).startswith("job.")]


def number_of(run: Run, name: str) -> str:
    """Returns the number that an outcome's job was for, by the block and the last digits of its mask."""
    return next(number for number in run.numbers if number in Sandboxed.numbers[name])


def test_every_line_is_json_with_the_same_look(run: Run) -> None:
    """From the first line to the last, Celery's own too: event, level and time, and the logger where it isn't ours."""
    printed = [line for line in run.said.splitlines() if line.strip()]
    first = next(index for index, line in enumerate(printed) if line.startswith("{"))
    # Celery writes its banner and that it stops straight to the terminal, past all logging.
    lines = [json.loads(line) for line in printed[first:] if not past_logging(line)]
    assert len(lines) > len(run.jobs)
    for line in lines:
        assert {"event", "level", "timestamp"} <= line.keys()
        datetime.fromisoformat(line["timestamp"])
    assert {line.get("logger", "").partition(".")[0] for line in lines} >= {"", "celery"}
"""
