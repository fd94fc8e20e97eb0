"""Did it arrive: a real worker asks the sandbox what became of messages after it accepted them."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from smsq import Job, Sms, SmsQueue, keys
from smsq.cli import main
from smsq.errors import SmsNotSent
from smsq.states import State
from smsq.webhook import MOST_BYTES
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of
from tests.support.sandbox import ROOT, Sandbox, ordinary
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

if TYPE_CHECKING:
    import redis

TEXT = "Код: 4711. Никому не говорите"
#: More than one call can ask about.
MANY = 250
SECRET = "a secret"
LEFT_ALONE = "a moderator declined it, and its text isn't kept; send a changed one as a new job"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def smsq(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `smsq` on the shared server; returns the exit code and what it printed."""
    monkeypatch.setenv("SMSQ_REDIS_URL", server.url)

    def run(*words: str) -> tuple[int, str, str]:
        return int(main(words)), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that wants to know of deliveries."""
    return standing(SMSQ_DELIVERY="on", SMSQ_DISPATCH_INTERVAL="0.05")


def send(queue: SmsQueue, number: str, batch_id: str | None = None) -> Job:
    """Sends a message."""
    job = end_of(queue, queue.enqueue(Sms(recipient=number, text=TEXT), batch_id=batch_id).id)
    assert job.state is State.SENT
    return job


def ask_now(client: "redis.Redis", *job_ids: str) -> None:
    """Has the moment come at which messages are asked about."""
    assert all(score is not None for score in client.zmscore(keys.FOLLOW, [*job_ids])), "nobody follows it"
    client.zadd(keys.FOLLOW, dict.fromkeys(job_ids, 0), xx=True)


def known(queue: SmsQueue, job_id: str, **fields: Any) -> Job:  # noqa: ANN401
    """Waits until a job has these, and returns it."""

    def has() -> Job | None:
        job = queue.lookup(job_id)
        return job if job and all(getattr(job, name) == value for name, value in fields.items()) else None

    job = wait_until(has, what=f"{fields}")
    assert job
    return job


def asked(sandbox: Sandbox, method: str) -> int:
    """How often a method was called."""
    return sum(call["method"] == method for call in sandbox.calls())


def test_moderated_then_sent_then_delivered(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Status 1 while a moderator looks at it; then 2, and from then on its delivery."""
    job = send(queue, sandbox.recipient("moderated"))
    assert (job.campaign_status, job.delivery) == (1, None)
    ask_now(client, job.id)
    wait_until(lambda: asked(sandbox, "campaign/get"), what="the gateway is asked")
    sandbox.post("/sandbox/clock", advance=901)
    wait_until(lambda: client.zscore(keys.FOLLOW, job.id), what="it waits again")
    ask_now(client, job.id)
    known(queue, job.id, campaign_status=2, state=State.SENT, delivery=None)
    sandbox.post("/sandbox/clock", advance=60)
    ask_now(client, job.id)
    known(queue, job.id, delivery="DELIVRD", state=State.SENT)
    assert client.zcard(keys.FOLLOW) == 0


def test_declined_has_failed(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", smsq: Command
) -> None:
    """It is listed with the moderator's words, which only its record has; ids stay; nobody calls for it again."""
    number = sandbox.recipient("declined")
    job = send(queue, number, batch_id="autumn")
    sandbox.post("/sandbox/clock", advance=901)
    ask_now(client, job.id)
    failed = known(queue, job.id, state=State.FAILED)
    words = "declined by a moderator (globalComment: Отклонено модератором: «[text]» на [number])"
    assert str(failed.error) == words
    assert (failed.message_id, failed.campaign_id) == (job.message_id, job.campaign_id)
    batch = queue.batch("autumn")
    assert batch is not None
    assert (batch.counts[State.SENT], batch.counts[State.FAILED], batch.declined) == (0, 1, 1)
    app = Celery(set_as_current=False, backend=f"smsq.celery_backend:LedgerBackend+{queue.settings.redis_url}")
    with pytest.raises(SmsNotSent, match="declined by a moderator"):
        app.AsyncResult(job.id).get(timeout=5)

    assert words in smsq("failed")[1]
    assert "1 (declined)" in smsq("failed", job.id)[1]
    code, _, complaint = smsq("failed", "--all", "--retry")
    assert (code, complaint) == (1, f"1 job was left alone: {LEFT_ALONE}\n")
    names = [event["event"] for event in json.loads(smsq("why", job.id, "--json")[1])["events"]]
    assert names == ["accepted", "attempt", "sent", "moderation", "failed"]
    assert sandbox.called(number) == 1
    [line] = worker_up.wait_lines("job.declined")
    assert (line["job_id"], line["campaign_id"]) == (job.id, job.campaign_id)
    assert "Отклонено" not in worker_up.text()


