"""All the processes of a demonstration, on free ports of loopback: server, sandbox gateway, worker, Flower."""

import json
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import redis

from worker import embedded
from worker.children import Children

_ROOT: Final = Path(__file__).resolve().parents[1]
_LOOPBACK: Final = "127.0.0.1"
#: Any key will do for the sandbox.
_API_KEY: Final = "demo0123456789abcdefdemo0123456789abcdef"
_TIMEOUT: Final = 60.0


class Stack:
    """The processes, and where they are.

    Args:
        children: Who starts and watches them.
        folder: For their files, and their working directory.

    Attributes:
        folder: Where their logs are.
        redis_url: What `SMSQ_REDIS_URL` takes.
        sandbox_url: What `MOBIZON_API_URL` takes.
        environment: What another worker needs, and the command.
        flower_url: Flower's first page.
        flower_user: Who may see it.
        flower_password: With this password, made for this run.
    """

    def __init__(self, children: Children, folder: Path) -> None:
        self._children = children
        self.folder = folder
        self._redis_port, self._sandbox_port, self._flower_port = (embedded.free_port() for _ in range(3))
        self.redis_url = f"redis://{_LOOPBACK}:{self._redis_port}/0"
        self.sandbox_url = f"http://{_LOOPBACK}:{self._sandbox_port}"
        self.flower_url = f"http://{_LOOPBACK}:{self._flower_port}/"
        self.environment = {
            "SMSQ_REDIS_URL": self.redis_url,
            "MOBIZON_API_URL": self.sandbox_url,
            "MOBIZON_API_KEY": _API_KEY,
        }
        self.flower_user = "demo"
        self.flower_password = secrets.token_urlsafe(9)

    def start(self, *, say: Callable[[str], None]) -> None:
        """Starts everything, and waits until messages can go through and Flower sees it.

        Args:
            say: Told what happens, a line at a time.

        Raises:
            Interrupted: The program was told to stop.
            ChildEnded: One of them ended.
            TimeoutError: One of them didn't come up.
        """
        say(f"starting a Redis-protocol server on {_LOOPBACK}:{self._redis_port}, with an append-only file")
        self._start("redis", embedded.command(self._redis_port, self.folder))
        self._wait(self._redis_answers, "the server answers")
        say(f"starting the sandbox gateway on {_LOOPBACK}:{self._sandbox_port}")
        self._start_module("sandbox", "worker.sandbox", "--port", str(self._sandbox_port))
        say(f"starting Flower on {_LOOPBACK}:{self._flower_port}")
        self._start_module(
            *("flower", "celery", "-A", "worker", "flower"),
            *(f"--address={_LOOPBACK}", f"--port={self._flower_port}", "--max_tasks=10000"),
        )
        say("starting a Celery worker")
        self._start_module("worker", "celery", "-A", "worker", "worker", "-E")
        self._wait(lambda: _get(f"{self.sandbox_url}/sandbox/health") is not None, "the sandbox answers")
        self._wait(self._flower_sees_a_worker, "Flower sees the worker")

    def _start_module(self, name: str, module: str, *arguments: str) -> None:
        self._start(name, [sys.executable, "-m", module, *arguments])

    def _start(self, name: str, command: list[str]) -> None:
        login = f"{self.flower_user}:{self.flower_password}"
        env = os.environ | self.environment | {"PYTHONPATH": str(_ROOT), "FLOWER_BASIC_AUTH": login}
        self._children.start(name, command, env=env, folder=self.folder)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        self._children.wait_until(condition, what=what, timeout=_TIMEOUT)

    def _redis_answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.redis_url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _flower_sees_a_worker(self) -> bool:
        """Asks for the workers whose events Flower has got: from then on it gets those of tasks too."""
        answer = _get(f"{self.flower_url}workers?json=1", f"{self.flower_user}:{self.flower_password}")
        return answer is not None and any(worker["status"] for worker in json.loads(answer)["data"])


def _get(url: str, login: str | None = None) -> bytes | None:
    """GETs a page of a child; None if it isn't up yet."""
    headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=5) as answer:  # noqa: S310 - a child's, over HTTP
            return bytes(answer.read())
    except OSError:
        return None
