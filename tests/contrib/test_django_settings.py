"""Django's setting SMSQ: what `manage.py check` says of it, and that a queue is made by it."""

import json
import subprocess
import sys

import pytest

from tests.support.server import Server
from tests.support.worker import ROOT, environment

_CHECK = """
import json, sys
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["smsq.contrib.django"], SMSQ=json.loads(sys.argv[1]))
django.setup()
from django.core.management import call_command
call_command("check")
from smsq import Sms
from smsq.contrib.django import get_queue
print(get_queue().enqueue(Sms(recipient="+77010000001", text="text")).id, get_queue().settings.retention_days)
"""


def check(redis_url: str, smsq: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the check, and enqueues, in a process with that setting."""
    return subprocess.run(
        [sys.executable, "-c", _CHECK, json.dumps(smsq)],
        cwd=ROOT,
        env=environment(redis_url, "http://127.0.0.1:9", **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_queue_is_made_by_the_setting_before_the_environment(server: Server) -> None:
    """What the setting says comes first, what it leaves out comes from the environment."""
    done = check("redis://127.0.0.1:1/0", {"REDIS_URL": server.url}, SMSQ_RETENTION_DAYS="3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3.0"


@pytest.mark.parametrize(
    ("smsq", "words"),
    [
        ({"REDIS_URL": "http://u:secret@h", "REDIS": 1}, ["SMSQ['REDIS_URL'] ", "SMSQ['REDIS'] isn't a setting"]),
        (["redis://"], ["SMSQ must be a dict"]),
    ],
    ids=["wrong value and name", "no dict"],
)
def test_a_bad_configuration_is_reported_by_name(server: Server, smsq: object, words: list[str]) -> None:
    """`manage.py check` fails with a line for each setting that is wrong, and repeats no value."""
    done = check(server.url, smsq)
    assert done.returncode != 0
    assert all(f"(smsq.E001) {each}" in done.stderr for each in words), done.stderr
    assert "secret" not in done.stderr
