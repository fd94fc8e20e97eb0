"""What a worker looks at before it serves: the server's mode, eviction and persistence (F02, F20, F21)."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest
from structlog.testing import capture_logs

from config.settings import WorkerSettings
from smsq import QueueUnavailable, Settings, Sms, SmsQueue
from smsq.address import Address
from smsq.durability import Durability
from smsq.server_checks import Finding, ServerState, check_server, read_server
from tests.faults.conftest import MakeSite
from tests.support.commands import finish, start_celery
from tests.support.sandbox import ROOT
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import environment
from worker.startup import ServerWatch

if TYPE_CHECKING:
    from subprocess import CompletedProcess

POLICIES = (
    *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)


class Unfit(NamedTuple):
    """A server on which a worker must not serve.

    Attributes:
        options: The server's.
        variables: The worker's.
        code: What the worker exits with.
        told: What must be in its one line.
    """

    options: tuple[str, ...]
    variables: Mapping[str, str]
    code: int
    told: str


UNFIT = {
    "disk without a file": Unfit(("--appendonly", "no"), {"SMSQ_DURABILITY": "disk"}, 2, "appendonly is no"),
    "disk that is never synced": Unfit(("--appendfsync", "no"), {"SMSQ_DURABILITY": "disk"}, 2, "appendfsync is no"),
    "jobs may be evicted": Unfit(("--maxmemory-policy", "allkeys-lru"), {}, 2, "maxmemory-policy is allkeys-lru"),
    "keys may be evicted, CONFIG is forbidden": Unfit(
        ("--maxmemory-policy", "volatile-ttl", "--rename-command", "CONFIG", ""),
        {},
        2,
        "maxmemory-policy is volatile-ttl",
    ),
    "a cluster": Unfit(("--cluster-enabled", "yes"), {}, 3, "cluster mode isn't supported"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "CompletedProcess[str]"]]:
    """Starts all these servers, and a worker on each, beside each other."""
    with ExitStack() as stack:
        workers = {}
        for what, unfit in UNFIT.items():
            options = (*unfit.options, *(("--cluster-port", str(free_port())) if "cluster" in what else ()))
            server = Server(tmp_path_factory.mktemp("unfit"), *options)
            stack.callback(server.stop)
            env = environment(server.url, "http://127.0.0.1:1", **unfit.variables)
            workers[what] = start_celery(env, "worker")
        yield {what: finish(worker) for what, worker in workers.items()}


@pytest.mark.parametrize("what", UNFIT)
def test_a_worker_does_not_serve_on_an_unfit_server(refused: dict[str, "CompletedProcess[str]"], what: str) -> None:
    """F02, F20, F21: it exits with one line that names the reason; a cluster can't be used at all, so with 3."""
    ended, unfit = refused[what], UNFIT[what]
    assert ended.returncode == unfit.code, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Redis at redis://127.0.0.1:")
    assert unfit.told in line


def test_a_worker_that_may_serve_on_a_weak_server_says_what_is_weak(site: MakeSite) -> None:
    """F02, F20: with `memory` and no file, and eviction allowed by the setting, it serves, and warns of both."""
    here = site("--appendonly", "no", "--maxmemory-policy", "volatile-lru")
    worker = here.start(SMSQ_ALLOW_EVICTION="true")
    told = {line["check"]: line["reason"] for line in worker.wait_lines("server.weak", 2)}
    assert "volatile-lru" in told["eviction"]
    assert "appendonly is no" in told["persistence"]
    here.check_consumes()


def test_a_server_that_turns_out_unfit_when_it_is_there_ends_the_worker(site: MakeSite) -> None:
    """F02: Redis is away at the start; the first look is made when it is there, with the same end."""
    here = site("--appendonly", "no")
    here.server.kill()
    worker = here.start(ready=False, SMSQ_DURABILITY="disk")
    wait_until(lambda: "Cannot connect" in worker.text(), what="the worker waits for Redis")
    here.server.start()
    assert worker.process.wait(30) == 2
    (line,) = worker.lines("server.unfit")
    assert "appendonly is no" in line["reason"]


def test_it_is_told_again_and_again_while_the_worker_runs(server: Server) -> None:
    """F02, F20: each hour (here: at once) what is weak is in the log again; a server made unfit later ends nobody."""
    settings = WorkerSettings.load(redis_url=server.url, api_key="key", durability=Durability.MEMORY)
    codes: list[int] = []
    with server.client() as client, capture_logs() as told:
        watch = ServerWatch(settings, interval=0.02, stop_worker=codes.append)
        try:
            watch.start()
            client.config_set("appendonly", "no")
            wait_until(lambda: len([line for line in told if line["event"] == "server.weak"]) > 2, what="warnings")
            client.config_set("maxmemory-policy", "allkeys-lru")
            wait_until(lambda: len([line for line in told if line["event"] == "server.unfit"]) > 2, what="errors")
        finally:
            watch.stop()
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")
    assert {line["check"] for line in told} == {"persistence", "eviction"}
    assert not codes


