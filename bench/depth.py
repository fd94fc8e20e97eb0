"""What very many waiting jobs cost: commands, bytes, CPU of Redis and of a worker that may not call for them."""

import sys
import time
from typing import Final, Self

from bench.contenders import SMSQ
from bench.drain import FIRST, Figures, produce
from bench.environments import python_of
from bench.processes import MeasurementError, Process, Stage
from bench.singles import CYRILLIC
from smsq import keys

#: Commands that a client sends; everything else in INFO commandstats was called by a script.
_SENT: Final = frozenset(
    {"evalsha", "eval", "script|load", "blpop", "brpop", "ping", "hello", "auth", "select", "publish", "subscribe"}
    | {"psubscribe", "unsubscribe", "punsubscribe", "wait", "waitaof", "info", "multi", "exec"}
    | {"client|setinfo", "client|setname", "client|id"}
)
_OURS: Final = frozenset({"info"})  # the measurement's own
#: Calls over which the commands a job are counted, at most.
_COUNTED = 5000
_LATENCY = 50.0


class Span:
    """What Redis and the workers did between two moments.

    Args:
        stage: Where.
        workers: Whose CPU counts.
    """

    def __init__(self, stage: Stage, *workers: Process) -> None:
        self._stage = stage
        self._workers = workers

    def begin(self) -> Self:
        """Takes the first moment."""
        self._before = self._reading()
        return self

    def end(self) -> Figures:
        """Returns the differences to the first moment: CPU in ms, commands, script calls and their microseconds."""
        after = self._reading()
        return {name: after[name] - self._before[name] for name in after}

    def _reading(self) -> Figures:
        stats = self._stage.broker.info("commandstats")
        commands = {name.removeprefix("cmdstat_"): entry for name, entry in stats.items()}
        sent = [entry["calls"] for name, entry in commands.items() if name in _SENT - _OURS]
        inner = [entry["calls"] for name, entry in commands.items() if name not in _SENT]
        scripts = commands.get("evalsha", {"calls": 0, "usec": 0})
        return {
            "seconds": time.monotonic(),
            "calls": self._stage.gateway.stats()["calls"],
            "commands": float(sum(sent)),
            "inner_commands": float(sum(inner)),
            "scripts": float(scripts["calls"]),
            "script_us": float(scripts["usec"]),
            "worker_cpu_ms": sum(worker.usage().cpu for worker in self._workers) * 1000,
            "redis_cpu_ms": self._stage.broker.cpu() * 1000,
        }


def depth(*, waiting: int, seconds: float) -> Figures:
    """Measures a worker before so many waiting jobs: paused, held back by the rate limit, and working them off.

    Args:
        waiting: How many jobs wait in lane bulk.
        seconds: How long an idle worker is watched.
    """
    with Stage(latency=_LATENCY, appendonly=False) as stage:
        figures = _fill(stage, waiting)
        _command(stage, "pause", "bulk", "--reason", "bench")
        worker = _started(stage)
        figures |= _idle(stage, worker, seconds, "paused")
        worker.stop()
        _command(stage, "resume", "bulk")
        worker = _started(stage, SMSQ_RATE_LIMIT="20/s")
        figures |= _idle(stage, worker, seconds, "limited")
        worker.stop()
        return figures | _busy(stage, _started(stage), waiting)


def schedule(*, waiting: int, seconds: float) -> Figures:
    """Measures an idle worker while so many jobs are scheduled for later: the dispatcher looks past all of them.

    Args:
        waiting: How many.
        seconds: How long it is watched.
    """
    with Stage(appendonly=False) as stage:
        return _fill(stage, waiting, later="86400") | _idle(stage, _started(stage), seconds, "scheduled")


def _fill(stage: Stage, waiting: int, *, later: str = "") -> Figures:
    """Enqueues the jobs that wait, and returns the bytes that each takes."""
    produce(stage, SMSQ, "many", 1, lane="bulk", later=later)  # what Redis keeps of scripts isn't the jobs'
    before = stage.broker.memory()
    produce(stage, SMSQ, "many", waiting, FIRST + 1, text=CYRILLIC, lane="bulk", later=later)
    return {"bytes": (stage.broker.memory() - before) / waiting}


