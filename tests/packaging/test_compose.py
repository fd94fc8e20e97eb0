"""docker-compose.yml: its commands, run as processes with nothing but what their containers would have."""

import json
import re
import signal
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator

import pytest
import redis

from config.settings import WorkerSettings
from smsq import Sms, SmsQueue, State, keys
from smsq.settings import variable
from tests.packaging import compose
from tests.packaging.containers import Containers
from tests.packaging.environment import ROOT
from tests.packaging.image import Image
from tests.support.waiting import wait_until
from tests.support.worker import KEY

RECIPIENT, NO_ROUTE, TEXT = "77010000001", "77000006010", "Secret code: 4711"
PASSWORD = "correct horse battery staple"
OWN_SERVICES = ("worker", "flower", "sandbox")


def env_file() -> dict[str, str]:
    """Returns what `.env` sets for a trial with the sandbox: the example's last lines, and what is required."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    trial = example[example.index("To try it without Mobizon") :]
    set_by_it = dict(re.findall(r"^#(\w+)=(.*)$", trial, flags=re.MULTILINE))
    return {**set_by_it, "MOBIZON_API_KEY": KEY, "FLOWER_PASSWORD": PASSWORD}


class Flower:
    """A client of Flower's pages."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, page: str, password: str | None = PASSWORD, body: str | None = None) -> tuple[int, str]:
        """GETs a page, or POSTs to it if there is a body, and returns the status and the body of the answer."""
        login = b64encode(f"smsq:{password}".encode()).decode()
        headers = {} if password is None else {"Authorization": f"Basic {login}"}
        sent = None if body is None else body.encode()
        request = urllib.request.Request(self._url + page, sent, headers)  # noqa: S310 - HTTP, on loopback
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def workers(self) -> list[str]:
        """Returns the names of the workers that it sees; none while it isn't up."""
        try:
            return [each["hostname"] for each in json.loads(self.get("/workers?json=1")[1])["data"]]
        except urllib.error.URLError:
            return []


