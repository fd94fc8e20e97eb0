"""One notion of `rediss://` for all who use it: producer, result backend, worker, Flower (F48)."""

import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from smsq import QueueUnavailable, Settings, Sms, SmsQueue
from tests.support.sandbox import ROOT, Sandbox
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.wire import Wire
from tests.support.worker import Worker, environment


class Tls(NamedTuple):
    """Where TLS is spoken, the file of the right authority and that of another."""

    port: int
    right: Path
    wrong: Path

    def url(self, authority: Path) -> str:
        """What `SMSQ_REDIS_URL` takes."""
        return f"rediss://localhost:{self.port}/0?ssl_ca_certs={authority}"


@pytest.fixture
def tls(server: Server, tmp_path: Path) -> Iterator[Tls]:
    """A TLS end in front of the shared server, with a private authority."""
    authority, another = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    right, wrong = tmp_path / "right.pem", tmp_path / "wrong.pem"
    authority.cert_pem.write_to_path(right)
    another.cert_pem.write_to_path(wrong)
    with Wire(server.port, tls=context) as wire:
        yield Tls(wire.port, right, wrong)


def test_worker_and_results_through_tls(tls: Tls, sandbox: Sandbox, tmp_path: Path) -> None:
    """With the right authority a message goes from the producer through the worker, and its result comes back."""
    url = tls.url(tls.right)
    env = environment(url, sandbox.url)
    worker = Worker(tmp_path / "worker.log", env).wait_ready()
    queue = SmsQueue(url, settings=Settings.load(redis_url=url))
    try:
        job = queue.enqueue(Sms(recipient="77010000001", text="Код"))
        result = subprocess.run(
            [sys.executable, "-c", f"from worker import app; print(app.AsyncResult({job.id!r}).get(timeout=20))"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "messageId" in result.stdout
    finally:
        queue.close()
        worker.kill()


def test_wrong_authority_fails_everywhere_and_says_why(tls: Tls, sandbox: Sandbox, tmp_path: Path) -> None:
    """With another authority the producer raises and the worker waits; both name the certificate."""
    url = tls.url(tls.wrong)
    queue = SmsQueue(url, settings=Settings.load(redis_url=url))
    with pytest.raises(QueueUnavailable, match="certificate"):
        queue.enqueue(Sms(recipient="77010000001", text="Код"))
    worker = Worker(tmp_path / "worker.log", environment(url, sandbox.url))
    try:
        wait_until(lambda: "certificate verify failed" in worker.text(), what="the worker names the certificate")
        assert worker.process.poll() is None
    finally:
        worker.kill()


@pytest.mark.parametrize("which", ["right", "wrong"])
def test_flower_through_tls(tls: Tls, tmp_path: Path, which: str) -> None:
    """Flower reads the queues with the right authority, and names the certificate with another."""
    url, port = tls.url(getattr(tls, which)), free_port()
    log = tmp_path / "flower.log"
    with log.open("wb") as out:
        flower = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "worker", "flower", "--address=127.0.0.1", f"--port={port}"],
            cwd=ROOT,
            env=environment(url, "http://127.0.0.1:1") | {"FLOWER_UNAUTHENTICATED_API": "1"},
            stdout=out,
            stderr=out,
        )

    def lengths() -> str:
        try:
            page = f"http://127.0.0.1:{port}/api/queues/length"
            with urllib.request.urlopen(page, timeout=5) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.HTTPError):
            return ""

    try:
        if which == "right":
            assert "sms.urgent" in wait_until(lengths, what="Flower reads the queues")
        else:
            wait_until(
                lambda: lengths() + log.read_text() and "certificate verify failed" in log.read_text(),
                what="Flower names the certificate",
            )
    finally:
        flower.kill()
        flower.wait()
