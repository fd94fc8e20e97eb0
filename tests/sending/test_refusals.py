"""What Celery offers and can't hold beside the ledger is refused at start, with the reason, never ignored."""

import contextlib
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.commands import celery, celery_all, start_celery
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import KEY, environment

if TYPE_CHECKING:
    from subprocess import CompletedProcess


class Start(NamedTuple):
    """A start of a worker that must be refused.

    Attributes:
        arguments: Options after `celery -A worker worker`.
        variables: What is in its environment.
        told: How each line begins that it prints, in order, and what must be in it.
    """

    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    told: tuple[tuple[str, str], ...]


STARTS = {
    "limits, prefetch, locals, no key": Start(
        ("--time-limit", "5", "--soft-time-limit", "4", "--disable-prefetch"),
        {"USE_FAST_LOCALS": "1", "MOBIZON_API_KEY": ""},
        (
            ("--time-limit: ", "SMSQ_CALL_TIMEOUT"),
            ("--soft-time-limit: ", "SMSQ_CALL_TIMEOUT"),
            ("--disable-prefetch: ", "begin runs ahead"),
            ("USE_FAST_LOCALS: ", "per greenlet"),
            ("MOBIZON_API_KEY: ", "is required"),
        ),
    ),
    "a time limit as a setting, with threads": Start(
        ("-P", "threads", "--", "task.time_limit=5"), {}, (("--time-limit: ", "SMSQ_CALL_TIMEOUT"),)
    ),
    "children that aren't there": Start(
        ("--max-tasks-per-child", "3", "--max-memory-per-child", "9000", "-B"),
        {},
        (
            ("--max-tasks-per-child: ", "-P prefork"),
            ("--max-memory-per-child: ", "-P prefork"),
            ("-B: ", "`celery beat` on its own"),
        ),
    ),
    "gevent": Start(("-P", "gevent"), {}, (("-P gevent: ", "event loop"),)),
    "wrong settings": Start(
        (),
        {
            "SMSQ_REDIS_URL": "http://user:hunter2@example.com",
            "SMSQ_TIMEZONE": "Mars/Olympus",
            "MOBIZON_API_URL": "not-an-address",
            "SMSQ_LEASE": "soon",
            "SMSQ_DURABILITY": "stone",
        },
        (
            ("SMSQ_REDIS_URL: ", "must start with redis://"),
            ("SMSQ_TIMEZONE: ", "Asia/Almaty"),
            ("SMSQ_DURABILITY: ", "'memory', 'disk'"),
            ("MOBIZON_API_URL: ", "valid URL"),
            ("SMSQ_LEASE: ", "valid number"),
        ),
    ),
    "a lane that is none": Start(("-Q", "urgent,sms.bulk"), {}, (("-Q urgent: ", "sms.urgent, sms.normal, sms.bulk"),)),
    "a key of white space": Start((), {"MOBIZON_API_KEY": " \r\n"}, (("MOBIZON_API_KEY: ", "is required"),)),
    "a key of two lines": Start((), {"MOBIZON_API_KEY": "k1\nk2"}, (("MOBIZON_API_KEY: ", "white space"),)),
    "a lease that a call outlasts": Start(
        (), {"SMSQ_LEASE": "30"}, (("SMSQ_LEASE must exceed ", "SMSQ_CALL_TIMEOUT"),)
    ),
}


@pytest.fixture(scope="module")
def refusals() -> dict[str, "CompletedProcess[str]"]:
    """Starts all these workers beside each other. None must get as far as to look for the server."""
    env = environment("redis://127.0.0.1:1/0", "http://127.0.0.1:1")
    commands = [(("worker", *start.arguments), start.variables) for start in STARTS.values()]
    return dict(zip(STARTS, celery_all(env, commands), strict=True))


@pytest.mark.parametrize("what", STARTS)
def test_a_worker_says_why_it_does_not_start(refusals: dict[str, "CompletedProcess[str]"], what: str) -> None:
    """It exits with 2 and prints one line for each thing that is refused, and nothing else."""
    ended, told = refusals[what], STARTS[what].told
    assert ended.returncode == 2, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == len(told), ended.stderr
    for line, (begin, why) in zip(lines, told, strict=True):
        assert line.startswith(begin)
        assert why in line
    assert not ended.stdout


def test_a_wrong_value_is_not_repeated(refusals: dict[str, "CompletedProcess[str]"]) -> None:
    """A wrong setting may be a secret in the wrong place."""
    for value in STARTS["wrong settings"].variables.values():
        assert value not in refusals["wrong settings"].stderr
    assert all(KEY not in ended.stderr for ended in refusals.values())


def test_commands_that_call_nobody_need_no_key(server: Server) -> None:
    """`celery inspect`, on a host that only looks, works without the account's key."""
    env = environment(server.url, "http://127.0.0.1:1", MOBIZON_API_KEY="")
    ended = celery(env, "inspect", "ping", "--timeout", "0.2")
    assert "No nodes replied" in ended.stderr
    assert "MOBIZON_API_KEY" not in ended.stderr + ended.stdout


def test_a_task_published_to_a_lane_is_refused_in_a_line(server: Server) -> None:
    """`celery call` would leave something that is no job: nothing is published, and nobody has to read a traceback."""
    ended = celery(environment(server.url, "http://127.0.0.1:1", MOBIZON_API_KEY=""), "call", "smsq.send")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "Error: sms.normal is filled by SmsQueue.enqueue or `smsq send`, not by publishing Celery tasks"
    ]
    with server.client() as client:
        assert not client.exists("sms.normal")


def test_flower_needs_no_key(server: Server) -> None:
    """Who watches the queue doesn't hold the account's key."""
    port = free_port()
    env = environment(server.url, "http://127.0.0.1:1", MOBIZON_API_KEY="")
    flower = start_celery(env, "flower", "--address=127.0.0.1", f"--port={port}")

    def answers() -> bool:
        assert flower.poll() is None, "flower ended at once"
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5) as answer,
        ):
            return bool(answer.status == 200)
        return False

    try:
        wait_until(answers, what="flower answers")
    finally:
        flower.kill()
        flower.communicate()
