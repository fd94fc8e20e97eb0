"""Single figures: bulk enqueuing, the way of one message to an idle worker, and what Redis keeps of a job."""

import time
from collections.abc import Mapping
from typing import Final

from bench.contenders import Contender
from bench.drain import FIRST, Figures, produce
from bench.environments import python_of
from bench.peers.produce import WARM_UP
from bench.processes import MeasurementError, Stage

#: 70 characters: one segment of an SMS that isn't Latin, full.
CYRILLIC: Final = "Ваш заказ собран и ждёт вас в пункте выдачи до пятницы включительно, ✓"
#: Seconds that the last messages may take to arrive after the producer has ended.
_STRAGGLERS = 60.0
#: Seconds between two looks at all that arrived: while the gateway tells it, it sees nobody arrive.
_LOOK = 1.0


def quantile(values: list[float], share: float) -> float:
    """Returns the value that this share of them doesn't exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def bulk(contender: Contender, *, count: int, appendonly: bool) -> Figures:
    """Enqueues many by the library's own way for that: jobs a second, and the producer's peak memory.

    Args:
        contender: Who.
        count: How many, from an iterator.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(appendonly=appendonly) as stage:
        idle = stage.broker.cpu()
        produced: Figures = produce(stage, contender, "many", count)
        return produced | {"redis_cpu_ms": (stage.broker.cpu() - idle) / count * 1000}


def delays(begun: Mapping[str, float], stage: Stage) -> Figures:
    """Returns how long messages took from before `enqueue` to the gateway, in ms: p50, p99, and how many never came.

    Args:
        begun: When each number's `enqueue` began.
        stage: Where they went.
    """
    time.sleep(_LOOK)
    stage.wait(lambda: begun.keys() <= stage.gateway.arrivals().keys(), timeout=_STRAGGLERS, pause=_LOOK)
    arrivals = stage.gateway.arrivals()
    taken = [(arrivals[number] - moment) * 1000 for number, moment in begun.items() if number in arrivals]
    if not taken:
        raise MeasurementError("no message arrived at the gateway")
    return {
        "p50": quantile(taken, 0.5),
        "p99": quantile(taken, 0.99),
        "longest": max(taken),
        "count": float(len(begun)),
        "missing": float(len(begun) - len(taken)),
    }


def pick_up(contender: Contender, *, count: int, appendonly: bool) -> Figures:
    """Sends single messages to a worker that has nothing to do.

    Args:
        contender: Who.
        count: How many.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(appendonly=appendonly) as stage:
        worker = contender.start(stage, python_of(contender))
        produce(stage, contender, "each", 1)
        if not stage.wait(lambda: stage.gateway.stats()["distinct"] > WARM_UP, worker):
            raise MeasurementError(f"the worker took nothing: {worker.tail()}")
        begun = produce(stage, contender, "spaced", count, FIRST + 1000)["begun"]
        return delays(begun, stage)


def kept(contender: Contender, *, jobs: int) -> Figures:
    """Returns the bytes of Redis's memory a waiting job takes, and a finished one.

    Args:
        contender: Who.
        jobs: How many.
    """
    with Stage(appendonly=False) as stage:
        seen = 0

        def work_off(made: int) -> None:
            nonlocal seen
            seen += made + WARM_UP
            worker = contender.start(stage, python_of(contender))
            if not stage.wait(lambda: stage.gateway.stats()["calls"] >= seen, worker, timeout=600):
                raise MeasurementError(f"the worker didn't finish: {worker.tail()}")
            worker.stop()

        # What Redis keeps of a worker and of scripts, whatever the number of jobs, is there before the first look.
        produce(stage, contender, "each", 1)
        work_off(1)
        before = stage.broker.memory()
        produce(stage, contender, "each", jobs, FIRST + 1000, text=CYRILLIC)
        waiting = stage.broker.memory() - before
        work_off(jobs)
        finished = max(0, stage.broker.memory() - before)
        made = jobs + WARM_UP
        return {"waiting_bytes": waiting / made, "finished_bytes": finished / made}
