"""How a line of a log is rendered: tracebacks without values, secrets in no spelling, readable where a person reads."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from config.logs import Redactor
from tests.support.sandbox import ROOT

KEY = "k+/=& 0123456789abcdef"
TEXT = "Сегодня в 15:00 придёт курьер"

#: A process that logs a crash in each way there is, with the text in its frames' locals and the key in its words.
CRASH = """
import asyncio, logging, sys
import structlog
from config import logs

KEY, TEXT = sys.argv[2:]

def crash():
    sms = {"recipient": "77010000001", "text": TEXT}
    raise ZeroDivisionError(f"apiKey={KEY}")

async def forgotten():
    crash()

async def main():
    task = asyncio.create_task(forgotten())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

logs.set_up(level="debug", celery_level=logging.DEBUG, json=sys.argv[1] == "json", secrets=[KEY])
try:
    crash()
except ZeroDivisionError:
    structlog.get_logger().exception("ours.crashed", job_id="job1")
    logging.getLogger("theirs").exception("it crashed for %s", KEY)
asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_value(form: str) -> None:
    """Whoever logs an exception, its frames come without their variables, and its words without the key."""
    run = [sys.executable, "-c", CRASH, form, KEY, TEXT]
    ended = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr.count("ZeroDivisionError") >= 3, ended.stderr
    for secret in (KEY, TEXT, "курьер", "77010000001"):
        assert secret not in ended.stderr
        assert secret not in json.dumps(ended.stderr)
        assert json.dumps(secret)[1:-1] not in ended.stderr
    assert "[secret]" in ended.stderr
    if form == "json":
        lines = [json.loads(line) for line in ended.stderr.splitlines()]
        assert {line["event"] for line in lines} >= {"ours.crashed", "it crashed for [secret]"}
    else:
        assert "job_id=job1" in ended.stderr


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key,
        lambda key: quote(key, safe=""),
        quote_plus,
        quote,
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
        lambda key: json.dumps(key)[1:-1],
        lambda key: repr(key)[1:-1],
    ],
)
@pytest.mark.parametrize("key", [KEY, "kz" + "0123456789abcdef" * 2, 'quo"te\\d ключ'])
def test_a_secret_is_hidden_however_it_is_spelled(spell: Callable[[str], str], key: str) -> None:
    """F59: plainly, URL-encoded, in base64, or as JSON and Python write it."""
    line = f"GET /?apiKey={spell(key)}&a=1"
    assert Redactor([key])(line).startswith("GET /?apiKey=[secret]")


def test_what_is_no_secret_stays() -> None:
    """A line without secrets is left as it is, and an empty password hides nothing."""
    line = '{"event": "job.sent", "recipient": "7701*****01"}'
    assert Redactor([KEY, "", "ab"])(line) == line
