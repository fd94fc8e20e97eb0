"""`smsq doctor`: one finding a check, what to do, and its exit codes."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.support.server import Server, free_port

if TYPE_CHECKING:
    import redis

from tests.cli.doctor import Doctor, beat, failing

POLICIES = (
    *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)


def age(client: "redis.Redis", name: str, ago: int) -> None:
    """Makes a worker's last heartbeat so many milliseconds older, as time does."""
    moment, _, said = str(client.hget(keys.WORKERS, name)).partition(" ")
    client.hset(keys.WORKERS, name, f"{int(moment) - ago} {said}")


def test_all_is_well(doctor: Doctor) -> None:
    """Exit 0, and a line for each check: name, ok, and what is the case."""
    findings = doctor(0)
    assert failing(findings, "ok") == set(findings)
    assert {"redis", "version", "mode", "eviction", "persistence", "replicas", "redis clock", "workers", "worker",
            "lanes", "due", "parked", "time zones", "gateway", "clock"} == set(findings)  # fmt: skip
    assert findings["gateway"][1] == "the key is valid, the balance is 1000.0000 KZT"
    plain = doctor.plain()
    assert plain.code == 0
    assert [line[13:17].strip() for line in plain.out.splitlines()] == ["ok"] * len(findings)


# -- Redis


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_that_evicts_fails(doctor: Doctor, client: "redis.Redis", policy: str) -> None:
    """F20: the policy is named, with what to set."""
    client.config_set("maxmemory-policy", policy)
    try:
        findings = doctor(1)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert failing(findings) == {"eviction"}
    assert policy in findings["eviction"][1]
    assert "set noeviction" in findings["eviction"][1]


