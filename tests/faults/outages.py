"""What Redis, and the way to it, does to busy workers: each outage lasts until it was noticed, and is mended."""

import signal
from collections.abc import Callable
from typing import NamedTuple

from tests.faults.site import Site, last
from tests.support.waiting import wait_until
from tests.support.wire import Wire


class Wired(NamedTuple):
    """A site whose worker reaches Redis through a wire that can misbehave."""

    site: Site
    wire: Wire

    def noticed(self, before: int) -> None:
        """Waits until the worker has noticed, by its log, which had so many lines before."""
        (worker,) = self.site.workers
        wait_until(lambda: len(_complaints(self.site)) > before, what="the worker has noticed", timeout=60)
        assert worker.process.poll() is None


def _complaints(site: Site) -> list[str]:
    (worker,) = site.workers
    signs = (".unavailable", "Connection to broker lost", "Cannot connect", "onnection error")
    return [line for line in worker.text().splitlines() if any(sign in line for sign in signs)]


# -- faults: each does its harm, lasts until the worker has noticed or for so many seconds, and is over


def killed(wired: Wired, seconds: float) -> None:
    """It dies by kill -9, nobody listens for a while, and a start on its append-only file."""
    before = len(_complaints(wired.site))
    wired.site.server.kill()
    wired.noticed(before)
    last(seconds)
    wired.site.server.start()


def frozen(wired: Wired, seconds: float) -> None:
    """The server stands still, and goes on."""
    before = len(_complaints(wired.site))
    wired.site.server.signal(signal.SIGSTOP)
    wired.noticed(before)
    last(seconds)
    wired.site.server.signal(signal.SIGCONT)


def black_hole(wired: Wired, seconds: float) -> None:
    """The network swallows everything, and then delivers it after all."""
    before = len(_complaints(wired.site))
    wired.wire.black_hole()
    wired.noticed(before)
    last(seconds)
    wired.wire.mend()


def half_open(wired: Wired, seconds: float) -> None:
    """The network has forgotten the worker's connections, without a word to either end."""
    before = len(_complaints(wired.site))
    wired.wire.strand()
    wired.noticed(before)
    last(seconds)


def cut(wired: Wired, seconds: float) -> None:
    """CLIENT KILL of every connection, ten times over."""
    with wired.site.server.client() as client:
        for _ in range(10):
            wired.site.enqueue(5)
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
    last(seconds)


def paused(wired: Wired, seconds: float) -> None:
    """CLIENT PAUSE: the server takes commands and does none."""
    before = len(_complaints(wired.site))
    with wired.site.server.client() as client:
        client.client_pause(10_000 + int(seconds * 1000))
        wired.noticed(before)
        last(seconds)
        client.client_unpause()


def crowded(wired: Wired, seconds: float) -> None:
    """`maxclients` is reached just when the worker must connect again."""
    before = len(_complaints(wired.site))
    with wired.site.server.client() as client:
        usual = client.config_get("maxclients")["maxclients"]
        client.config_set("maxclients", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        client.client_kill_filter(_type="pubsub", skipme=True)
        wired.noticed(before)
        last(seconds)
        client.config_set("maxclients", usual)


def idle(wired: Wired, seconds: float) -> None:
    """`timeout 1`: the server closes what rests (F43)."""
    with wired.site.server.client() as client:
        client.config_set("timeout", 1)
        wait_until(
            lambda: not [each for each in client.client_list() if each["name"] == "smsq" and int(each["idle"]) > 1],
            what="what rested is closed",
        )
        wired.site.enqueue(5)
        last(seconds)
        wired.site.enqueue(5)
        client.config_set("timeout", 0)


def flushed(wired: Wired, seconds: float) -> None:
    """SCRIPT FLUSH: the server has forgotten every script."""
    with wired.site.server.client() as client:
        for _ in range(10):
            wired.site.enqueue(2)
            client.script_flush()
    last(seconds)


Fault = Callable[[Wired, float], None]
