"""The processes that a measurement runs: a broker, a gateway, workers, producers; started fresh, ended surely."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import redis

from worker.embedded import command, free_port

ROOT = Path(__file__).parents[1]
#: Seconds that a process may take to come up, or to end when asked to.
_PATIENCE = 30.0
_LOG_TAIL = 600
#: A key that looks like one.
_API_KEY = "kz" + "0" * 40


class MeasurementError(Exception):
    """A contender, or something around it, didn't do its part; the text says what, and how its log ends."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants have used: CPU seconds so far, and megabytes resident now."""

    cpu: float
    rss: float


class Process:
    """A child process with a log of its own.

    Args:
        name: What it is called in messages.
        command: Its command line.
        folder: Where it runs, and where its log goes: never the checkout, whose `.env` may be production's.
        env: Its environment.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._process = psutil.Process(self._popen.pid)

    def check(self) -> None:
        """Raises `MeasurementError` if it has ended."""
        if (code := self._popen.poll()) is not None:
            raise MeasurementError(f"{self.name} ended with {code}: {self.tail()}")

    def tail(self) -> str:
        """Returns the end of its log."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL:].strip()

    def usage(self) -> Usage:
        """Returns what it and its descendants have used."""
        cpu = rss = 0.0
        try:
            tree = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return Usage(0.0, 0.0)
        for each in tree:
            try:
                times = each.cpu_times()
                cpu += times.user + times.system
                rss += each.memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                continue
        return Usage(cpu, rss)

    def stop(self) -> None:
        """Asks it to end, and kills it and its descendants if it doesn't."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills it and its descendants."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class Broker:
    """A Redis-protocol server.

    Args:
        stage: Where it runs.
        appendonly: Whether it keeps an append-only file, synced each second, as production has it.
    """

    def __init__(self, stage: "Stage", *, appendonly: bool) -> None:
        self.port = free_port()
        # A rewrite of the file would fall into one contender's measurement and not into another's.
        options = ["--appendonly", "yes" if appendonly else "no", "--auto-aof-rewrite-percentage", "0"]
        self.process = stage.start("redis", [*command(self.port, stage.folder), *options])
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=60)
        stage.wait(self._answers, self.process)

    @property
    def url(self) -> str:
        """Its address, without a database."""
        return f"redis://127.0.0.1:{self.port}"

    def info(self, section: str) -> dict[str, Any]:
        """Returns a section of INFO."""
        found: dict[str, Any] = self.client.info(section)
        return found

    def memory(self) -> int:
        """Returns the bytes that it uses."""
        return int(self.info("memory")["used_memory"])

    def cpu(self) -> float:
        """Returns the CPU seconds that it has used, finer than the system's own books."""
        found = self.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Gateway:
    """A running `bench.gateway`.

    Args:
        stage: Where it runs.
        latency: Milliseconds before an answer.
        hang: Numbers that begin with this are never answered.
    """

    def __init__(self, stage: "Stage", *, latency: float, hang: str = "") -> None:
        self.port = free_port()
        options = [str(self.port), "--latency", str(latency), "--hang", hang]
        self.process = stage.start("gateway", [sys.executable, "-m", "bench.gateway", *options])
        stage.wait(self._answers, self.process)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stats(self) -> dict[str, float]:
        """Returns `calls`, `distinct`, `hung`, `first` and `last`."""
        found: dict[str, float] = self._get("/stats")
        return found

    def arrivals(self) -> dict[str, float]:
        """Returns when each number was first seen."""
        found: dict[str, float] = self._get("/arrivals")
        return found

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310 - our own server
            return json.loads(answer.read())

    def _answers(self) -> bool:
        try:
            self.stats()
        except OSError:
            return False
        return True


class Stage:
    """A folder, a broker and a gateway for one measurement, and every process on it. Use it as a context.

    Args:
        latency: The gateway's, in milliseconds.
        hang: Numbers that begin with this are never answered.
        appendonly: Whether Redis keeps an append-only file.
    """

    def __init__(self, *, latency: float = 0.0, hang: str = "", appendonly: bool = True) -> None:
        self._latency, self._hang, self._appendonly = latency, hang, appendonly
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Starts broker and gateway."""
        self.folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="smsq-bench-")))
        try:
            self.broker = Broker(self, appendonly=self._appendonly)
            self.gateway = Gateway(self, latency=self._latency, hang=self._hang)
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends every process, the last one first."""
        self._exits.close()

    def environment(self, **more: str) -> dict[str, str]:
        """Returns a process's environment: nothing of the caller's settings, and the addresses of this stage.

        Args:
            more: Further variables.
        """
        ours = ("SMSQ_", "MOBIZON_", "CELERY_", "BENCH_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
            "PYTHONPATH": str(ROOT)
        }
        if hasattr(self, "broker"):
            env |= {"BENCH_REDIS": self.broker.url, "SMSQ_REDIS_URL": f"{self.broker.url}/0"}
        if hasattr(self, "gateway"):
            env |= {"BENCH_GATEWAY": self.gateway.url, "MOBIZON_API_URL": self.gateway.url, "MOBIZON_API_KEY": _API_KEY}
        return env | more

    def start(self, name: str, command: Sequence[str], **more: str) -> Process:
        """Starts a process that ends with the stage.

        Args:
            name: What it is called.
            command: Its command line.
            more: Further variables of its environment.
        """
        process = Process(name, command, self.folder, self.environment(**more))
        self._exits.callback(process.stop)
        return process

    def run(self, command: Sequence[str], **more: str) -> Any:  # noqa: ANN401 - JSON
        """Runs a command to its end and returns the JSON of its last line.

        Raises:
            MeasurementError: It failed.
        """
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment(**more), capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise MeasurementError(f"{' '.join(command[1:])} failed: {ended.stderr[-_LOG_TAIL:].strip()}")
        return json.loads(ended.stdout.strip().splitlines()[-1])

    def wait(
        self, condition: Callable[[], bool], *processes: Process, timeout: float = _PATIENCE, pause: float = 0.02
    ) -> bool:
        """Waits until a condition holds; returns whether it did in time.

        Args:
            condition: Asked again and again.
            processes: None of these may end meanwhile.
            timeout: Seconds.
            pause: Seconds between two looks.

        Raises:
            MeasurementError: One of the processes has ended.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            for process in processes:
                process.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
        return True
