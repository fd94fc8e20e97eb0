"""The processes of a soak: workers, producers, the store, the gateway and the way to it."""

import contextlib
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from smsq import Settings, SmsQueue
from smsq.durability import Durability
from tests.soak.gate import Gate
from tests.soak.mutants import MUTANTS
from tests.soak.producers import Producer
from tests.soak.promises import Book
from tests.soak.store import Store
from tests.soak.tempo import Tempo
from tests.soak.traffic import GROUP, Traffic
from tests.soak.worker import SoakWorker, python
from tests.support.sandbox import ROOT, Sandbox
from tests.support.worker import environment

#: Seconds that a worker may take to be gone after SIGTERM.
_GONE: Final = 45.0
#: Seconds between ordinary messages that keep the account busy.
_TRICKLE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak is to be.

    Attributes:
        seed: Fixes messages and faults; what the faults meet is chance.
        jobs: Messages to enqueue.
        faults: How many, of all kinds together.
        kinds: Which.
        seconds: How long producers and faults take.
        durability: `SMSQ_DURABILITY`.
        tempo: The times by which all runs.
        pools: A worker each, by Celery's options.
        producers: Processes that enqueue.
        mutant: The mechanism that workers and producers run without, or None.
    """

    seed: int
    jobs: int
    faults: int
    kinds: tuple[str, ...]
    seconds: float
    durability: Durability
    tempo: Tempo
    pools: tuple[tuple[str, ...], ...]
    producers: int = 3
    mutant: str | None = None


@dataclass(slots=True)
class _Share:
    """A producer's part of the messages, and the processes that have worked on it, by their books."""

    first: int
    end: int
    books: list[Path] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None


