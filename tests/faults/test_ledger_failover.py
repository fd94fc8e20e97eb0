"""A failover forgets what the master had acknowledged (F01): the copy that is promoted says `queued` of jobs called."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.site import Site, SteadyServer
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.wire import Wire

JOBS = 20


class Redirected(Wire):
    """A wire whose far end can be moved: what a name or a virtual address is in a failover."""

    def lead_to(self, port: int) -> None:
        """Has new connections lead to another server."""
        self._target = port


class Pair(NamedTuple):
    """A master and its replica.

    Attributes:
        site: The site, on the master.
        replica: What follows it.
        between: The way from the master to the replica.
        address: Where workers and producers find whichever is the master.
    """

    site: Site
    replica: Server
    between: Wire
    address: Redirected

    def replica_has_all(self) -> None:
        """Waits until the replica has what was written so far."""
        with self.site.server.client() as client:
            client.incr("a write to wait for")
            assert client.wait(1, 10_000) == 1

    def fail_over(self) -> None:
        """The master dies, the replica is promoted as it is, and everybody is led to it."""
        self.site.server.kill()
        with self.replica.client() as client:
            client.replicaof("NO", "ONE")
        self.site.server = self.replica
        self.address.lead_to(self.replica.port)


@contextmanager
def _pair(folder: Path, sandbox: Sandbox) -> Iterator[Pair]:
    with ExitStack() as stack:
        servers = [SteadyServer(folder / name, "--repl-diskless-sync-delay", "0") for name in ("master", "replica")]
        for server in servers:
            stack.callback(server.kill)
        between = stack.enter_context(Wire(servers[0].port))
        address = stack.enter_context(Redirected(servers[0].port))
        follow(servers[1], between.port)
        site = Site(servers[0], sandbox, folder, url=address.redis_url, producers=address.redis_url)
        stack.callback(site.close)
        yield Pair(site, servers[1], between, address)


def follow(replica: Server, port: int) -> None:
    """Makes a server the replica of another, and waits until it has caught up."""
    with replica.client() as client:
        client.replicaof("127.0.0.1", str(port))
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica follows")


@pytest.mark.long
def test_claims_that_the_replica_never_heard_of_are_not_made_again(tmp_path: Path, sandbox: Sandbox) -> None:
    """F01: the same worker lives on; some calls are over, some are out and some to come when the master dies."""
    with _pair(tmp_path, sandbox) as pair:
        here = pair.site
        here.start("-c", "5")
        sandbox.post("/sandbox/latency", seconds=1.5)
        here.enqueue(JOBS)
        pair.replica_has_all()
        here.calls_are_out(5)
        pair.between.black_hole()
        here.calls_are_out(10)
        pair.fail_over()
        sandbox.post("/sandbox/latency", seconds=0)
        here.check_all_sent_once()
        here.same_processes()


@pytest.mark.long
def test_confirmed_claims_outlive_worker_and_master_together(tmp_path: Path, sandbox: Sandbox) -> None:
    """F01: with `replica` nobody is called whose claim the replica lacks, so nobody's memory is needed afterwards."""
    with _pair(tmp_path, sandbox) as pair:
        here = pair.site
        doomed = here.start("-c", "5", SMSQ_DURABILITY="replica")
        sandbox.post("/sandbox/latency", seconds=1.5)
        here.enqueue(JOBS)
        pair.replica_has_all()
        here.calls_are_out(5)
        pair.between.black_hole()
        doomed.wait_lines("ledger.unavailable")
        called = len(sandbox.calls())
        doomed.kill()
        pair.fail_over()
        assert called < JOBS
        sandbox.post("/sandbox/latency", seconds=0)
        third = SteadyServer(tmp_path / "third", "--repl-diskless-sync-delay", "0")
        try:
            follow(third, pair.replica.port)
            here.start("-c", "5", SMSQ_DURABILITY="replica")
            here.check_all_sent_once()
        finally:
            third.kill()
