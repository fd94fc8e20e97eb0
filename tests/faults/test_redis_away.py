"""Redis goes away under a busy worker and comes back (F24, F26, F28, F90 in short)."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smsq import Job, QueueUnavailable, Settings, Sms, SmsQueue
from tests.support.sandbox import ROOT, Sandbox
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

#: The gateway's bounds are the sandbox's, so that what a restart has made doubtful is settled within seconds.
SETTLES_SOON = {
    "SMSQ_GATEWAY_BOUND": "1",
    "SMSQ_LIST_DELAY": "1",
    "SMSQ_SETTLING_TIME": "2",
    "SMSQ_CALL_TIMEOUT": "3",
    "SMSQ_RETRY_WINDOW": "1",
    "SMSQ_LEASE": "6",
}
POOLS = [(), ("-P", "threads", "-c", "20"), ("-P", "prefork", "-c", "4")]


class Site:
    """A server of its own, a worker on it, and the sandbox behind."""

    def __init__(self, server: Server, sandbox: Sandbox, folder: Path, *arguments: str) -> None:
        self.server = server
        self.sandbox = sandbox
        self.env = environment(server.url, sandbox.url, **SETTLES_SOON)
        self.worker = Worker(folder / "worker.log", self.env, "-E", *arguments)
        self.queue = SmsQueue(server.url, settings=Settings.load(redis_url=server.url))
        self.ids: list[str] = []

    def enqueue(self, count: int) -> None:
        """Enqueues messages, each with a key, and again as long as Redis can't take them."""
        for _ in range(count):
            number = len(self.ids)
            sms = Sms(recipient=str(77010000000 + number), text="Привет")
            self.ids.append(wait_until(lambda: self._try(sms, f"k{number}"), what="enqueue"))  # noqa: B023

    def _try(self, sms: Sms, key: str) -> str:
        try:
            return self.queue.enqueue(sms, idempotency_key=key).id
        except QueueUnavailable:
            return ""

    def check_all_sent_once(self) -> None:
        """Each accepted job is sent with the ids of its one message."""
        jobs = [self._end_of(job_id) for job_id in self.ids]
        mine = {str(77010000000 + number) for number in range(len(self.ids))} | {"77019999999"}
        by_id = {
            int(message["messageId"]): message for message in self.sandbox.messages() if message["recipient"] in mine
        }
        assert len(by_id) == len(self.ids)
        assert [job.state for job in jobs if job] == ["sent"] * len(self.ids)
        assert {job.message_id for job in jobs if job} == set(by_id)

    def _end_of(self, job_id: str) -> Job | None:
        """Waits for a job's end. Meanwhile others are sent: what is in doubt needs a newer message that is known."""
        for _ in range(60):
            job = self.queue.wait(job_id, 1)
            if job is None or job.state.final:
                return job
            self.queue.enqueue(Sms(recipient="77018888888", text="another message"))
        raise AssertionError(f"{job_id} is still {job.state if job else None}")

    def check_answers(self) -> None:
        """The worker answers a remote control command."""
        ping = [sys.executable, "-m", "celery", "-A", "worker", "inspect", "ping"]
        answer = subprocess.run(ping, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert "pong" in answer.stdout, answer.stdout + answer.stderr


@pytest.fixture
def site(own_server: Callable[..., Server], sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes a site; options go to the worker."""
    made: list[Site] = []

    def make(*arguments: str) -> Site:
        made.append(Site(own_server(), sandbox, tmp_path, *arguments))
        return made[-1]

    yield make
    for each in made:
        each.queue.close()
        each.worker.kill()


@pytest.mark.parametrize("pool", POOLS, ids=["loop", "threads", "prefork"])
def test_killed_redis_that_restarts_loses_nothing_and_sends_nothing_twice(
    site: Callable[..., Site], pool: tuple[str, ...]
) -> None:
    """After kill -9 and a restart on its append-only file the worker consumes again by itself and answers."""
    here = site(*pool)
    here.worker.wait_ready()
    here.enqueue(50)
    wait_until(lambda: len(here.sandbox.messages()) >= 10, what="calls are out")
    here.server.kill()
    here.server.start()
    here.enqueue(30)
    here.check_all_sent_once()
    here.check_answers()
    assert here.worker.stop() == 0


def test_cut_connections_cost_nothing(site: Callable[..., Site]) -> None:
    """CLIENT KILL of every connection, ten times over, leaves a worker that consumes and answers."""
    here = site()
    here.worker.wait_ready()
    for _ in range(10):
        here.enqueue(10)
        with here.server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
    here.check_all_sent_once()
    here.check_answers()


def test_frozen_redis_thaws_and_all_goes_on(site: Callable[..., Site]) -> None:
    """While Redis is frozen producers hear of it; after the thaw everything accepted is sent once."""
    here = site()
    here.worker.wait_ready()
    here.enqueue(20)
    here.server.signal(signal.SIGSTOP)
    with pytest.raises(QueueUnavailable, match="no answer in time"):
        here.queue.enqueue(Sms(recipient="77019999999", text="x"), idempotency_key="k20")
    here.server.signal(signal.SIGCONT)
    here.ids.append(here.queue.enqueue(Sms(recipient="77019999999", text="x"), idempotency_key="k20").id)
    here.check_all_sent_once()
    here.check_answers()


def test_worker_waits_for_redis_and_says_so(site: Callable[..., Site]) -> None:
    """A worker that is started while Redis is away says so, waits, and consumes when it is there."""
    here = site()
    here.worker.kill()
    here.server.kill()
    here.worker = Worker(here.worker.log.with_name("late.log"), here.env)
    wait_until(lambda: "Cannot connect" in here.worker.text(), what="the worker says that Redis is away")
    assert here.worker.process.poll() is None
    here.server.start()
    here.enqueue(5)
    here.check_all_sent_once()


def test_term_ends_a_worker_that_waits_for_redis(site: Callable[..., Site]) -> None:
    """SIGTERM ends a worker also while Redis is away."""
    here = site()
    here.worker.wait_ready()
    here.server.kill()
    wait_until(lambda: "Cannot connect" in here.worker.text(), what="the worker has noticed")
    here.worker.stop()