def test_eviction_that_is_allowed_is_a_warning(doctor: Doctor, client: "redis.Redis") -> None:
    """F20: the setting that lets a worker start is the doctor's too; a warning leaves the exit code 0."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = doctor(0, SMSQ_ALLOW_EVICTION="true")
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert failing(findings, "warn") == {"eviction"}


OwnServer = Callable[..., Server]


def test_a_server_that_forbids_config(own_server: OwnServer, doctor: Doctor) -> None:
    """F20: without CONFIG, as on managed servers, INFO says the policy."""
    server = own_server("--rename-command", "CONFIG", "", "--maxmemory-policy", "volatile-ttl")
    beat(server)
    findings = doctor(1, SMSQ_REDIS_URL=server.url)
    assert failing(findings) == {"eviction"}
    assert "volatile-ttl" in findings["eviction"][1]


@pytest.mark.parametrize(
    ("durability", "told"), [("memory", "loses jobs, or takes sent ones for waiting"), ("disk", "appendonly is no")]
)
def test_a_server_without_a_file_fails(own_server: OwnServer, doctor: Doctor, durability: str, told: str) -> None:
    """F02: whatever "accepted" is to mean, exit 1, and which promise is off."""
    server = own_server("--appendonly", "no")
    beat(server)
    findings = doctor(1, SMSQ_REDIS_URL=server.url, SMSQ_DURABILITY=durability)
    assert failing(findings) == {"persistence"}
    assert told in findings["persistence"][1]


def test_replicas_that_are_waited_for_and_missing_fail(doctor: Doctor) -> None:
    """With `replica` and none connected, nothing is accepted."""
    assert failing(doctor(1, SMSQ_DURABILITY="replica")) == {"replicas"}


def test_a_cluster(own_server: OwnServer, doctor: Doctor) -> None:
    """F21: exit 3, and one line says that cluster mode isn't supported."""
    server = own_server("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    findings = doctor(3, SMSQ_REDIS_URL=server.url)
    assert "cluster mode isn't supported" in findings["mode"][1]


def test_redis_is_away(doctor: Doctor) -> None:
    """Exit 3; what doesn't need Redis is checked all the same."""
    findings = doctor(3, SMSQ_REDIS_URL=f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert failing(findings) == {"redis"}
    assert "connection refused" in findings["redis"][1]
    assert "secret" not in findings["redis"][1]
    assert {"time zones", "gateway", "clock"} < set(findings)


# -- workers and jobs


def test_no_worker(doctor: Doctor, client: "redis.Redis") -> None:
    """Nobody was ever heard of: exit 1; a job that waits on a lane nobody reads makes that lane fail too."""
    client.delete(keys.WORKERS)
    findings = doctor(1)
    assert (failing(findings), failing(findings, "warn")) == ({"workers"}, {"lanes"})


def test_a_worker_that_was_killed(doctor: Doctor, client: "redis.Redis") -> None:
    """Its heartbeat is old: as the only one it fails, beside another it is a warning, and after an hour it is gone."""
    age(client, "celery@one", 90_000)
    findings = doctor(1)
    assert (failing(findings), failing(findings, "warn")) == ({"workers"}, {"worker", "lanes"})
    text = findings["worker"][1]
    assert text.startswith("celery@one: it was last heard of 9")
    age(client, "celery@one", 3_600_000)
    assert "worker" not in doctor(1)


def test_a_worker_that_does_not_consume(doctor: Doctor, server: Server) -> None:
    """F92: by the probe's judgement; as the only one it fails all workers."""
    beat(server, "celery@one", stalled=75)
    findings = doctor(1)
    assert failing(findings) == {"workers", "worker"}
    assert "for 75 s though it should" in findings["worker"][1]
    beat(server, "celery@two")
    assert doctor(1)["workers"] == ("ok", "2 alive, 1 of them consuming")


def test_accounts_that_are_refused(doctor: Doctor, server: Server, client: "redis.Redis") -> None:
    """One worker's is a warning, every live worker's is a failure; each with its reason."""
    reason = "code 8: the API key is wrong or expired"
    beat(server, "celery@two")
    client.hset(keys.worker_gate("celery@two"), mapping={"since": 1, "probe_at": 2**50, "reason": reason})
    findings = doctor(0)
    assert failing(findings, "warn") == {"worker"}
    assert "code 8" in findings["worker"][1]
    client.hset(keys.worker_gate("celery@one"), mapping={"since": 1, "probe_at": 2**50, "reason": reason})
    findings = doctor(1)
    assert failing(findings) == {"workers"}
    assert "code 8" in findings["workers"][1]


def test_a_circuit_that_is_closed(doctor: Doctor, client: "redis.Redis") -> None:
    """It fails, with the reason."""
    client.hset(keys.CIRCUIT, mapping={"since": 1, "probe_at": 2**50, "reason": "no answer in time"})
    findings = doctor(1)
    assert failing(findings) == {"circuit"}
    assert "no answer in time" in findings["circuit"][1]


def test_what_operators_hold_back_and_what_is_parked(doctor: Doctor, client: "redis.Redis") -> None:
    """Both are warnings, and say what ends them."""
    client.hset(keys.PAUSE, "bulk", "1 a wrong price")
    client.hset(keys.PARKED, "0123456789abcdefghij", "its record can't be used")
    findings = doctor(0)
    assert failing(findings, "warn") == {"pause", "parked"}
    assert "a wrong price" in findings["pause"][1]
    assert "smsq parked" in findings["parked"][1]


def test_a_lane_that_nobody_reads(doctor: Doctor, server: Server, queue: SmsQueue) -> None:
    """A warning while nothing waits on it, then a failure."""
    beat(server, lanes=["urgent", "normal"])
    assert doctor(0)["lanes"][0] == "warn"
    queue.enqueue(Sms(recipient=NUMBER, text=TEXT), lane="bulk")
    verdict, text = doctor(1)["lanes"]
    assert verdict == "fail"
    assert "bulk, where 1 jobs wait" in text


def test_a_job_that_is_late(doctor: Doctor, client: "redis.Redis", queue: SmsQueue) -> None:
    """F92: its moment came more than a minute ago, and nobody has looked at it."""
    job = queue.enqueue(Sms(recipient=NUMBER, text=TEXT), expires_in=86_400)
    now = int(client.time()[0]) * 1000
    client.zadd(keys.DUE, {job.id: now - 30_000})
    assert doctor(0)["due"][0] == "ok"
    client.zadd(keys.DUE, {job.id: now - 120_000})
    verdict, text = doctor(1)["due"]
    assert verdict == "fail"
    assert "1 jobs are late, the first by 12" in text


# -- this machine and the gateway


def test_old_time_zone_data(doctor: Doctor, tmp_path: Path) -> None:
    """Data from before 2024-03-01 have Almaty at UTC+6: times would be an hour off."""
    (tmp_path / "zones" / "Asia").mkdir(parents=True)
    omsk = files("tzdata.zoneinfo") / "Asia" / "Omsk"
    (tmp_path / "zones" / "Asia" / "Almaty").write_bytes(omsk.read_bytes())
    findings = doctor(1, PYTHONTZPATH=str(tmp_path / "zones"))
    assert failing(findings) == {"time zones"}
    assert "update tzdata" in findings["time zones"][1]


@pytest.mark.parametrize("wrong", [{"MOBIZON_API_URL": "api.mobizon.kz"}, {"SMSQ_DURABILITY": "paper"}])
def test_a_wrong_setting(smsq: Command, wrong: dict[str, str]) -> None:
    """Exit 2, one line that names the variable."""
    ended = smsq("doctor", stdin=b"", **wrong)
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.errors
    assert line.startswith(f"{next(iter(wrong))}: ")
