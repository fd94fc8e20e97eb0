"""Each example over HTTP: accepted, looked up, refused by the field's name, 503 when Redis is away."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox import ROOT, Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

APPS = {
    "fastapi": ("uvicorn", "examples.fastapi_app:app", "--loop", "asyncio", "--host", "127.0.0.1", "--port"),
    "flask": ("gunicorn", "examples.flask_app:app", "--workers", "2", "--preload", "--no-control-socket", "--bind"),
    "django": ("gunicorn", "examples.django_app.wsgi", "--workers", "2", "--no-control-socket", "--bind"),
}


class Site:
    """An example that serves.

    Args:
        name: Which of `APPS`.
        redis_url: Its `SMSQ_REDIS_URL`.
        log: The file that its output goes to.
        database: The file with its tables, for those that have any.
    """

    def __init__(self, name: str, redis_url: str, log: Path, database: Path) -> None:
        port = free_port()
        program, *arguments = APPS[name]
        secret = "one for all processes"
        env = environment(redis_url, "http://127.0.0.1:9", EXAMPLE_SECRET=secret, EXAMPLE_DATABASE=str(database))
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.database = database
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, *arguments, str(port) if program == "uvicorn" else f"127.0.0.1:{port}"],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=out,
            )

    def answers(self) -> bool:
        """Returns whether it serves."""
        try:
            return self.call("GET", "/nothing")[0] == 404
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
        """Makes a request and returns the status and the JSON of the answer, or its text."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path,
            body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
            method=method,
        )
        request.add_header("Content-Type", "application/json")
        if key is not None:
            request.add_header("Idempotency-Key", key)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
            return error.code, json.loads(text) if "json" in error.headers.get("Content-Type", "") else text

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(20)


def _manage(command: str, env: dict[str, str]) -> str:
    """Runs a management command of the Django example, and returns what it printed."""
    settings = "examples.django_app.settings"
    ran = subprocess.run(
        [sys.executable, "-m", "django", command, "--settings", settings],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def sites(
    shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Site]]:
    """The three examples and a worker, started side by side; and the three once more, with a Redis that is away."""
    with shared_server.client() as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("examples")
    worker = Worker(folder / "worker.log", environment(shared_server.url, shared_sandbox.url))
    away = f"redis://127.0.0.1:{free_port()}/0"
    database, other = folder / "django.sqlite3", folder / "django-away.sqlite3"
    _manage("migrate", environment(shared_server.url, "http://127.0.0.1:9", EXAMPLE_DATABASE=str(database)))
    shutil.copy(database, other)
    made = {name: Site(name, shared_server.url, folder / f"{name}.log", database) for name in APPS}
    made |= {f"{name} without Redis": Site(name, away, folder / f"{name}-away.log", other) for name in APPS}
    worker.wait_ready()
    for each in made.values():
        wait_until(each.answers, what="the example answers")
    yield made
    for each in made.values():
        each.process.terminate()  # all side by side
    for each in made.values():
        each.stop()
    worker.kill()


@pytest.mark.parametrize("name", APPS)
def test_a_code_is_sent_once_and_looked_up(sites: dict[str, Site], shared_sandbox: Sandbox, name: str) -> None:
    """202 with the job's id; the same request again is the same job; in the end it is sent, once."""
    site, phone = sites[name], ordinary(7_100_000 + [*APPS].index(name))
    status, answer = site.call("POST", "/codes", {"phone": f"+{phone}"}, key=f"{name}:1")
    assert status == 202, answer
    assert site.call("POST", "/codes", {"phone": f"+{phone}"}, key=f"{name}:1") == (202, answer)

    def sent() -> Any:  # noqa: ANN401 - JSON
        status, job = site.call("GET", f"/codes/{answer['job']}")
        assert status == 200
        return job if job["state"] == "sent" else None

    job = wait_until(sent, what="the code is sent")
    [message] = [each for each in shared_sandbox.messages() if str(each["recipient"]) == phone]
    assert job["messageId"] == int(message["messageId"])
    assert job["lane"] == "urgent"
    other = site.call("POST", "/codes", {"phone": f"+{ordinary(7_100_009)}"}, key=f"{name}:1")
    assert other[0] == 409


@pytest.mark.parametrize("name", APPS)
def test_impatient_people_get_one_code(sites: dict[str, Site], shared_sandbox: Sandbox, name: str) -> None:
    """F84: twenty times the same form at once is one message, and twenty times the same job."""
    site, phone = sites[name], ordinary(7_200_000 + [*APPS].index(name))
    with ThreadPoolExecutor(20) as people:
        clicks = [people.submit(site.call, "POST", "/codes", {"phone": phone}, f"{name}:20") for _ in range(20)]
        answers = [click.result() for click in clicks]
    assert {status for status, _ in answers} == {202}
    [job_id] = {answer["job"] for _, answer in answers}
    wait_until(lambda: site.call("GET", f"/codes/{job_id}")[1]["state"] == "sent", what="the code is sent")
    assert [str(each["recipient"]) for each in shared_sandbox.messages()].count(phone) == 1


