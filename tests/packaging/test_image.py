"""The Dockerfile: what it makes, found without Docker."""

import signal
from pathlib import Path

from smsq import Sms, SmsQueue, State
from tests.packaging.environment import ROOT
from tests.packaging.image import Image, instruction, stages
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.worker import KEY


def test_its_worker_sends_and_stops_as_told(
    image: Image, server: Server, sandbox: Sandbox, queue: SmsQueue, tmp_path: Path
) -> None:
    """Its command sends with the pinned versions and its files alone, and its stop signal ends it (F46, F49)."""
    variables = {"SMSQ_REDIS_URL": server.url, "MOBIZON_API_URL": sandbox.url, "MOBIZON_API_KEY": KEY}
    process = image.start(image.default_command(), variables, tmp_path / "log")
    try:
        job = queue.wait(queue.enqueue(Sms(recipient="+77010000001", text="Код: 4711")).id, timeout=30)
        assert job is not None, "the job is lost"
        assert job.state is State.SENT, (tmp_path / "log").read_text()
        process.send_signal(getattr(signal, instruction("STOPSIGNAL")))
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_its_worker_refuses_to_start_without_a_key(image: Image, server: Server, tmp_path: Path) -> None:
    """Without MOBIZON_API_KEY the container ends at once and says why."""
    process = image.start(image.default_command(), {"SMSQ_REDIS_URL": server.url}, tmp_path / "log")
    assert process.wait(30) == 2
    assert (tmp_path / "log").read_text() == "MOBIZON_API_KEY: is required\n"


def test_it_runs_as_nobody_in_particular() -> None:
    """The process isn't root; the user is a number, so that a platform can check it."""
    assert int(instruction("USER")) > 0


def test_it_is_made_of_what_the_context_lets_in() -> None:
    """Each file that the Dockerfile copies is let in by .dockerignore, and `.env` isn't."""
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = {
        source
        for stage in stages()
        for name, arguments in stage
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert copied == let_in
    assert ".env" not in let_in