class Plant:
    """All processes of a soak. As a context: started, and ended whatever happens.

    Args:
        folder: Where their files go.
        plan: What they are to be.

    Attributes:
        store: Redis.
        sandbox: The gateway; its own book is never harmed.
        gate: The way to it.
        queue: The ledger, as the harness sees it.
        workers: Those that are to run at present.
        complaints: What went wrong with a process and was nobody's doing.
        late_or_frozen: Held while workers are frozen, or calls are accepted late. The sandbox counts its lateness from
            when its caller hung up, which a frozen one doesn't: together they would break the gateway's bound.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.plan = plan
        self.traffic = Traffic(plan.seed, plan.jobs)
        self.workers: list[SoakWorker] = []
        self.complaints: list[str] = []
        self.late_or_frozen = threading.Lock()
        self._folder = folder
        self._numbers = itertools.count()
        self._started: list[SoakWorker] = []
        self._shares = [_Share(first, end) for first, end in _shares(plan.jobs, plan.producers)]
        self._canaries = folder / "canaries.jsonl"
        self._resting = threading.Event()
        self._mutant = MUTANTS[plan.mutant] if plan.mutant else None

    def __enter__(self) -> Self:
        """Starts everything but the producers."""
        plan = self.plan
        with contextlib.ExitStack() as stack:
            self.store = Store(self._folder, plan.durability)
            stack.callback(self.store.stop)
            self.sandbox = Sandbox()
            stack.callback(self.sandbox.stop)
            self.sandbox.post("/sandbox/flags", late_seconds=plan.tempo.late, list_delay_seconds=plan.tempo.usual_delay)
            if self._mutant:
                self.sandbox.post("/sandbox/latency", seconds=self._mutant.latency)
            self.gate = stack.enter_context(Gate(self.sandbox.port))
            self.queue = SmsQueue(settings=Settings.load(redis_url=self.store.url, durability=plan.durability))
            stack.callback(self.queue.close)
            stack.callback(self._end_processes)
            for pool in plan.pools:
                self.start_worker(pool)
            for worker in self.workers:
                worker.wait_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends everything."""
        self._stack.close()

    def _end_processes(self) -> None:
        self._resting.set()
        for worker in self._started:
            if worker.process.poll() is None:
                worker.kill()
        for share in self._shares:
            if share.process:
                share.process.kill()
                share.process.wait()

    # -- workers

    def start_worker(self, pool: tuple[str, ...]) -> SoakWorker:
        """Starts a worker; it isn't ready yet."""
        durability = str(self.plan.durability)
        settings = self.plan.tempo.settings() | {"SMSQ_DURABILITY": durability}
        settings |= self._mutant.settings if self._mutant else {}
        env = environment(self.store.url, self.gate.url, **settings)
        worker = SoakWorker(self._folder / f"w{next(self._numbers)}.log", env, pool, self.plan.mutant)
        self.workers.append(worker)
        self._started.append(worker)
        return worker

    def any_worker(self, dice: Random, *, with_children: bool = False) -> SoakWorker:
        """Returns one of the workers; those that have ended by themselves are replaced first."""
        self.replace_the_dead()
        return dice.choice([worker for worker in self.workers if worker.has_children or not with_children])

    def replace_the_dead(self) -> None:
        """Replaces workers that have ended by themselves, and complains about them."""
        for worker in list(self.workers):
            if (code := worker.process.poll()) is not None:
                self.complaints.append(f"a worker ended by itself, with exit code {code}: {worker.log}")
                self.replace_worker(worker)

    def replace_worker(self, worker: SoakWorker) -> None:
        """Starts a worker in the place of one that ends, and waits until it is ready."""
        self.workers.remove(worker)
        self.start_worker(worker.pool).wait_ready()

    def see_it_go(self, worker: SoakWorker) -> None:
        """Waits until a worker that was told to stop is gone; one that doesn't go is killed, and complained about."""
        try:
            worker.process.wait(_GONE)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"a worker did not stop within {_GONE:.0f} s: {worker.log}")
            worker.kill()

    @contextmanager
    def frozen(self, worker: SoakWorker) -> Iterator[None]:
        """Freezes a worker, its children too, for as long as the context lasts."""
        with self.late_or_frozen:
            worker.signal_all(signal.SIGSTOP)
            try:
                yield
            finally:
                worker.signal_all(signal.SIGCONT)

    # -- producers

    def start_producers(self) -> None:
        """Starts the producers, and the trickle of ordinary messages that goes on until `rest`."""
        self._begun = time.monotonic()
        for share in self._shares:
            self._start_producer(share)
        self._trickle = threading.Thread(target=self._keep_busy, name="trickle", daemon=True)
        self._trickle.start()

    def kill_producer(self, dice: Random) -> None:
        """Kills a producer and starts another that takes over its work; one that has done its work is left alone."""
        running = [share for share in self._shares if share.process and share.process.poll() is None]
        if not running:
            return
        share = dice.choice(running)
        assert share.process
        share.process.kill()
        share.process.wait()
        self._start_producer(share)

    def wait_for_producers(self, timeout: float) -> None:
        """Waits until every message was offered.

        Args:
            timeout: Seconds.
        """
        deadline = time.monotonic() + timeout
        for share in self._shares:
            assert share.process
            code = share.process.wait(max(1.0, deadline - time.monotonic()))
            assert code == 0, f"a producer failed with exit code {code}; its output is in {self._folder}"

    def _start_producer(self, share: _Share) -> None:
        number = next(self._numbers)
        book = self._folder / f"producer{number}.jsonl"
        book.touch()
        left = max(1.0, self._begun + self.plan.seconds - time.monotonic())
        command = [
            *(*python("tests.soak.producers", self.plan.mutant), "--url", self.store.url, "--book", str(book)),
            *("--seed", str(self.plan.seed), "--jobs", str(self.plan.jobs), "--seconds", str(left)),
            *("--first", str(share.first), "--end", str(share.end)),
            *("--predecessors", *map(str, share.books)),
        ]
        env = environment(self.store.url, self.gate.url, SMSQ_DURABILITY=str(self.plan.durability))
        with (self._folder / f"producer{number}.log").open("ab") as out:
            share.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        share.books.append(book)

    def _keep_busy(self) -> None:
        with Book(self._canaries) as book:
            producer = Producer(self.queue, book, self.traffic)
            for number in itertools.count(self.plan.jobs):
                if self._resting.wait(_TRICKLE):
                    return
                producer.offer(self.traffic.message(number).group, [number])

    def rest(self) -> None:
        """Ends the trickle."""
        self._resting.set()
        self._trickle.join()

    def producers_books(self) -> list[Path]:
        """Returns the producers' books, a process's after those whose work it took over."""
        return [book for share in self._shares for book in share.books]

    def trickles_book(self) -> Path:
        """Returns the book of the ordinary messages that keep the account busy."""
        return self._canaries


def _shares(jobs: int, producers: int) -> Iterator[tuple[int, int]]:
    """Cuts the messages into runs of whole groups."""
    size = -(-jobs // (producers * GROUP)) * GROUP
    for first in range(0, jobs, size):
        yield first, min(first + size, jobs)