@pytest.mark.parametrize("name", APPS)
def test_a_user_s_mistake_names_the_field(sites: dict[str, Site], name: str) -> None:
    """A bad number gives 422 with the field and its rule; so does a missing key; an unknown job is 404."""
    site = sites[name]
    status, answer = site.call("POST", "/codes", {"phone": "87010000001"}, key=f"{name}:2")
    assert status == 422
    assert set(answer["errors"]) == {"recipient"}
    status, answer = site.call("POST", "/codes", {"phone": "+77010000001"})
    assert status == 422
    assert "idempotency-key" in json.dumps(answer).lower()
    status, answer = site.call("GET", "/codes/nosuchjob")
    assert status == 404
    assert "no such job" in answer.values()


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize(
    "phone", ["\ud800", "+7701000000\udc00", 77010000001, None, ["+77010000001"], {}, "1" * 100_000]
)
def test_nonsense_is_refused(sites: dict[str, Site], name: str, phone: object) -> None:
    """Whatever JSON can say in the place of a number: 422 with the field, and no traceback."""
    status, answer = sites[name].call("POST", "/codes", {"phone": phone}, key=f"{name}:3")
    assert status == 422, answer
    assert "recipient" in json.dumps(answer) or "phone" in json.dumps(answer)


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 200_000,
        b'{"phone":NaN}',
        b'{"phone":{"a":Infinity}}',
        b'{"phone":["\\ud800"]}',
        b'{"\\ud800":1}',
        b"\xff",
        b"",
        b" " * 3_000_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_what_is_no_request_is_refused(sites: dict[str, Site], name: str, body: bytes) -> None:
    """In JSON, as all else, with nothing of what it said."""
    status, answer = sites[name].call("POST", "/codes", body, key=f"{name}:4")
    assert status in (400, 413, 422), answer
    assert answer.keys() <= {"error", "errors", "detail"}
    assert "input" not in json.dumps(answer)


@pytest.mark.parametrize("name", APPS)
def test_without_redis_it_says_try_again(sites: dict[str, Site], name: str) -> None:
    """503 for both handlers, not a traceback."""
    site = sites[f"{name} without Redis"]
    assert site.call("POST", "/codes", {"phone": "+77010000001"}, key="1") == (503, {"error": "try again"})
    assert site.call("GET", "/codes/nosuchjob") == (503, {"error": "try again"})


def test_fastapi_needs_no_thread_pool(sites: dict[str, Site]) -> None:
    """After it has enqueued and looked up, the server has one thread: nothing was run in a pool.

    On asyncio's own loop: libuv, under uvloop, has threads of its own for names of hosts.
    """
    site = sites["fastapi"]
    answer = site.call("POST", "/codes", {"phone": "+77010000001"}, key="threads")[1]
    assert site.call("GET", f"/codes/{answer['job']}")[0] == 200
    assert len([*Path(f"/proc/{site.process.pid}/task").iterdir()]) == 1


def test_an_order_promises_its_sms(sites: dict[str, Site], shared_server: Server, shared_sandbox: Sandbox) -> None:
    """Twenty times at once is one order with one SMS; one that was placed while Redis was away is sent by the relay."""
    phone, later = ordinary(7_300_000), ordinary(7_300_001)
    with ThreadPoolExecutor(20) as people:
        clicks = [people.submit(sites["django"].call, "POST", "/orders", {"phone": phone}, "20") for _ in range(20)]
        answers = [click.result() for click in clicks]
    assert {status for status, _ in answers} == {202}
    assert len({answer["order"] for _, answer in answers}) == 1
    away = sites["django without Redis"]
    assert away.call("POST", "/orders", {"phone": later}, key="21")[0] == 202
    env = environment(shared_server.url, "http://127.0.0.1:9", EXAMPLE_DATABASE=str(away.database))
    assert _manage("smsq_relay", env) == "relayed 1\n"

    def called() -> list[str]:
        return sorted(each for each in map(_recipient, shared_sandbox.messages()) if each in {phone, later})

    wait_until(lambda: set(called()) == {phone, later}, what="both are sent")
    assert called() == [phone, later]


def _recipient(message: Mapping[str, object]) -> str:
    """Whom a message of the sandbox went to."""
    return str(message["recipient"])
