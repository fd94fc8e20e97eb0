"""Redis is frozen while the gateway answers: the outcomes are kept, and nothing is asked or called twice."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from smsq import Settings, Sms, SmsQueue
from smsq.states import State
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

SLOTS = 50


def test_outcomes_outlive_a_frozen_redis(own_server: Callable[..., Server], sandbox: Sandbox, tmp_path: Path) -> None:
    """F37: all calls were answered meanwhile; after the thaw the ids are stored, who waits has them, slots are free."""
    server = own_server()
    queue = SmsQueue(server.url, settings=Settings.load(redis_url=server.url))
    web = Celery("web", backend=f"smsq.celery_backend:LedgerBackend+{server.url}", set_as_current=False)
    env = environment(server.url, sandbox.url)
    worker = Worker(tmp_path / "log", env, "--concurrency", str(SLOTS)).wait_ready()
    try:
        sandbox.post("/sandbox/latency", seconds=1.0)
        jobs = [job.id for job in queue.enqueue_many(_messages(0))]
        got: list[dict[str, Any]] = []
        waiter = threading.Thread(
            target=lambda: got.append(AsyncResult(jobs[0], app=web).get(timeout=300)), daemon=True
        )
        waiter.start()
        wait_until(lambda: len(sandbox.calls()) == SLOTS, what="all calls are out")
        server.signal(signal.SIGSTOP)
        worker.wait_lines("ledger.unavailable")
        server.signal(signal.SIGCONT)
        waiter.join()
        ids = {message["recipient"]: message["messageId"] for message in sandbox.messages()}
        ended = [end_of(queue, job_id) for job_id in jobs]
        assert {job.state for job in ended} == {State.SENT}
        assert [job.message_id for job in ended] == [ids[ordinary(number)] for number in range(SLOTS)]
        assert got[0]["messageId"] == ids[ordinary(0)]
        assert len(sandbox.calls()) == SLOTS

        sandbox.post("/sandbox/reset")
        sandbox.post("/sandbox/latency", seconds=1.0)
        jobs = [job.id for job in queue.enqueue_many(_messages(SLOTS))]
        assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
        assert sandbox.at_once(1.0) == SLOTS
        queue.close()
    finally:
        worker.kill()


def _messages(first: int) -> list[Sms]:
    return [Sms(recipient=ordinary(first + number), text="Код") for number in range(SLOTS)]
