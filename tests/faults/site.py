"""A site under faults: a Redis of its own, workers on it, the sandbox behind them, and what must hold afterwards."""

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kombu import pools

from smsq import Job, QueueUnavailable, Settings, Sms, SmsQueue
from smsq.lanes import Lane
from smsq.states import State
from tests.soak.store import lasting_port
from tests.support.monitor import Events, monitor_app
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    from celery import Celery

#: The gateway's bounds are the sandbox's, so that what a restart has made doubtful is settled within seconds.
SETTLES_SOON = {
    "SMSQ_GATEWAY_BOUND": "1",
    "SMSQ_LIST_DELAY": "1",
    "SMSQ_SETTLING_TIME": "2",
    "SMSQ_CALL_TIMEOUT": "3",
    "SMSQ_RETRY_WINDOW": "1",
    "SMSQ_LEASE": "6",
    "SMSQ_RESERVATION": "4",  # what a take costs whose answer is lost: the network may deliver one after its time
}
#: A worker for each pool, by the lane that is its own: fewer slots than a burst of jobs has. The first one's window is
#: smaller than that too, so that jobs wait on its lane; the others' have room, and those workers ask for more.
POOLS: dict[Lane, tuple[str, ...]] = {
    "urgent": ("-c", "5"),
    "normal": ("-P", "threads", "-c", "10", "--prefetch-multiplier", "10"),
    "bulk": ("-P", "prefork", "-c", "4", "--prefetch-multiplier", "10"),
}
_OTHERS = ordinary(9_999_999)


class SteadyServer(Server):
    """A server whose port stays free while it is away, however many clients call in vain meanwhile.

    Args:
        folder: Where its files go.
        arguments: Options for its command line, after ours.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = lasting_port()
        self.arguments = arguments
        self.process = None
        self.start()


class Site:
    """Everything that a fault is about.

    Args:
        server: The Redis.
        sandbox: The gateway.
        folder: For the workers' logs.
        url: Where workers find Redis, if not at the server itself.
        producers: Where producers do.
        lanes: Jobs are enqueued on these in turn.
    """

    def __init__(
        self,
        server: Server,
        sandbox: Sandbox,
        folder: Path,
        *,
        url: str | None = None,
        producers: str | None = None,
        lanes: Sequence[Lane] = ("normal",),
    ) -> None:
        self.server = server
        self.sandbox = sandbox
        self.url = url or server.url
        self.lanes = lanes
        self.workers: list[Worker] = []
        producers = producers or server.url
        self.queue = SmsQueue(producers, settings=Settings.load(redis_url=producers))
        self._numbers, self._names = itertools.count(), itertools.count()
        self._book: dict[str, str] = {}  # job id -> number
        self._folder = folder

    def start(self, *arguments: str, ready: bool = True, **settings: str) -> Worker:
        """Starts a worker: options as Celery's, settings as keyword arguments.

        Args:
            arguments: After `celery -A worker worker`.
            ready: Whether to wait until it consumes.
            settings: Variables of its environment, on top of ours.
        """
        env = environment(self.url, self.sandbox.url, **{**SETTLES_SOON, **settings})
        name = f"worker{next(self._names)}"
        self.workers.append(Worker(self._folder / f"{name}.log", env, "-E", "-n", f"{name}@site", *arguments))
        return self.workers[-1].wait_ready() if ready else self.workers[-1]

    # -- producing

    def enqueue(self, count: int) -> list[str]:
        """Enqueues messages to numbers of their own, each with a key, and again as long as Redis can't take them.

        Returns:
            The jobs' ids.
        """
        jobs = {self._accepted(number): ordinary(number) for number in itertools.islice(self._numbers, count)}
        self._book |= jobs
        return list(jobs)

    def _accepted(self, number: int) -> str:
        sms, lane = Sms(recipient=ordinary(number), text="Привет"), self.lanes[number % len(self.lanes)]

        def job_id() -> str:
            try:
                return self.queue.enqueue(sms, lane=lane, idempotency_key=sms.recipient).id
            except QueueUnavailable:
                return ""

        return wait_until(job_id, what="the job is accepted", timeout=60)

    def calls_are_out(self, count: int) -> None:
        """Waits until the gateway was called so often."""
        wait_until(lambda: len(self.sandbox.calls()) >= count, what=f"{count} calls")

    # -- the books

    def end_of(self, job_id: str, timeout: int = 90) -> Job:
        """Waits for a job's end. Meanwhile others are sent: what is in doubt needs a newer message that is known.

        Args:
            job_id: The job.
            timeout: Seconds after which the test fails.
        """
        for _ in range(timeout):
            try:
                job = self.queue.wait(job_id, 1)
                assert job, "the job isn't known"
                if job.state.final:
                    return job
                self.queue.enqueue(Sms(recipient=_OTHERS, text="another message"))
            except QueueUnavailable:  # a busy machine: who is told so asks again
                continue
        raise AssertionError(f"{job_id} is still {self.queue.lookup(job_id)}")

    def check_all_sent_once(self) -> None:
        """Each accepted job is sent with the ids of its one message, and no number of theirs has another."""
        ended = {job_id: self.end_of(job_id) for job_id in self._book}
        got = {str(each["recipient"]): int(each["messageId"]) for each in self.sandbox.messages()}
        counts = self.sandbox.counts()
        assert {job.state for job in ended.values()} == {State.SENT}
        assert {number: counts[number] for number in self._book.values()} == dict.fromkeys(self._book.values(), 1)
        assert {job_id: job.message_id for job_id, job in ended.items()} == {
            job_id: got[number] for job_id, number in self._book.items()
        }

    def close_book(self) -> None:
        """Forgets the jobs so far, as the sandbox does when it is emptied."""
        self._book.clear()

    # -- three observations of workers that consume (F26)

    def check_consumes(self) -> None:
        """New jobs are sent within ten seconds, remote commands are answered, and monitors see each worker."""
        for job_id in self.enqueue(len(self.lanes)):
            job = self.queue.wait(job_id, 10)
            assert job
            assert job.state is State.SENT, "jobs flow within ten seconds"
        names = {f"{worker.log.stem}@site" for worker in self.workers}
        app = monitor_app(self.server.url)
        try:
            wait_until(lambda: _answering(app, len(names)) == names, what="each answers a remote command")
            with Events(app) as events:  # asks for heartbeats until one arrives
                wait_until(lambda: _heard(events) == names, what="each is seen by monitors")
        finally:
            app.close()
            pools.reset()  # kombu keeps the monitor's connections for the next one, and a fault may cut them

    def same_processes(self) -> None:
        """No worker has ended."""
        assert [worker.process.poll() for worker in self.workers] == [None] * len(self.workers)

    def close(self) -> None:
        """Kills the workers."""
        self.queue.close()
        for worker in self.workers:
            worker.kill()


def _answering(app: "Celery", count: int) -> set[str]:
    return {name for answer in app.control.ping(timeout=2.0, limit=count) for name in answer}


def _heard(events: Events) -> set[str]:
    return {str(event["hostname"]) for event in events.seen if event["type"] == "worker-heartbeat"}


def last(seconds: float) -> None:
    """Lets a fault last: not a wait for something to happen, but the fault itself."""
    threading.Event().wait(seconds)
