"""The processes of a soak: server, gateway, workers, producers, and what is known of their lives."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from smsq import Settings, SmsQueue
from smsq.durability import Durability
from tests.soak.books import Window
from tests.soak.producers import RELEASED, book_of
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wire import Wire
from tests.support.worker import ROOT, Worker, environment

#: Seconds by which a copy may be older than the moment it is made: `appendfsync everysec` may put a write off so long.
WRITES_WITHIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Times:
    """How fast everything goes, in seconds: the settings of the workers, and what the gateway keeps to.

    Attributes:
        call_timeout: Of a call.
        lease: Of a begun job.
        reservation: Of a taken one.
        bound: After a call, the sandbox accepts nothing later than this.
        list_delay: Within this its lists show a message.
        settling: After a call, before absence counts.
        give_up: After which asking ends as `unknown`.
    """

    call_timeout: float = 2.0
    lease: float = 8.0
    reservation: float = 4.0
    bound: float = 8.0
    list_delay: float = 1.0
    settling: float = 10.0
    give_up: float = 900.0

    @property
    def held_up(self) -> float:
        """How long the gateway may be held up: far enough from its bound that a busy machine doesn't break it."""
        return min(3.0, (self.bound - self.call_timeout) / 2)

    @property
    def past_settling(self) -> float:
        """A sleep after which another worker has certainly asked, been told "absent", and called."""
        return self.lease + self.settling + 10.0

    def as_settings(self) -> dict[str, str]:
        """Returns them as a worker's environment."""
        return {
            "SMSQ_CALL_TIMEOUT": str(self.call_timeout),
            "SMSQ_CONNECT_TIMEOUT": str(self.call_timeout / 2),
            "SMSQ_RETRY_WINDOW": "0.5",
            "SMSQ_LEASE": str(self.lease),
            "SMSQ_RESERVATION": str(self.reservation),
            "SMSQ_GATEWAY_BOUND": str(self.bound),
            "SMSQ_LIST_DELAY": str(self.list_delay),
            "SMSQ_SETTLING_TIME": str(self.settling),
            "SMSQ_ASK_LIMIT": str(self.give_up),
            "SMSQ_DISPATCH_INTERVAL": "0.2",
            "SMSQ_SWEEP_INTERVAL": "1",
            "SMSQ_SHUTDOWN_GRACE": "10",
            "SMSQ_MAX_LOSSES": "100",  # a storm of kills is no reason to put a job aside
        }


class SoakWorker(Worker):
    """A worker, perhaps with a mechanism taken out.

    Args:
        log: The file that its output goes to.
        env: Its environment.
        mutant: The mechanism (`tests.soak.mutant`), or "".
        arguments: Options after `celery -A worker worker`.
    """

    def __init__(self, log: Path, env: dict[str, str], mutant: str, *arguments: str) -> None:
        self.log = log
        program = ["tests.soak.mutant", mutant] if mutant else ["celery"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *program, "-A", "worker", "worker", *arguments],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def children(self) -> list[int]:
        """Returns the ids of its pool's processes."""
        found: list[int] = []
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found


@dataclass(slots=True)
class Post:
    """A worker's place: who is there now.

    Attributes:
        name: The worker's name begins with it.
        arguments: Its pool.
        worker: Who works there.
        started: How many have worked there.
        busy: Whether a fault has hold of it; its end is then nobody's surprise.
    """

    name: str
    arguments: tuple[str, ...]
    worker: SoakWorker
    started: int = 1
    busy: bool = False


@dataclass(slots=True)
class ProducerPost:
    """A producer's place: its share of the messages, and the process that offers them.

    Attributes:
        index: Which.
        first: Its first message's number.
        count: How many messages it has.
        process: The process.
        killed: Whether a fault has killed it.
    """

    index: int
    first: int
    count: int
    process: "subprocess.Popen[bytes]"
    killed: bool = False

    @property
    def done(self) -> bool:
        """Whether it has come to the end of its share."""
        return self.process.poll() == 0


@dataclass(slots=True)
class Team:
    """Who takes part: each worker's options, and how many producers."""

    workers: tuple[tuple[str, ...], ...]
    producers: int


@dataclass(slots=True)
class Copy:
    """An older copy of the server's files."""

    folder: Path
    at: float


@dataclass(slots=True)
class Happened:
    """What the faults leave for the report. Appended to by several threads.

    Attributes:
        forgotten: What Redis may have forgotten.
        died: Workers that ended without anyone's doing.
        notes: What makes the run's figures doubtful.
    """

    forgotten: list[Window] = field(default_factory=list)
    died: int = 0
    notes: list[str] = field(default_factory=list)