def test_producers_and_the_command_line_refuse_a_cluster(own_server: Callable[..., Server]) -> None:
    """F21: `enqueue` raises, and `smsq send` exits with 3, each with one line that says so."""
    url = own_server("--cluster-enabled", "yes", "--cluster-port", str(free_port())).url
    queue = SmsQueue(url, settings=Settings.load(redis_url=url))
    with pytest.raises(QueueUnavailable, match="it is a cluster, which is not supported"):
        queue.enqueue(Sms(recipient="77010000001", text="x"))
    queue.close()
    command = [sys.executable, "-c", "from smsq.cli import main; raise SystemExit(main())", "send", "77010000001", "x"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(url, ""), capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    (line,) = ended.stderr.splitlines()
    assert "it is a cluster, which is not supported" in line


# -- the checks themselves

FIT = {
    "redis_version": "7.2.4",
    "role": "master",
    "cluster_enabled": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "connected_slaves": "1",
}


def judge(
    durability: Durability = Durability.MEMORY, *, allowed: bool = False, fsync: str = "everysec", **info: str
) -> dict[str, Finding]:
    """Judges a server that is fit but for what is given."""
    state = ServerState(FIT | info, {"appendfsync": fsync})
    return {each.name: each for each in check_server(state, durability=durability, allow_eviction=allowed)}


@pytest.mark.parametrize("durability", Durability)
def test_a_fit_server_passes_every_check(durability: Durability) -> None:
    """Nothing is weak, whatever "accepted" is to mean."""
    assert {finding.verdict for finding in judge(durability).values()} == {"ok"}


@pytest.mark.parametrize(
    ("name", "verdict", "found"),
    [
        ("mode", "fail", judge(cluster_enabled="1")),
        ("mode", "fail", judge(role="slave")),
        ("version", "fail", judge(redis_version="7.0.15")),
        ("version", "warn", judge(redis_version="unstable")),
        ("version", "ok", judge(redis_version="8.0.1")),
        ("version", "ok", judge(redis_version="10.0.0")),
        ("persistence", "warn", judge(aof_enabled="0")),
        ("persistence", "fail", judge(Durability.DISK, aof_enabled="0")),
        ("persistence", "fail", judge(Durability.DISK, fsync="no")),
        ("persistence", "ok", judge(fsync="no")),
        ("persistence", "warn", judge(aof_last_write_status="err")),
        ("replicas", "warn", judge(Durability.REPLICA, connected_slaves="0")),
        ("replicas", "ok", judge(connected_slaves="0")),
    ],
)
def test_what_is_weak_is_found_and_nothing_else(name: str, verdict: str, found: dict[str, Finding]) -> None:
    """F02, F21: one property at a time, each judged by what "accepted" is to mean."""
    assert found[name].verdict == verdict
    assert {each.verdict for each in found.values() if each.name != name} == {"ok"}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_that_evicts_is_found_on_a_real_server(server: Server, policy: str) -> None:
    """F20: refused unless it is allowed, and then told."""
    with server.client() as client:
        client.config_set("maxmemory-policy", policy)
        state = read_server(Address.parse(server.url), 5)
        client.config_set("maxmemory-policy", "noeviction")
    for allowed, verdict in ((False, "fail"), (True, "warn")):
        found = check_server(state, durability=Durability.MEMORY, allow_eviction=allowed)
        (eviction,) = [each for each in found if each.name == "eviction"]
        assert eviction.verdict == verdict
        assert policy in eviction.text


def test_a_server_whose_info_is_forbidden_is_served_with_a_warning(server: Server) -> None:
    """F20: where nothing can be checked, that is what is said."""
    with server.client() as client:
        client.acl_setuser(
            "app", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-info", "-config"]
        )
        state = read_server(Address.parse(f"redis://app:secret@127.0.0.1:{server.port}/0"), 5)
        client.acl_deluser("app")
    (finding,) = check_server(state, durability=Durability.DISK, allow_eviction=False)
    assert (finding.name, finding.verdict) == ("server", "warn")
    assert "INFO is forbidden" in finding.text


def test_a_server_that_is_away_is_unavailable() -> None:
    """It can't be judged, and the reason is the same as everywhere."""
    with pytest.raises(QueueUnavailable, match="connection refused"):
        read_server(Address.parse(f"redis://127.0.0.1:{free_port()}/0"), 2)
