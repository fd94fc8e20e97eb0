"""The pytest plugin, as the test run of an application gets it."""

import subprocess
import sys
from pathlib import Path

from tests.support.worker import ROOT

_APPLICATION = """
from smsq import InvalidSms, QueueUnavailable, Sms, SmsQueue

queue = SmsQueue("redis://127.0.0.1:1/0")


def send_code(phone, code):
    try:
        return queue.enqueue(Sms(recipient=phone, text=f"Code: {code}"), idempotency_key=code).id, 202
    except InvalidSms as error:
        return error.errors, 422
    except QueueUnavailable:
        return None, 503
"""

_ITS_TESTS = """
import sys

import application


def test_a_code_is_sent(sms_outbox):
    assert application.send_code("+77010000001", "4711")[1] == 202
    assert application.send_code("+77010000001", "4711")[1] == 202
    assert len(sms_outbox) == 1
    assert sms_outbox[0].text == "Code: 4711"


def test_a_bad_number(sms_outbox):
    assert application.send_code("12", "4711")[1] == 422
    assert len(sms_outbox) == 0


def test_redis_away(sms_outbox):
    with sms_outbox.unavailable():
        assert application.send_code("+77010000001", "4711")[1] == 503
"""

_LIGHT = """
import sys


def test_that_uses_nothing_of_it():
    assert "smsq.pytest_plugin" in sys.modules
    heavy = {"redis", "pydantic", "phonenumbers", "celery", "aiohttp"} & set(sys.modules)
    assert not heavy
"""


def _pytest(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_applications_own_tests_use_it(tmp_path: Path) -> None:
    """Without Redis and without a line of configuration, with pytest-xdist, by the wheel's entry point."""
    (tmp_path / "application.py").write_text(_APPLICATION)
    (tmp_path / "test_application.py").write_text(_ITS_TESTS)
    assert "3 passed" in _pytest(tmp_path, "-n", "1")


def test_who_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """A run whose tests don't ask for it imports none of what smsq needs."""
    (tmp_path / "test_light.py").write_text(_LIGHT)
    plugins = ("-p", "no:xdist", "-p", "no:timeout", "-p", "no:anyio", "-p", "no:hypothesispytest")
    assert "1 passed" in _pytest(tmp_path, *plugins)