def _command(stage: Stage, *arguments: str) -> None:
    stage.run([sys.executable, "-m", "smsq.cli", *arguments, "--json"])


def _started(stage: Stage, **settings: str) -> Process:
    """Starts a worker of ours and waits until it has said that it lives."""
    stage.broker.client.delete(keys.WORKERS)
    worker = SMSQ.start(stage, python_of(SMSQ), **settings)
    if not stage.wait(lambda: bool(stage.broker.client.hlen(keys.WORKERS)), worker):
        raise MeasurementError(f"the worker isn't ready: {worker.tail()}")
    return worker


def _idle(stage: Stage, worker: Process, seconds: float, name: str) -> Figures:
    """Returns what a second costs in which nothing is to be done."""
    time.sleep(1.0)  # its start is not what is measured
    span = Span(stage, worker).begin()
    time.sleep(seconds)
    found = span.end()
    worker.check()
    figures = {f"{name}_{key}": found[key] / found["seconds"] for key in ("commands", "inner_commands", "scripts")}
    figures |= {f"{name}_{key}": found[key] / found["seconds"] for key in ("worker_cpu_ms", "redis_cpu_ms")}
    return figures | {f"{name}_us_per_script": found["script_us"] / max(found["scripts"], 1)}


def _busy(stage: Stage, worker: Process, waiting: int) -> Figures:
    """Returns what a job costs while the backlog is worked off, between two moments with all slots in use."""
    start = stage.gateway.stats()["calls"]
    left = waiting - start
    warm = start + min(left * 0.2, _COUNTED)
    stage.wait(lambda: stage.gateway.stats()["calls"] > warm, worker)
    span = Span(stage, worker).begin()
    enough = min(start + left * 0.8, warm + _COUNTED)
    if not stage.wait(lambda: stage.gateway.stats()["calls"] >= enough, worker, timeout=60):
        raise MeasurementError(f"the worker stands still: {worker.tail()}")
    found = span.end()
    jobs = max(found["calls"], 1)
    found["all_commands"] = found["commands"] + found["inner_commands"]
    names = ("commands", "inner_commands", "all_commands", "worker_cpu_ms", "redis_cpu_ms")
    return {f"job_{name}": found[name] / jobs for name in names}


def workers(*, count: int, slots: int, latency: float, seconds: float) -> Figures:
    """Measures some workers on one Redis: messages a second, and how many cores each part keeps busy.

    Args:
        count: How many workers.
        slots: How many calls each may have out.
        latency: The gateway's, in milliseconds.
        seconds: How long it should take at best.
    """
    jobs = int(count * slots * 1000 / latency * seconds)
    with Stage(latency=latency) as stage:
        produce(stage, SMSQ, "many", jobs, FIRST)
        started = [
            SMSQ.start(stage, python_of(SMSQ), "-c", str(slots), "-n", f"w{number}@%h", name=f"worker{number}")
            for number in range(count)
        ]
        stage.wait(lambda: stage.gateway.stats()["calls"] >= jobs * 0.2, *started, timeout=120)
        span, gateway = Span(stage, *started).begin(), stage.gateway.process.usage().cpu
        stage.wait(lambda: stage.gateway.stats()["calls"] >= jobs * 0.8, *started, timeout=120)
        found = span.end()
        return {
            "rate": found["calls"] / found["seconds"],
            "possible": count * slots * 1000 / latency,
            "worker_cores": found["worker_cpu_ms"] / 1000 / found["seconds"],
            "redis_cores": found["redis_cpu_ms"] / 1000 / found["seconds"],
            "gateway_cores": (stage.gateway.process.usage().cpu - gateway) / found["seconds"],
            "clients": float(stage.broker.info("clients")["connected_clients"]),
        }
