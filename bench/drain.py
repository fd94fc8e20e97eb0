"""How fast a backlog is worked off, at what cost, and what enqueuing it took."""

import time
from collections.abc import Sequence
from typing import Any, Final

from bench.contenders import Contender
from bench.environments import python_of
from bench.peers.produce import WARM_UP
from bench.processes import MeasurementError, Process, Stage

#: What a measurement found, by name. Times are in ms, rates a second, memory in MB or bytes as the name says.
Figures = dict[str, float]

#: The first of the numbers that messages go to.
FIRST: Final = 77010000100
#: Seconds that one drain may take; the rate of what was done until then is its rate.
_LIMIT = 30.0
#: Seconds after the last call in which jobs are settled, so that their cost counts too.
_SETTLING = 0.5
#: Seconds between two looks at a process tree: each look costs CPU that the measured ones lack.
_PAUSE = 0.1


def produce(stage: Stage, contender: Contender, mode: str, count: int, first: int = FIRST, **options: str) -> Any:  # noqa: ANN401 - JSON
    """Runs `bench.peers.produce` in the contender's environment and returns what it printed.

    Args:
        stage: Where.
        contender: Whose producer.
        mode: ``each``, ``spaced`` or ``many``.
        count: How many messages.
        first: The first message's number.
        options: Passed on.
    """
    given = [f"{name}={value}" for name, value in options.items()]
    command = [python_of(contender), "-m", "bench.peers.produce", contender.module, mode, str(count), str(first)]
    return stage.run([*command, *given])


class Watch:
    """Watches workers until the gateway has seen enough.

    Args:
        stage: Where.
        workers: Whose CPU and memory count.
    """

    def __init__(self, stage: Stage, workers: Sequence[Process]) -> None:
        self._stage = stage
        self._workers = workers
        self.memory: list[tuple[float, float]] = []  # calls so far, MB resident

    def until(self, calls: int, *, limit: float = _LIMIT) -> Figures:
        """Waits for so many different messages and returns rate, CPU a job and memory.

        Args:
            calls: How many.
            limit: Seconds after the first call at which it is enough in any case.
        """
        stage = self._stage
        if not stage.wait(lambda: stage.gateway.stats()["calls"] > 0, *self._workers, timeout=60):
            raise MeasurementError(f"no call within a minute: {self._workers[0].tail()}")
        began = time.monotonic()
        before, cpu, redis_cpu = stage.gateway.stats(), self._cpu(), stage.broker.cpu()

        def enough() -> bool:
            stats = stage.gateway.stats()
            self.memory.append((stats["calls"], sum(worker.usage().rss for worker in self._workers)))
            return stats["distinct"] >= calls or time.monotonic() - began > limit

        stage.wait(enough, *self._workers, timeout=limit + 30, pause=_PAUSE)
        time.sleep(_SETTLING)
        after = stage.gateway.stats()
        figures = {
            "rate": (after["calls"] - 1) / max(after["last"] - after["first"], 1e-6),
            "rss_mb": max(rss for _, rss in self.memory),
            "done": after["distinct"],
            "wanted": float(calls),
            "twice": after["calls"] - after["distinct"],
        }
        if jobs := after["calls"] - before["calls"]:
            figures["cpu_ms"] = (self._cpu() - cpu) / jobs * 1000
            figures["redis_cpu_ms"] = (stage.broker.cpu() - redis_cpu) / jobs * 1000
        return figures

    def _cpu(self) -> float:
        return sum(worker.usage().cpu for worker in self._workers)


def drain(contender: Contender, *, latency: float, jobs: int, appendonly: bool) -> Figures:
    """Enqueues jobs one by one, then starts a worker and measures how it works them off.

    Args:
        contender: Who.
        latency: The gateway's, in milliseconds.
        jobs: How many.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(latency=latency, appendonly=appendonly) as stage:
        if not contender.queued:
            worker = contender.start(stage, python_of(contender), str(jobs))
            return Watch(stage, [worker]).until(jobs)
        idle = stage.broker.cpu()
        enqueued = produce(stage, contender, "each", jobs)
        enqueued["redis_cpu_ms"] = (stage.broker.cpu() - idle) / (jobs + WARM_UP) * 1000
        worker = contender.start(stage, python_of(contender))
        figures = Watch(stage, [worker]).until(jobs + WARM_UP)
    return figures | {f"enqueue_{name}": value for name, value in enqueued.items()}


def many_slots(contender: Contender, *, slots: int, latency: float, jobs: int, appendonly: bool) -> Figures:
    """Drains with another number of slots; the contender is one of Celery's, as it gets ``-c``.

    Args:
        contender: Who.
        slots: How many calls may be out at once.
        latency: The gateway's, in milliseconds.
        jobs: How many.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(latency=latency, appendonly=appendonly) as stage:
        produce(stage, contender, "many", jobs)
        worker = contender.start(stage, python_of(contender), "-c", str(slots))
        return Watch(stage, [worker]).until(jobs)


def steady(contender: Contender, *, jobs: int, appendonly: bool) -> Figures:
    """Drains very many jobs and compares the worker's memory during the first tenth and the last.

    Args:
        contender: Who.
        jobs: How many.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(appendonly=appendonly) as stage:
        produce(stage, contender, "many", jobs)
        watch = Watch(stage, [contender.start(stage, python_of(contender))])
        figures = watch.until(jobs, limit=_LIMIT + jobs / 500)
    early = [rss for calls, rss in watch.memory if calls <= jobs / 10]
    late = [rss for calls, rss in watch.memory if calls >= jobs * 0.9]
    return figures | {"rss_first_mb": max(early or late), "rss_last_mb": max(late or early)}
