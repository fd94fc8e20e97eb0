"""The look of a worker's log: one line for each job's end, JSON lines for machines, a console for people."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

import pytest

from smsq import Sms, SmsQueue
from smsq.privacy import mask_recipient
from smsq.states import State
from tests.privacy.everything import Run
from tests.privacy.markers import LAYERS, UNCALLED
from tests.support.jobs import end_of
from tests.support.sandbox import ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

OUTCOMES: Final = [
    *("code-1", "no-route", "stop-listed", "stop-listed-15", "text-quoted", "data-nested", "data-list", "code-2"),
    *("code-30", "429", "500", "503", "307", "closed", "reset-accepted", "hang"),
    *("half-body", "drip-headers", "huge", "html-200", "json-cut", "id-letters", "not-http", "moderated", "no-money"),
]
#: Those whose next try the schedule keeps.
PUT_OFF: Final = ("code-30", "429")
NUMBER: Final = ordinary(99)
ENDS: Final = ("job.sent", "job.failed", "job.unknown", "job.retrying", "job.ended_uncalled", "job.queued")


@pytest.mark.parametrize("name", ["sent", *OUTCOMES, *UNCALLED[:-1]])
def test_a_job_has_one_line_that_says_how_it_ended(run: Run, name: str) -> None:
    """It has the job's id, its attempt, its masked number, and the reason if it wasn't sent."""
    end, *further = [line for line in run.lines(name) if line["event"] in ENDS]
    assert [line["event"] for line in further] == ["job.retrying"] * len(further)
    assert name in PUT_OFF or not further
    if name in ("too-late", "cancelled"):
        assert (end["event"], end["state"]) == ("job.ended_uncalled", name.replace("too-late", "expired"))
        return
    assert [line["attempt"] for line in (end, *further)] == list(range(1, len(further) + 2))
    assert all("attempt" in line for line in run.lines(name))
    assert ("reason" in end) is (end["event"] != "job.sent")
    if name not in ("broken", "crashed"):  # their numbers could not be read, or not be trusted
        assert end["recipient"] == mask_recipient(run.markers.of[name].number)


def test_a_refused_account_is_named(run: Run) -> None:
    """Its jobs are on their lane again, and the line says why."""
    for line in run.refusals():
        assert line["attempt"] == 1
        assert line["reason"]


def test_an_expected_failure_has_no_traceback(run: Run) -> None:
    """A refusal and an unknown outcome are results, not crashes; only the crash shows where it happened."""
    bugs = {run.jobs[layer] for layer in LAYERS}
    traced = [line for line in run.worker.lines() if "exception" in line and line.get("logger") == "celery.app.trace"]
    assert not [line for line in traced if line.get("job_id") not in bugs]
    (crash,) = [line for line in run.lines("crashed") if line["event"] == "job.crashed"]
    assert any("gateway/client.py" in frame for frame in crash["frames"])


def test_every_line_is_json_with_the_same_look(run: Run) -> None:
    """Celery's own lines too: event, level and time, and the logger where it isn't ours."""
    printed = [line for line in run.worker.text().splitlines() if line.strip()]
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
    job_id = queue.enqueue(Sms(recipient=NUMBER, text="Привет")).id
    assert end_of(queue, job_id).state is State.SENT
    line = wait_until(lambda: [each for each in watched.text().splitlines() if "job.sent" in each], what="its line")[0]
    for part in ("[info", f"job_id={job_id}", "attempt=1", "recipient=7701*****99", "message_id="):
        assert part in line
    assert NUMBER not in watched.text()
