"""`smsq send`: the message reaches the queue as it was typed, and what is printed leads back to it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from smsq import Sms, SmsQueue, State, keys
from smsq.job import JobError
from smsq.message import load
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.cli.stand_in import StandIn
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

JOB_KEYS = {
    "id",
    "state",
    "lane",
    "batchId",
    "messageId",
    "campaignId",
    "delivery",
    "status",
    "attempts",
    "acceptedAt",
    "doneAt",
    "error",
}


def test_prints_the_id_alone(smsq: Command, queue: SmsQueue) -> None:
    """A plain `send` prints the id of a queued job and nothing else, so that a script can keep it."""
    ended = smsq("send", "+7 (701) 000-00-01", TEXT)
    assert (ended.code, ended.err) == (0, "")
    job = queue.lookup(ended.out.removesuffix("\n"))
    assert job is not None
    assert (job.state, job.lane, job.batch_id) == (State.QUEUED, "normal", None)


def test_prints_json(smsq: Command, queue: SmsQueue) -> None:
    """With `--json` a `send` prints the job as `Job.as_dict` has it."""
    ended = smsq("send", NUMBER, TEXT, "--json", "--lane", "bulk", "--batch", "autumn")
    assert ended.code == 0
    assert set(ended.result) == JOB_KEYS
    job = queue.lookup(ended.result["id"])
    assert job is not None
    assert ended.result == job.as_dict()
    assert (job.lane, job.batch_id) == ("bulk", "autumn")


def test_every_option_reaches_the_worker(smsq: Command, stand_in: StandIn) -> None:
    """Each parameter of the API, and each option of the job, is what a worker is told."""
    later = (datetime.now(ZoneInfo("Asia/Almaty")) + timedelta(days=3)).replace(microsecond=0)
    parameters = {"--from": "Brand", "--name": "otp", "--mclass": "0", "--validity": "90"}
    options = {"--lane": "urgent", "--expires-in": "3m", "--on-unknown": "resend", "--key": "otp:42"}
    deferred = {"--deferred-to-ts": later.strftime("%Y-%m-%d %H:%M:%S")}
    words = [word for pair in (parameters | options | deferred).items() for word in pair]
    assert smsq("send", *words, "--shorten-links", "--", NUMBER, "-5% +&\n🌍").code == 0
    _, begun = stand_in.begin()
    assert load(begun.message) == Sms(
        recipient=NUMBER,
        text="-5% +&\n🌍",
        sender="Brand",
        name="otp",
        deferred_to=load(begun.message).deferred_to,
        mclass=0,
        validity=90,
        shorten_links=True,
    )
    assert load(begun.message).deferred_to == later
    assert (begun.lane, begun.on_unknown) == ("urgent", "resend")
    assert begun.expires_left is not None
    assert 120_000 < begun.expires_left <= 180_000


def test_options_left_out_stay_out(smsq: Command, stand_in: StandIn) -> None:
    """What wasn't given isn't sent either: the gateway's defaults are the gateway's."""
    assert smsq("send", NUMBER, TEXT).code == 0
    _, begun = stand_in.begin()
    assert json.loads(begun.message) == {"recipient": NUMBER, "text": TEXT}
    assert (begun.expires_left, begun.on_unknown) == (None, "ask")


def test_text_that_looks_like_an_option(smsq: Command, stand_in: StandIn) -> None:
    """After `--` every word is taken as it is."""
    assert smsq("send", NUMBER, "--", "--wait").code == 0
    _, begun = stand_in.begin()
    assert load(begun.message).text == "--wait"


def test_text_from_standard_input(smsq: Command, stand_in: StandIn) -> None:
    """`-` reads the text from standard input, exactly, but for the one line break that ends its last line."""
    for given, text in ((" Код\r\n: 4711\n\n", " Код\r\n: 4711\n"), ("a\r\n", "a"), ("a", "a")):
        assert smsq("send", NUMBER, "-", stdin=given.encode()).code == 0
        _, begun = stand_in.begin()
        assert load(begun.message).text == text


def test_send_at(smsq: Command, client: "redis.Redis") -> None:
    """`--send-at` schedules the job; without an offset the time is the account's, and of two equal ones the first."""
    expected = {
        "2037-12-01T10:00:00+05:00": datetime(2037, 12, 1, 5, tzinfo=UTC),
        "2037-12-01T05:00Z": datetime(2037, 12, 1, 5, tzinfo=UTC),
        "2037-12-01 10:00": datetime(2037, 12, 1, 16, tzinfo=UTC),
        "2037-11-01T01:30": datetime(2037, 11, 1, 6, 30, tzinfo=UTC),
    }
    for word, instant in expected.items():
        ended = smsq("send", NUMBER, TEXT, "--json", "--send-at", word, SMSQ_TIMEZONE="America/Chicago")
        assert ended.result["state"] == "scheduled"
        assert client.zscore(keys.DUE, ended.result["id"]) == instant.timestamp() * 1000


