"""Flower's pages as a person sees them: what became of each job, and nothing personal.

The pictures in `docs/images` are this test's: `SCREENSHOTS=docs/images make faults` makes them anew.
"""

import contextlib
import html
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smsq import Sms, SmsQueue, State
from tests.flower.browser import NAMES, Browser, installed
from tests.support.commands import ROOT, start_celery
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import KEY, Worker, environment

TEXT, NAME, ONCE, PASSWORD = "Ваш пароль: абракадабра", "Рассылка", "otp:sesame", "correct-horse"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not installed(), reason=f"needs a browser: none of {', '.join(NAMES)} is installed"),
]


@pytest.fixture
def flower(server: Server, sandbox: Sandbox) -> Iterator[str]:
    """Flower with a password; its address with the password in it."""
    port = free_port()
    env = environment(server.url, sandbox.url, FLOWER_BASIC_AUTH=f"smsq:{PASSWORD}")
    process = start_celery(env, "flower", "--address=127.0.0.1", f"--port={port}")

    def answers() -> bool:
        assert process.poll() is None, "flower ended at once"
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5) as answer,
        ):
            return bool(answer.status == 200)
        return False

    try:
        wait_until(answers, what="Flower answers")
        yield f"http://smsq:{PASSWORD}@127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A browser; its pictures go where `SCREENSHOTS` says, a folder of the checkout, or nowhere."""
    program = installed()
    assert program
    return Browser(program, tmp_path, ROOT / os.environ.get("SCREENSHOTS", tmp_path))


def personal(page: str, numbers: list[str]) -> list[str]:
    """Returns what a page shows of what nobody may see: plain, as an entity, or as JavaScript escapes it."""
    shown = html.unescape(page)
    words = [*numbers, *(each[-7:] for each in numbers), "абракадабра", "пароль", NAME, ONCE, KEY, PASSWORD]
    return [
        each for each in words if each in shown or each.encode("ascii", "backslashreplace").decode() in shown.lower()
    ]


def test_pages_show_outcomes_and_nothing_personal(
    flower: str, browser: Browser, worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """The list and each task's page have id, outcome and runtime; no page has a number, a text, a name or a key."""
    running = worker("-E", "-n", "worker1@example")
    wait_until(lambda: "worker1@example" in browser.open(flower), what="Flower sees the worker")
    sandbox.post("/sandbox/latency", seconds=0.1)
    numbers = [*(ordinary(4_815_162 + each) for each in range(4)), sandbox.recipient("no-route")]
    jobs = [
        queue.enqueue(Sms(recipient=number, text=TEXT, name=NAME), idempotency_key=f"{ONCE}:{number}").id
        for number in numbers
    ]
    assert [end_of(queue, each).state for each in jobs] == [State.SENT] * 4 + [State.FAILED]
    running.signal(signal.SIGSTOP)
    try:
        cancelled = queue.enqueue(Sms(recipient=numbers[0], text=TEXT)).id
        assert queue.cancel(cancelled)
    finally:
        running.signal(signal.SIGCONT)

    def listed() -> str:
        page = browser.open(f"{flower}/tasks", "flower-tasks")
        states = (page.count(f">{state}<") for state in ("SUCCESS", "FAILURE", "REVOKED"))
        return page if list(states) == [4, 1, 1] and cancelled in page else ""

    pages = {"tasks": wait_until(listed, what="Flower lists the tasks")}
    assert all(each in pages["tasks"] for each in jobs)
    pages["task"] = browser.open(f"{flower}/task/{jobs[0]}", "flower-task")
    for name, path in (
        ("workers", "/"),
        ("failed", f"/task/{jobs[-1]}"),
        ("worker", "/worker/worker1@example"),
        ("broker", "/broker"),
        ("nothing", "/task/nosuchjob"),
    ):
        pages[name] = browser.open(f"{flower}{path}")
    message = next(each for each in sandbox.messages() if each["recipient"] == numbers[0])
    for words in (jobs[0], "SUCCESS", "Runtime", str(message["messageId"]), str(message["campaignId"])):
        assert words in pages["task"]
    for words in (jobs[-1], "FAILURE", "code 1: a field isn't valid"):
        assert words in html.unescape(pages["failed"])
    assert "sms.urgent" in pages["broker"]
    assert "held_back" in pages["worker"]
    assert not [(name, found) for name, page in pages.items() if (found := personal(page, numbers))]
    assert not [name for name, page in pages.items() if "Traceback" in page and name != "failed"]
