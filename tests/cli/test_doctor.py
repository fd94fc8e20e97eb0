"""`smsq doctor`: one finding a check, what to do, and its exit codes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from smsq import Settings, Sms, SmsQueue, keys, ledger
from smsq.connection import SyncRunner
from smsq.ledger import Look
from tests.cli.conftest import NUMBER, TEXT, Command, Ended
from tests.ledger.actor import POLICY
from tests.support.sandbox import Sandbox
from tests.support.server import Server, free_port
from tests.support.worker import KEY

if TYPE_CHECKING:
    import redis

POLICIES = (
    *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)
Findings = dict[str, tuple[str, str]]


def found(ended: Ended) -> Findings:
    """Reads the findings of ``--json``: verdict and text by check; of a check that comes twice, the last."""
    lines = [json.loads(line) for line in ended.out.splitlines()]
    return {each["check"]: (each["verdict"], each["text"]) for each in lines}


def failing(findings: Findings, verdict: str = "fail") -> set[str]:
    """Returns the checks with that verdict."""
    return {name for name, (given, _) in findings.items() if given == verdict}


class Doctor:
    """The command, where a worker and a gateway are well.

    Args:
        smsq: The command line.
        sandbox: The gateway.
    """

    def __init__(self, smsq: Command, sandbox: Sandbox) -> None:
        self._smsq = smsq
        self._env = {"MOBIZON_API_URL": sandbox.url}

    def __call__(self, code: int, **settings: str) -> Findings:
        """Runs it, checks its exit code and that nothing but findings is printed, and returns them."""
        ended = self._smsq("doctor", "--json", stdin=b"", **{**self._env, **settings})
        assert (ended.code, ended.err) == (code, ""), ended
        assert KEY not in ended.out
        return found(ended)

    def plain(self, **settings: str) -> Ended:
        """Runs it for people."""
        return self._smsq("doctor", stdin=b"", **{**self._env, **settings})


def beat(server: Server, name: str = "celery@one", **said: object) -> None:
    """Gives a worker's heartbeat as its dispatcher does."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    state = {"host": "here", "stalled": 0, "slots": 100, "in_use": 3, "lanes": ["urgent", "normal", "bulk"], **said}
    runner.run(ledger.take_due(Look(1, 0, 1, "n", name, json.dumps(state)), POLICY), 5)
    runner.close()


@pytest.fixture
def doctor(smsq: Command, server: Server, sandbox: Sandbox) -> Doctor:
    """The doctor, and a worker that was just heard of."""
    beat(server)
    return Doctor(smsq, sandbox)


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


@pytest.mark.parametrize(
    ("code", "told"), [(8, "set MOBIZON_API_KEY"), (9, "allow this method"), (13, "MOBIZON_API_URL"), (14, "provider")]
)
def test_an_account_that_is_refused(doctor: Doctor, sandbox: Sandbox, code: int, told: str) -> None:
    """Exit 1: the code, its meaning and what to do."""
    sandbox.post("/sandbox/fail", next=1, method="user/getOwnBalance", **{"as": f"code-{code}"})
    findings = doctor(1)
    assert failing(findings) == {"gateway"}
    assert f"code {code}: " in findings["gateway"][1]
    assert told in findings["gateway"][1]


def test_an_account_without_money(doctor: Doctor, sandbox: Sandbox) -> None:
    """A warning with the balance: the gateway refuses what it costs more than there is."""
    sandbox.post("/sandbox/flags", balance="-0.5000")
    verdict, text = doctor(0)["gateway"]
    assert verdict == "warn"
    assert "-0.5000 KZT" in text


@pytest.mark.parametrize("missing", ["", " "])
def test_no_key(doctor: Doctor, missing: str) -> None:
    """A failed check that says where doctor is to be run; the gateway isn't called."""
    findings = doctor(1, MOBIZON_API_KEY=missing, MOBIZON_API_URL="http://127.0.0.1:1")
    assert failing(findings) == {"gateway"}
    assert "MOBIZON_API_KEY isn't set here" in findings["gateway"][1]


def test_the_gateway_is_away(doctor: Doctor) -> None:
    """Exit 3, with all that Redis says."""
    findings = doctor(3, MOBIZON_API_URL=f"http://127.0.0.1:{free_port()}")
    assert failing(findings) == {"gateway"}
    assert "no connection to the gateway" in findings["gateway"][1]
    assert "due" in findings


