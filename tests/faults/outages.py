"""What Redis, and the way to it, does to busy workers: each outage lasts until it was noticed, and is mended."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from redis import ResponseError

from tests.faults.site import Site, last
from tests.support.server import free_port
from tests.support.waiting import wait_until
from tests.support.wire import Wire

if TYPE_CHECKING:
    import redis

    from tests.support.worker import Worker

#: What a worker's log has in it when Redis can't be used: by its consumer, and by its dispatcher, each on its own way.
_SIGNS = (
    ("take.unavailable", "wait.refused", "Connection to broker lost", "Cannot connect"),
    ("dispatcher.unavailable",),
)


class Wired(NamedTuple):
    """A site whose workers reach Redis through a wire that can misbehave."""

    site: Site
    wire: Wire

    @contextmanager
    def until_noticed(self, seconds: float) -> Iterator[None]:
        """Has the fault that begins in it last until workers' logs tell of it, and then so many seconds.

        Each dispatcher must have noticed, and a consumer: one whose window is full has nothing to ask for.
        """
        workers = self.site.workers
        before = {worker.pid: _complaints(worker) for worker in workers}
        yield

        def noticed() -> bool:
            consumers, dispatchers = [], []
            for worker in workers:
                assert worker.process.poll() is None, f"it ended the worker:\n{worker.text()[-2000:]}"
                now, then = _complaints(worker), before[worker.pid]
                consumers.append(now[0] > then[0])
                dispatchers.append(now[1] > then[1])
            return any(consumers) and all(dispatchers)

        wait_until(noticed, what="it was noticed", timeout=60)
        last(seconds)


Fault = Callable[[Wired, float], None]


def _complaints(worker: "Worker") -> list[int]:
    lines = worker.text().split("\n")
    return [sum(any(sign in line for sign in signs) for line in lines) for signs in _SIGNS]


# -- it doesn't answer: each lasts until it was noticed and then for so many seconds


def killed(wired: Wired, seconds: float) -> None:
    """It dies by kill -9, nobody listens for a while, and a start on its append-only file."""
    with wired.until_noticed(seconds):
        wired.site.server.kill()
    wired.site.server.start()


def frozen(wired: Wired, seconds: float) -> None:
    """The server stands still, and goes on."""
    with wired.until_noticed(seconds):
        wired.site.server.signal(signal.SIGSTOP)
    wired.site.server.signal(signal.SIGCONT)


def black_hole(wired: Wired, seconds: float) -> None:
    """The network swallows everything, and then delivers it after all."""
    with wired.until_noticed(seconds):
        wired.wire.black_hole()
    wired.wire.mend()


def half_open(wired: Wired, seconds: float) -> None:
    """The network has forgotten the workers' connections, without a word to either end."""
    with wired.until_noticed(seconds):
        wired.wire.strand()


def paused(wired: Wired, seconds: float) -> None:
    """CLIENT PAUSE: the server takes commands and does none; not even one that would end the pause."""
    with wired.site.server.client() as client, wired.until_noticed(seconds):
        client.client_pause(20_000 + int(seconds * 1000))
    wait_until(wired.site.server.answers, what="the pause is over")


# -- it hangs up


def cut(wired: Wired, seconds: float) -> None:
    """CLIENT KILL of every connection, ten times over."""
    with wired.site.server.client() as client:
        for _ in range(10):
            wired.site.enqueue(6)
            _cut_all(client)
    last(seconds)


def crowded(wired: Wired, seconds: float) -> None:
    """`maxclients` is reached just when the workers must connect again."""
    with wired.site.server.client() as client:
        usual = client.config_get("maxclients")["maxclients"]
        with wired.until_noticed(seconds):
            client.config_set("maxclients", 1)
            _cut_all(client)
        client.config_set("maxclients", usual)


def idle(wired: Wired, seconds: float) -> None:
    """`timeout 1`: the server closes what rests, again and again (F43)."""
    with wired.site.server.client() as client:
        client.config_set("timeout", 1)
        for _ in range(1 + int(seconds) // 3):
            wired.site.enqueue(6)
            there = _connections(client)
            wait_until(lambda: _connections(client) != there, what="something that rested is closed")  # noqa: B023
        client.config_set("timeout", 0)


def _connections(client: "redis.Redis") -> set[str]:
    return {each["id"] for each in client.client_list() if each["name"].startswith("smsq")}


def _cut_all(client: "redis.Redis") -> None:
    for kind in ("normal", "pubsub"):
        client.client_kill_filter(_type=kind, skipme=True)


# -- it refuses (F24): an error reply to whatever is asked, on every connection


def unwritable(wired: Wired, seconds: float) -> None:
    """MISCONF: a snapshot couldn't be written, so no write is accepted. Its folder has gone."""
    with wired.site.server.client() as client, tempfile.TemporaryDirectory() as folder:
        doomed = Path(folder) / "gone"
        doomed.mkdir()
        client.config_set("dir", str(doomed))
        doomed.rmdir()
        with wired.until_noticed(seconds):
            client.config_set("save", "3600 1")
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="the save fails")
        client.config_set("dir", str(wired.site.server.folder))
        client.config_set("save", "")


def demoted(wired: Wired, seconds: float) -> None:
    """READONLY: it is made a replica, of a master that isn't there, and then a master again."""
    with wired.site.server.client() as client:
        with wired.until_noticed(seconds):
            client.replicaof("127.0.0.1", str(free_port()))
        client.replicaof("NO", "ONE")


def locked(wired: Wired, seconds: float) -> None:
    """NOAUTH: it wants a password of everyone who connects."""
    with wired.site.server.client() as client:
        with wired.until_noticed(seconds):
            client.config_set("requirepass", "of nobody")
            _cut_all(client)
        client.config_set("requirepass", "")


def forbidden(wired: Wired, seconds: float) -> None:
    """NOPERM: every command is forbidden."""
    with wired.site.server.client() as client:
        client.execute_command("ACL", "SETUSER", "admin", "on", "nopass", "+@all")
        client.execute_command("AUTH", "admin", "any")
        with wired.until_noticed(seconds):
            client.execute_command("ACL", "SETUSER", "default", "-@all")
        client.execute_command("ACL", "SETUSER", "default", "+@all")


def busy(wired: Wired, seconds: float) -> None:
    """BUSY: somebody's script never ends."""

    def run_away() -> None:
        with wired.site.server.client() as own, contextlib.suppress(ResponseError):
            own.connection_pool.connection_kwargs["socket_timeout"] = None
            own.eval("while true do end", 0)

    with wired.site.server.client() as client:
        client.config_set("busy-reply-threshold", 50)
        runaway = threading.Thread(target=run_away)
        with wired.until_noticed(seconds):
            runaway.start()
        client.script_kill()
        runaway.join()


# -- it forgets


def flushed(wired: Wired, seconds: float) -> None:
    """SCRIPT FLUSH: the server has forgotten every script."""
    with wired.site.server.client() as client:
        for _ in range(10):
            wired.site.enqueue(3)
            client.script_flush()
    last(seconds)


def unbound(wired: Wired, seconds: float) -> None:
    """Somebody deletes kombu's bindings (F42)."""
    with wired.site.server.client() as client:
        assert client.delete(*client.keys("_kombu.binding.*"))
        wired.site.enqueue(6)
    last(seconds)
