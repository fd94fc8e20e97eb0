"""The README says what the code does."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.settings import WorkerSettings
from smsq import Job, Sms, SmsQueue, State
from smsq.celery_backend import _CELERY_STATES
from smsq.settings import variable
from tests.support.sandbox import ROOT
from tests.support.server import Server

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _rows(header: str) -> list[list[str]]:
    """The cells of a table, by its header line."""
    lines = README[README.index(header) :].splitlines()[2:]
    table = lines[: next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_settings_table_is_the_fields() -> None:
    """Each variable is there once, with its default and the words of its field."""
    expected = []
    for name, field in WorkerSettings.model_fields.items():
        default = {"api_key": "none", "api_url": str(field.default).rstrip("/")}.get(
            name, str(getattr(field.default, "value", field.default))
        )
        default = "none" if default == "None" else default
        expected.append([f"`{variable(WorkerSettings, name)}`", f"`{default}`", field.description])
    assert _rows("| variable | default | meaning |") == expected


def test_states_table_is_the_states() -> None:
    """Each state is there once, with what Celery calls it."""
    told = {}
    for states, _, celery in _rows("| state | meaning | Celery |"):
        told.update(
            {State(state): celery for state in re.findall(r"`(\w+)`", states) if celery and state in set(State)}
        )
    told = {state: celery for state, celery in told.items() if state in _CELERY_STATES}
    assert told == {state: str(celery) for state, celery in _CELERY_STATES.items()}


def test_example_runs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown of Python runs as it stands: accepted, a bad number, batches, Redis away."""
    monkeypatch.setenv("SMSQ_REDIS_URL", server.url)
    use, more = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = use.replace("redis://127.0.0.1:6379/0", server.url).replace("queue.lookup(job_id)", "")
    names: dict[str, Any] = {}
    exec(compile(code, "README", "exec"), names)  # noqa: S102 - our own README

    class Request:
        id = "1"
        code = "4711"
        form = {"phone": "+77010000001"}  # noqa: RUF012

    answer, status = names["send_code"](Request)
    assert status == 202
    job = names["queue"].lookup(answer["job"])
    assert isinstance(job, Job)
    Request.form = {"phone": "87010000001"}
    answer, status = names["send_code"](Request)
    assert status == 422
    assert set(answer["errors"]) == {"recipient"}
    names |= {"sms": Sms(recipient="77010000001", text="Hello"), "moment": datetime.now(UTC) + timedelta(hours=1)}
    names["messages"] = [names["sms"]]
    exec(compile(more, "README", "exec"), names)  # noqa: S102 - our own README
    assert names["queue"].batch("autumn").counts["cancelled"] == 1
    names["queue"] = SmsQueue("redis://127.0.0.1:1/0")
    Request.form = {"phone": "+77010000001"}
    assert names["send_code"](Request)[1] == 503