@pytest.mark.parametrize("wrong", [{"MOBIZON_API_URL": "api.mobizon.kz"}, {"SMSQ_DURABILITY": "paper"}])
def test_a_wrong_setting(smsq: Command, wrong: dict[str, str]) -> None:
    """Exit 2, one line that names the variable."""
    ended = smsq("doctor", stdin=b"", **wrong)
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.errors
    assert line.startswith(f"{next(iter(wrong))}: ")


# -- answers that no gateway should give

Reply = Callable[[BaseHTTPRequestHandler], None]
ANSWER = b'{"code":0,"data":{"balance":"12.5000","currency":"KZT"},"message":""}'


def answer(body: bytes = ANSWER, status: int = 200, **headers: str) -> Reply:
    """A whole answer; headers take the place of the server's own."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in {"Date": formatdate(usegmt=True), "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte each half second, so that no single read is long; after eight seconds the rest, which would do."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    nothing = threading.Event()
    for _ in range(16):
        nothing.wait(0.5)
        handler.wfile.write(b"x")
    handler.wfile.write(b"\r\n\r\n" + ANSWER)


@contextmanager
def gateway(reply: Reply) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An HTTP server that answers each request so; gives its URL, and the paths and bodies that it got."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            try:
                reply(self)
            except OSError:
                return  # the caller has hung up

        do_GET = do_POST  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("ahead", "verdict", "told"),
    [(0, "ok", "agrees"), (20, "warn", "s behind the gateway's"), (-20, "warn", "s ahead of"), (900, "fail", "NTP")],
)
def test_clocks_that_differ(doctor: Doctor, ahead: int, verdict: str, told: str) -> None:
    """The gateway's `Date` against this machine's clock: seconds are a warning, more than a minute is a failure."""
    with gateway(answer(Date=formatdate(time.time() + ahead, usegmt=True))) as (url, _):
        findings = doctor(int(verdict == "fail"), MOBIZON_API_URL=url)
    assert findings["clock"][0] == verdict
    assert told in findings["clock"][1]


def test_the_key_is_in_the_body_alone(doctor: Doctor) -> None:
    """Not in the address, which servers log; proxies of the environment are passed over."""
    with gateway(answer()) as (url, got):
        doctor(0, MOBIZON_API_URL=url, http_proxy="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1")
    ((path, body),) = got
    assert KEY not in path
    assert parse_qs(body.decode()) == {"apiKey": [KEY]}


@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed(doctor: Doctor, status: int) -> None:
    """The key would go along, or the answer would be another question's."""
    with gateway(answer()) as (other, theirs), gateway(answer(b"", status, Location=other)) as (url, got):
        findings = doctor(1, MOBIZON_API_URL=url)
    assert (len(got), theirs) == (1, [])
    assert findings["gateway"][0] == "fail"


@pytest.mark.parametrize(
    ("reply", "code", "told"),
    [
        (answer(b"<html>Welcome</html>"), 1, "the answer isn't the API's"),
        (answer(b"<html>Busy</html>", 503), 1, "leaves it open"),
        (answer(b"<html>Nothing here</html>", 404), 1, "set MOBIZON_API_URL"),
        (answer(b'{"code":0,"data":[]}'), 1, "the balance can't be read"),
        (answer(b'{"code":30,"data":""}'), 0, "too many calls"),
        (answer(b"x" * 100_000), 3, "too large"),
        (drip, 3, "no complete answer in time"),
        (lambda handler: handler.wfile.write(b"220 mail.example ESMTP\r\n") and None, 3, "wasn't valid HTTP"),
        (lambda handler: handler.connection.close(), 3, "gateway"),
    ],
    ids=["page", "busy", "not found", "no balance", "too many", "huge", "drips", "not HTTP", "closed"],
)
def test_answers_that_say_nothing_of_the_account(doctor: Doctor, reply: Reply, code: int, told: str) -> None:
    """Each is named; one that can't be read to its end, within a size and a time, is no answer."""
    with gateway(reply) as (url, _):
        findings = doctor(code, MOBIZON_API_URL=url)
    assert findings["gateway"][0] == ("warn" if code == 0 else "fail")
    assert told in findings["gateway"][1]


def test_what_the_gateway_repeats_of_the_key_is_masked(doctor: Doctor) -> None:
    """Its sentences are shown, without the key and without long numbers."""
    said = json.dumps({"code": 8, "data": f"Key {KEY} of 77010000001 is unknown", "message": ""}).encode()
    with gateway(answer(said)) as (url, _):
        findings = doctor(1, MOBIZON_API_URL=url)
    assert "Key [secret] of [number] is unknown" in findings["gateway"][1]