@pytest.fixture(scope="module")
def containers(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """All services of the trial, running."""
    started = Containers(image, env_file(), tmp_path_factory.mktemp("compose"))
    try:
        for name in ("redis", "sandbox", "flower", "worker"):
            started.start(name)
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def flower(containers: Containers) -> Flower:
    """Flower, once it sees the worker."""
    client = Flower(containers.ports["flower"])
    wait_until(client.workers, what="Flower sees the worker")
    return client


@pytest.fixture
def queue(containers: Containers) -> Iterator[SmsQueue]:
    """A queue on the services' Redis."""
    made = SmsQueue(containers.redis_url)
    yield made
    made.close()


def send(queue: SmsQueue, recipient: str) -> tuple[str, State]:
    """Sends a message and returns its job's id and how it ended."""
    job = queue.wait(queue.enqueue(Sms(recipient=recipient, text=TEXT)).id, timeout=30)
    assert job is not None
    return job.id, job.state


def test_a_message_goes_through(queue: SmsQueue) -> None:
    """With the example's lines in `.env`, what is enqueued goes to the sandbox and comes back as sent."""
    assert send(queue, RECIPIENT)[1] is State.SENT


def test_redis_keeps_what_it_accepted(containers: Containers, flower: Flower) -> None:
    """Redis has an append-only file and evicts nothing."""
    with redis.Redis(port=containers.ports["redis"], decode_responses=True) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_health_checks_pass(containers: Containers, flower: Flower) -> None:
    """Each service of ours that runs well passes its own health check."""
    assert {name: containers.health(name) for name in OWN_SERVICES} == dict.fromkeys(OWN_SERVICES, 0)


def test_a_frozen_worker_fails_its_health_check(containers: Containers, flower: Flower) -> None:
    """The worker's check judges by its deeds: half a minute after it stood still, the check fails (F92)."""
    worker = containers.running["worker"]
    worker.send_signal(signal.SIGSTOP)
    try:
        with redis.Redis(port=containers.ports["redis"], decode_responses=True) as client:
            ((name, told),) = client.hgetall(keys.WORKERS).items()
            beat, _, said = told.partition(" ")
            client.hset(keys.WORKERS, name, f"{int(beat) - 30_000} {said}")  # the half minute
        assert containers.health("worker") == 1
    finally:
        worker.send_signal(signal.SIGCONT)
    wait_until(lambda: containers.health("worker") == 0, what="it is well again")


def test_a_worker_without_redis_fails_its_health_check(containers: Containers, flower: Flower) -> None:
    """A worker that can't reach Redis takes nothing."""
    assert containers.health("worker", SMSQ_REDIS_URL="redis://127.0.0.1:1/0") == 3


@pytest.mark.parametrize("page", ["/", "/tasks", "/broker", "/api/tasks", "/api/workers", "/api/queues/length"])
def test_flower_wants_its_password(flower: Flower, page: str) -> None:
    """Flower's pages and its API answer 401 without the password or with a wrong one, and 200 with it (F88)."""
    assert [flower.get(page, password)[0] for password in (None, "wrong", PASSWORD)] == [401, 401, 200]


def test_flowers_health_check_uses_the_password(containers: Containers, flower: Flower) -> None:
    """With another password than Flower's the check fails, so it does use one (F88)."""
    assert containers.health("flower", FLOWER_BASIC_AUTH="smsq:wrong") != 0


def test_flower_counts_what_waits(containers: Containers, flower: Flower, queue: SmsQueue) -> None:
    """Flower's queue lengths are those of the lanes, although their transport is ours."""
    worker = containers.running["worker"]
    worker.send_signal(signal.SIGSTOP)
    try:
        messages = [Sms(recipient=RECIPIENT, text=TEXT) for _ in range(3)]
        jobs = list(queue.enqueue_many(messages, lane="bulk"))
        lengths = json.loads(flower.get("/api/queues/length")[1])["active_queues"]
    finally:
        worker.send_signal(signal.SIGCONT)
    assert {each["name"]: each["messages"] for each in lengths} == {"sms.urgent": 0, "sms.normal": 0, "sms.bulk": 3}
    for job in jobs:
        assert (ended := queue.wait(job.id, timeout=30))
        assert ended.state is State.SENT


def test_flower_shows_outcomes_and_nothing_private(flower: Flower, queue: SmsQueue) -> None:
    """Flower shows how jobs ended, and on none of its pages a number, a text, a key or a password."""
    sent, refused = send(queue, RECIPIENT), send(queue, NO_ROUTE)
    assert (sent[1], refused[1]) == (State.SENT, State.FAILED)

    def shown() -> dict[str, str]:
        tasks = json.loads(flower.get("/api/tasks")[1])
        return {job_id: tasks[job_id]["state"] for job_id, _ in (sent, refused) if job_id in tasks}

    wait_until(lambda: shown() == {sent[0]: "SUCCESS", refused[0]: "FAILURE"}, what="Flower shows both outcomes")
    (name,) = flower.workers()
    own = [
        f"/{kind}/{job_id}" for job_id, _ in (sent, refused) for kind in ("task", "api/task/info", "api/task/result")
    ]
    for page in ["/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers?refresh=1", f"/worker/{name}", *own]:
        status, body = flower.get(page)
        assert status == 200, page
        shown_of = [each for each in (RECIPIENT, NO_ROUTE, "Secret", KEY, PASSWORD) if each in body]
        assert not shown_of, page


def test_flower_publishes_nothing_and_repeats_nothing(flower: Flower) -> None:
    """What its API is asked to publish is refused; the answer repeats none of it and shows no traceback."""
    given = json.dumps({"args": [RECIPIENT, TEXT]})
    calls = [
        *((f"/api/task/{verb}/smsq.send", given, 500) for verb in ("async-apply", "send-task", "apply")),
        ("/api/task/async-apply/smsq.send", f"{RECIPIENT} {TEXT}", 400),
        ("/api/task/async-apply/no.such", given, 404),
        ("/task/nosuchjob", None, 404),
    ]
    for page, body, expected in calls:
        status, answer = flower.get(page, body=body)
        assert status == expected, page
        assert not [each for each in (RECIPIENT, "Secret", KEY, PASSWORD, "Traceback", "File ") if each in answer], page
    lengths = json.loads(flower.get("/api/queues/length")[1])["active_queues"]
    assert {each["messages"] for each in lengths} == {0}


@pytest.mark.parametrize("required", ["MOBIZON_API_KEY", "FLOWER_PASSWORD"])
@pytest.mark.parametrize("value", [None, ""])
def test_it_does_not_start_without_its_secrets(required: str, value: str | None) -> None:
    """`docker compose up` refuses to start while the key or Flower's password isn't set, or is empty (F88)."""
    variables = {name: given for name, given in {**env_file(), required: value}.items() if given is not None}
    with pytest.raises(compose.NotSet, match=required):
        compose.services(variables)


def test_every_setting_of_a_worker_can_be_set() -> None:
    """Each variable that a worker reads is passed on to it from `.env`."""
    names = {variable(WorkerSettings, field) for field in WorkerSettings.model_fields}
    given = compose.services(dict.fromkeys(names, "given") | env_file())["worker"]["environment"]
    assert set(given) == names


def test_flower_gets_no_key() -> None:
    """The API's key goes to the worker alone."""
    services = compose.services(env_file())
    assert [name for name in services if KEY in services[name]["environment"].values()] == ["worker"]


def test_only_pages_with_a_login_are_published_and_on_loopback() -> None:
    """No port but Flower's and Grafana's is reachable from outside the network, and from this machine only (F88)."""
    services = compose.services(env_file())
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "flower": ["127.0.0.1:5555:5555"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_what_is_mounted_is_there() -> None:
    """Each file of the checkout that a service mounts exists: compose would make an empty folder in its place."""
    volumes = [each for service in compose.services(env_file()).values() for each in service.get("volumes", [])]
    mounted = [each.partition(":")[0] for each in volumes if each.startswith("./")]
    assert mounted
    assert not [path for path in mounted if not (ROOT / path).exists()]


def test_workers_can_be_scaled() -> None:
    """Nothing in the worker's service can be there but once: no name and no port of its own."""
    assert not {"container_name", "ports", "hostname"} & set(compose.services(env_file())["worker"])


def test_calls_may_end_before_a_worker_is_killed() -> None:
    """Docker waits longer than a stopping worker gives its calls."""
    grace = compose.services(env_file())["worker"]["stop_grace_period"]
    assert int(re.fullmatch(r"(\d+)s", grace)[1]) > WorkerSettings.load().shutdown_grace  # type: ignore[index]