def test_same_key_gives_the_same_job(smsq: Command) -> None:
    """A repeated command with its key enqueues nothing, and with another message it is refused."""
    first = smsq("send", NUMBER, TEXT, "--key", "otp:42")
    assert smsq("send", NUMBER, TEXT, "--key", "otp:42") == first
    other = smsq("send", NUMBER, "other", "--key", "otp:42")
    assert (other.code, other.out) == (2, "")
    assert other.errors == [f"--key: the idempotency key belongs to job {first.out.strip()}, which has another content"]


def test_known_job_that_failed(smsq: Command, stand_in: StandIn) -> None:
    """A key whose job has failed gives that job and says so."""
    first = smsq("send", NUMBER, TEXT, "--key", "otp:42")
    stand_in.refuse(State.FAILED, JobError("refused", 12))
    again = smsq("send", NUMBER, TEXT, "--key", "otp:42")
    assert (again.code, again.out) == (1, first.out)
    assert again.errors == ["the job ended as failed: code 12: refused"]


def test_wait_until_sent(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """`--wait` prints the ids once the job is sent."""
    process = smsq.start("send", "--wait", NUMBER, TEXT, "--batch", "autumn")
    wait_until(lambda: queue.batch("autumn"), what="the job is accepted")
    job_id = stand_in.send(501, 601, 2)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines() == [
        f"job         {job_id}",
        "state       sent",
        "messageId   501",
        "campaignId  601",
        "status      2 (sent)",
        "attempts    1",
    ]


def test_wait_until_failed(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """`--wait` for a job that fails ends with 1 and the reason."""
    process = smsq.start("send", NUMBER, TEXT, "--wait", "30", "--json", "--batch", "autumn")
    wait_until(lambda: queue.batch("autumn"), what="the job is accepted")
    job_id = stand_in.refuse(State.FAILED, JobError("refused", 1, {"recipient": "no route"}))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    result = json.loads(out)
    assert (result["id"], result["state"]) == (job_id, "failed")
    assert result["error"] == "code 1: refused (recipient: no route)"
    assert err.decode() == f"the job ended as failed: {result['error']}\n"


def test_wait_in_vain(smsq: Command, queue: SmsQueue) -> None:
    """`--wait` ends with 1 when the time is up, and prints the job that is still to be sent."""
    ended = smsq("send", NUMBER, TEXT, "--wait=0")
    assert ended.code == 1
    assert ended.errors == ["the job isn't final yet: queued"]
    assert ended.rows["state"] == "queued"
    assert queue.lookup(ended.rows["job"]) is not None


def test_redis_goes_while_waiting(own_server: Callable[..., Server], smsq: Command) -> None:
    """A job that was accepted is printed also when Redis is lost before its end; the code is 3."""
    server = own_server()
    process = smsq.start("send", NUMBER, TEXT, "--wait", "--json", SMSQ_REDIS_URL=server.url)
    with server.client() as client:
        wait_until(lambda: any(each["cmd"] == "blpop" for each in client.client_list()), what="the command waits")
    server.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert json.loads(out)["state"] == "queued"
    assert len(err.splitlines()) == 1


def test_through_a_worker(smsq: Command, sandbox: Sandbox, worker: Callable[..., Worker]) -> None:
    """A message goes from the command line to the gateway, and the ids that the gateway gave are printed."""
    worker()
    ended = smsq("send", NUMBER, TEXT, "--from", "Brand", "--validity", "60", "--wait", "--json")
    assert ended.code == 0
    [message] = sandbox.messages()
    assert (message["recipient"], message["text"], message["from"]) == (NUMBER, TEXT, "Brand")
    assert ended.result["state"] == "sent"
    assert str(ended.result["messageId"]) == str(message["messageId"])
    refused = smsq("send", "77000006010", TEXT, "--wait")
    assert refused.code == 1
    assert refused.rows["state"] == "failed"
    assert "77000006010" not in refused.out + refused.err


def test_says_what_made_it_dearer(smsq: Command) -> None:
    """A character that costs a segment is named beside the job's id, and the message is enqueued all the same."""
    ended = smsq("send", NUMBER, "a" * 70 + "’")
    assert ended.code == 0
    assert ended.err == "note: 2 segments instead of 1, because of U+2019 ’\n"