class Plant:
    """All processes of a soak. As a context it ends them.

    Args:
        folder: For logs, the server's files and the promises.
        seed: The run's.
        jobs: How many messages the producers share.
        team: Who takes part.
        durability: `SMSQ_DURABILITY`.
        times: How fast everything goes.
        mutant: The mechanism that the workers lack, or "".
    """

    def __init__(
        self, folder: Path, *, seed: int, jobs: int, team: Team, durability: Durability, times: Times, mutant: str
    ) -> None:
        self.folder = folder
        self.times = times
        self.durability = durability
        self.happened = Happened()
        self.copies: list[Copy] = []
        self.over = threading.Event()
        self._seed = seed
        self._jobs = jobs
        self._team = team
        self._mutant = mutant
        self._lock = threading.RLock()
        self._servers = 0

    def __enter__(self) -> Self:
        """Starts everything and waits until the workers consume."""
        with ExitStack() as stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.release(0.0)
            self.server = self.new_server()
            stack.callback(lambda: self.server.stop())
            self.sandbox = Sandbox()
            stack.callback(self._stop_sandbox)
            self.sandbox.post("/sandbox/flags", late_seconds=self.times.held_up / 2, list_delay_seconds=0)
            self.sandbox.post("/sandbox/latency", seconds=self.times.call_timeout / 10)
            self.wire = stack.enter_context(Wire(self.sandbox.port))
            self._env = environment(
                self.server.url,
                f"http://127.0.0.1:{self.wire.port}",
                SMSQ_DURABILITY=str(self.durability),
                **self.times.as_settings(),
            )
            self.queue = SmsQueue(settings=Settings.load(redis_url=self.server.url, durability=self.durability))
            stack.callback(self.queue.close)
            self.posts: list[Post] = []
            self.producers: list[ProducerPost] = []
            stack.callback(self._kill_workers_and_producers)
            for number, arguments in enumerate(self._team.workers):
                name = f"w{number}"
                self.posts.append(Post(name, arguments, self._new_worker(name, 1, arguments)))
            for post in self.posts:
                post.worker.wait_ready()
            share, rest = divmod(self._jobs, self._team.producers)
            first = 0
            for index in range(self._team.producers):
                count = share + (index < rest)
                process = self._new_producer(index, first, count)
                self.producers.append(ProducerPost(index, first, count, process))
                first += count
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything."""
        self.over.set()
        self._exit.close()

    # -- the server

    def new_server(self) -> Server:
        """Starts another server, empty and on a port of its own."""
        self._servers += 1
        return Server(self.folder / f"redis{self._servers}")

    def make_copy(self) -> None:
        """Copies the server's files as they are at this moment, and forgets the older copy."""
        self.server.signal(signal.SIGSTOP)
        try:
            at = time.time()
            copy = self.folder / f"copy-{at}"
            shutil.copytree(self.server.folder, copy)
        finally:
            self.server.signal(signal.SIGCONT)
        while self.copies:
            shutil.rmtree(self.copies.pop().folder)
        self.copies.append(Copy(copy, at))

    def forgotten(self, why: str, start: float) -> None:
        """Notes that Redis has gone back just now to what it was at `start` (unix seconds)."""
        self.happened.forgotten.append(Window(why, start - WRITES_WITHIN, time.time()))

    # -- workers

    def _new_worker(self, name: str, number: int, arguments: tuple[str, ...]) -> SoakWorker:
        log = self.folder / f"{name}-{number}.log"
        return SoakWorker(log, self._env, self._mutant, "-n", f"{name}-{number}@soak", *arguments)

    def start_worker(self, post: Post) -> None:
        """Puts a new worker in a place."""
        post.started += 1
        post.worker = self._new_worker(post.name, post.started, post.arguments)

    @contextlib.contextmanager
    def hold_worker(self, suits: Callable[[Post], bool], choose: Callable[[list[Post]], Post]) -> Iterator[Post]:
        """Takes hold of a worker: no other fault touches it meanwhile. Waits until there is one.

        Args:
            suits: Whether a place will do.
            choose: Picks one of those.
        """
        while True:
            with self._lock:
                free = [post for post in self.posts if not post.busy and suits(post)]
                if free and sum(post.busy for post in self.posts) < len(self.posts) - 1:  # somebody must work
                    post = choose(free)
                    post.busy = True
                    break
            if self.over.wait(0.1):
                raise Over
        try:
            yield post
        finally:
            post.busy = False

    def hold(self, seconds: float) -> None:
        """Lets a fault last."""
        if self.over.wait(seconds):
            raise Over

    # -- producers

    def _new_producer(self, index: int, first: int, count: int) -> "subprocess.Popen[bytes]":
        arguments = {"folder": self.folder, "index": index, "first": first, "count": count, "seed": self._seed}
        with (self.folder / f"producer-{index}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.soak.producers",
                    *(each for name, value in arguments.items() for each in (f"--{name}", str(value))),
                ],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=log,
            )

    def release(self, share: float) -> None:
        """Lets producers offer as much of their messages (0 to 1) as this, no more."""
        new = self.folder / f"{RELEASED}.new"
        new.write_text(f"{share:.6f}")
        new.replace(self.folder / RELEASED)

    def promises(self) -> list[Path]:
        """Returns the files of what was promised: the producers', and the trickle's."""
        return [book_of(self.folder, index) for index in range(-1, self._team.producers)]

    # -- all

    def supervise(self) -> None:
        """Does what a supervisor does: starts again what has ended. Says so of what nobody has ended."""
        for post in self.posts:
            if not post.busy and post.worker.process.poll() is not None:
                self.happened.died += 1
                post.worker.kill()  # children that it left behind
                self.start_worker(post)
        for producer in self.producers:
            code = producer.process.poll()
            if code is None or code == 0:
                continue
            if not producer.killed:
                self.happened.notes.append(f"producer {producer.index} ended by itself, see producer-*.log")
            producer.killed = False
            producer.process = self._new_producer(producer.index, producer.first, producer.count)

    def _kill_workers_and_producers(self) -> None:
        for post in self.posts:
            post.worker.kill()
        for producer in self.producers:
            producer.process.kill()
            producer.process.wait()

    def _stop_sandbox(self) -> None:
        os.kill(self.sandbox.process.pid, signal.SIGCONT)
        self.sandbox.stop()


class Over(Exception):  # noqa: N818 - not an error
    """The soak ends while a fault lasts."""
