"""The Redis of a soak: a server and its replica on one lasting address, which can go away, and back in time."""

import itertools
import random
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smsq import keys
from smsq.durability import Durability
from smsq.lanes import LANES
from tests.soak.books import Rollback
from tests.support.server import Server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis

#: Seconds for which Redis may hold back writes of its append-only file, while it syncs what it wrote before.
_UNWRITTEN: Final = 2.0
_REPLICA_OPTIONS: Final = ("--repl-diskless-sync-delay", "0")
#: No rewriting by itself: the file can be copied while it is written to.
_OPTIONS: Final = ("--auto-aof-rewrite-percentage", "0", *_REPLICA_OPTIONS)


def lasting_port() -> int:
    """Returns a free port below those that the kernel gives to outgoing connections.

    Something that is restarted on its port must find it free, and clients that call in vain meanwhile may be given just
    that one for their own end.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class LastingServer(Server):
    """A server whose port stays free while it is down.

    Args:
        folder: Where its files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = lasting_port()
        self.arguments = _OPTIONS
        self.process = None
        self.start()


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the append-only file, and since when what was written may be missing from it."""

    folder: Path
    since: float


class Store:
    """A server, its replica, and the moments at which they may have forgotten something.

    Args:
        folder: Where their files go.
        durability: What is confirmed survives a kill, with `disk`.

    Attributes:
        rollbacks: When Redis went back, and to what.
        copy: The last copy that was put aside.
    """

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._folder = folder
        self._durability = durability
        self._numbers = itertools.count()
        self._margin = 0.0 if durability is Durability.DISK else _UNWRITTEN
        self.rollbacks: list[Rollback] = []
        self._server = self._new_server()
        self._replica = self._new_replica()
        self.copy = self.put_copy_aside()

    @property
    def url(self) -> str:
        """What `SMSQ_REDIS_URL` takes, for as long as the soak runs."""
        return self._server.url

    def client(self) -> "redis.Redis":
        """Returns a client of the server; close it, or use it as a context."""
        return self._server.client()

    def _new_server(self) -> LastingServer:
        return LastingServer(self._folder / f"redis{next(self._numbers)}")

    def _new_replica(self) -> LastingServer:
        replica = self._new_server()
        with replica.client() as client:
            client.replicaof("127.0.0.1", str(self._server.port))
        return replica

    # -- what is done to it

    def kill(self) -> None:
        """Kills the server and starts it on the same file."""
        self._server.kill()
        now = time.monotonic()
        if self._durability is not Durability.DISK:
            self.rollbacks.append(Rollback(now - _UNWRITTEN, now))
        self._server.start()

    def freeze(self, seconds: float) -> None:
        """Stops the server's process for a while."""
        self._server.signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self._server.signal(signal.SIGCONT)

    def put_copy_aside(self) -> Copy:
        """Copies the append-only file as it is."""
        since = time.monotonic() - self._margin
        folder = self._folder / f"copy{next(self._numbers)}"
        shutil.copytree(self._server.folder / "appendonlydir", folder)
        self.copy = Copy(folder, since)
        return self.copy

    def restore(self, copy: Copy) -> None:
        """Puts an older copy in the file's place and starts the server on it."""
        self._server.kill()
        self.rollbacks.append(Rollback(copy.since, time.monotonic()))
        current = self._server.folder / "appendonlydir"
        shutil.rmtree(current)
        shutil.copytree(copy.folder, current)
        self._server.start()

    def promote(self, lag: float) -> None:
        """Has the replica take the server's place, without the server's last seconds.

        Args:
            lag: Seconds that it lacks.
        """
        server, successor = self._server, self._replica
        with successor.client() as client:
            wait_until(lambda: _follows(client), timeout=60, what="the replica follows")
            since = time.monotonic()
            with server.client() as old:
                old.set("soak:mark", since)
                assert old.wait(1, 10_000) == 1, "the replica has all that is older than the mark"
            client.replicaof("NO", "ONE")
            time.sleep(lag)
            server.kill()
            self.rollbacks.append(Rollback(since, time.monotonic()))
            client.config_set("port", server.port)
        successor.port = server.port
        self._server = successor
        self._replica = self._new_replica()

    def stop(self) -> None:
        """Ends both."""
        self._replica.stop()
        self._server.stop()

    # -- what is seen in it

    def waiting(self) -> set[str]:
        """Returns the ids of all jobs on lanes and in `due`."""
        with self.client() as client:
            found: set[str] = set(client.zrange(keys.DUE, 0, -1))
            for lane in LANES:
                for batch in client.lrange(keys.ring(lane), 0, -1):
                    found.update(client.lrange(keys.waiting(lane, batch), 0, -1))
        return found

    def counters(self) -> dict[str, int]:
        """Returns the ledger's counters, and how many entries it has parked."""
        with self.client() as client:
            found = {name: int(value) for name, value in client.hgetall(keys.COUNTERS).items()}
            return found | {"parked": int(client.hlen(keys.PARKED))}


def _follows(replica: "redis.Redis") -> bool:
    info = replica.info()
    return info["master_link_status"] == "up" and not info["aof_rewrite_in_progress"]