def test_a_hundred_deliveries_are_one_call(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """250 messages take three calls; the batch counts them; ids that the gateway doesn't know are asked about again."""
    lost = queue.enqueue(Sms(recipient=sandbox.recipient("closed-accepted"), text=TEXT)).id
    numbers = [*map(sandbox.recipient, ("undelivered", "expired")), *map(ordinary, range(MANY - 2))]
    jobs = [*queue.enqueue_many([Sms(recipient=each, text=TEXT) for each in numbers], batch_id="many")]
    for each in jobs:
        assert end_of(queue, each.id).state is State.SENT
    sandbox.post("/sandbox/clock", advance=60)
    ask_now(client, *(each.id for each in jobs))

    def counted() -> dict[str, int]:
        batch = queue.batch("many")
        return dict(batch.deliveries) if batch else {}

    wait_until(lambda: sum(counted().values()) == MANY, what="all are known")
    assert counted() == {"DELIVRD": MANY - 2, "UNDELIV": 1, "ACCEPTD": 1}
    assert asked(sandbox, "message/getsmsstatus") == -(-MANY // 100)
    assert known(queue, jobs[0].id, delivery="UNDELIV").state is State.SENT
    assert client.zmscore(keys.FOLLOW, [jobs[0].id, jobs[2].id]) == [None, None]
    assert client.zscore(keys.FOLLOW, jobs[1].id), "it isn't final"

    assert end_of(queue, lost).state is State.SENT  # found by asking for it, and followed as the others
    sandbox.post("/sandbox/reset")
    ask_now(client, lost)
    wait_until(lambda: asked(sandbox, "message/getsmsstatus"), what="the gateway is asked")
    wait_until(lambda: (client.zscore(keys.FOLLOW, lost) or 0) > 0, what="it waits for the next question")
    assert known(queue, lost, delivery=None).state is State.SENT


def test_too_many_questions_slow_all_calls_down(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """The round ends with the first call that fails, everybody hears of it, and the messages are asked about later."""
    jobs = [*queue.enqueue_many(Sms(recipient=ordinary(number), text=TEXT) for number in range(101))]
    for each in jobs:
        end_of(queue, each.id)
    sandbox.post("/sandbox/clock", advance=60)
    sandbox.post("/sandbox/fail", next=1, method="message/getsmsstatus", **{"as": "429"})
    ask_now(client, *(each.id for each in jobs))
    wait_until(lambda: client.hget(keys.PACE, "reason"), what="the pace is slower")
    assert asked(sandbox, "message/getsmsstatus") == 1
    assert client.zcard(keys.FOLLOW) == len(jobs)
    ask_now(client, *(each.id for each in jobs))
    for each in jobs:
        known(queue, each.id, delivery="DELIVRD")


def test_a_right_that_the_key_lacks_stops_nobody(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """That deliveries may not be asked for says nothing of sending: no gate is closed."""
    job = send(queue, ordinary(1))
    sandbox.post("/sandbox/clock", advance=60)
    sandbox.post("/sandbox/fail", next=1, method="message/getsmsstatus", **{"as": "code-9"})
    ask_now(client, job.id)
    wait_until(lambda: [line for line in worker_up.lines("follow.failed") if line["code"] == 9], what="it is refused")
    assert not client.keys(keys.worker_gate("*"))
    assert send(queue, ordinary(2)).attempts == 1
    ask_now(client, job.id)
    known(queue, job.id, delivery="DELIVRD")


@pytest.fixture
def webhook_port(server: Server, tmp_path: Path) -> Iterator[int]:
    """The example that takes reports, served."""
    port = free_port()
    env = environment(server.url, "http://127.0.0.1:9", EXAMPLE_WEBHOOK_SECRET=SECRET)
    command = [sys.executable, "-m", "uvicorn", "examples.delivery_reports:app", "--port", str(port)]

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert it.poll() is None, (tmp_path / "log").read_text()
            return False
        return True

    with (
        (tmp_path / "log").open("wb") as out,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out) as it,
    ):
        wait_until(answers, what="the example answers")
        yield port
        it.terminate()


@pytest.fixture
def webhook(webhook_port: int) -> Callable[..., int]:
    """Posts a report to it and returns the status."""

    def post(**event: Any) -> int:  # noqa: ANN401
        try:
            body = json.dumps(event).encode()
            with urllib.request.urlopen(
                f"http://127.0.0.1:{webhook_port}/delivery-reports", body, timeout=10
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return post


@pytest.mark.parametrize("secret", ["", "  "])
def test_the_webhook_s_example_needs_a_secret(server: Server, secret: str) -> None:
    """Without one it doesn't start: anybody could call."""
    env = environment(server.url, "http://127.0.0.1:9", EXAMPLE_WEBHOOK_SECRET=secret)
    command = [sys.executable, "-c", "import examples.delivery_reports"]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "EXAMPLE_WEBHOOK_SECRET: is needed; without it anybody could call\n"


def test_the_webhook_s_example_reads_no_more_than_a_report(webhook_port: int) -> None:
    """Whoever announces a hundred megabytes is answered before he has sent them."""
    with socket.create_connection(("127.0.0.1", webhook_port), timeout=10) as caller:
        head = "POST /delivery-reports HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000\r\n\r\n"
        caller.sendall(head.encode() + b"x" * (MOST_BYTES + 1))
        assert caller.recv(100).startswith(b"HTTP/1.1 413 ")


def test_f68_a_report_is_only_a_hint_to_ask(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis", webhook: Callable[..., int]
) -> None:
    """Sent again with another status, another message, another account's: what counts is the gateway's own answer."""
    first, second = send(queue, sandbox.recipient("undelivered")), send(queue, ordinary(8))
    written = datetime.now(queue.settings.zone).strftime("%Y-%m-%d %H:%M:%S")
    sign = hashlib.sha1(f"17|1|{written}|{SECRET}".encode()).hexdigest()  # noqa: S324 - the gateway's
    event = {"eventId": 17, "eventType": "sms-delivery-report", "attempt": 1, "eventCreateTs": written, "sign": sign}

    def report(message_id: int | None, status: str = "DELIVRD", **changes: Any) -> int:  # noqa: ANN401
        data = {"messageId": message_id, "status": status, "statusUpdateTs": written, "to": "77010000001"}
        return webhook(**event | {"data": data} | changes)

    sandbox.post("/sandbox/clock", advance=60)
    assert report(first.message_id) == 204
    known(queue, first.id, delivery="UNDELIV")
    assert queue.lookup(second.id) == second, "the report said nothing of it"
    for status in ("DELIVRD", "REJECTD"):
        assert report(first.message_id, status) == 204
        assert report(second.message_id, status) == 204
        assert report(999_999, status) == 204
    known(queue, second.id, delivery="DELIVRD")
    assert known(queue, first.id, delivery="UNDELIV").state is State.SENT
    asks = asked(sandbox, "message/getsmsstatus")
    third = send(queue, ordinary(9))
    assert report(third.message_id, sign="0" * 40) == 403
    assert report(third.message_id, eventCreateTs="2020-01-01 00:00:00") == 403
    assert report(third.message_id, eventType="incoming-sms") == 204
    assert (client.zscore(keys.FOLLOW, third.id) or 0) > 1000
    assert asked(sandbox, "message/getsmsstatus") == asks


def test_who_died_while_asking_is_replaced_and_who_stops_waits_for_nothing(
    worker_up: Worker, worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Killed in mid-question, another asks when its time is over. Off is off: deliveries are neither asked nor kept."""
    job, plain = send(queue, sandbox.recipient("declined")), send(queue, ordinary(7))
    sandbox.post("/sandbox/clock", advance=901)
    sandbox.post("/sandbox/fail", next=1, method="campaign/get", **{"as": "hang"})
    ask_now(client, job.id)
    wait_until(lambda: asked(sandbox, "campaign/get"), what="the worker asks")
    worker_up.kill()
    other = worker(SMSQ_DISPATCH_INTERVAL="0.05")
    ask_now(client, job.id, plain.id)
    known(queue, job.id, state=State.FAILED)
    wait_until(lambda: client.zcard(keys.FOLLOW) == 0, what="what nobody wants to know is dropped")
    assert asked(sandbox, "message/getsmsstatus") == 0
    assert client.zscore(keys.FOLLOW, send(queue, ordinary(10)).id) is None

    job = send(queue, sandbox.recipient("moderated"))
    calls = asked(sandbox, "campaign/get")
    sandbox.post("/sandbox/fail", next=1, method="campaign/get", **{"as": "hang"})
    ask_now(client, job.id)
    wait_until(lambda: asked(sandbox, "campaign/get") > calls, what="the worker asks")
    other.signal(signal.SIGTERM)
    assert other.stop(timeout=20) == 0
    assert known(queue, job.id, campaign_status=1).state is State.SENT
    assert not [line for line in other.lines() if str(line["event"]).startswith("follow.")]
