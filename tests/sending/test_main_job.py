"""The main job on every pool: a web process enqueues, a worker sends, and the ids can be looked up."""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from smsq import Sms, SmsQueue
from smsq.lanes import LANES
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.worker import Worker

POOLS = {
    "event loop": (),
    "threads": ("-P", "threads", "--concurrency", "4"),
    "prefork": ("-P", "prefork", "--concurrency", "2"),
    "solo": ("-P", "solo"),
}
TEXTS = {
    "Russian": "Ваш код: 4711. Никому не говорите",
    "Kazakh": "Әріптер: ә і ң ғ ү ұ қ ө һ",
    "emoji": "👩‍👩‍👧‍👦 🇰🇿 👍🏽 😀",
    "what a form escapes": "1 + 1 & 100% ? / \\ # = ; ~ * ' \" <> @ %41 %D0%9A",
    "lines": "one\ntwo\r\nthree\n",
    "spaces": "  before, \u00a0 between and after  ",
    "decomposed": unicodedata.normalize("NFD", "ёлка, й, é, Ǻ"),
    "composed": unicodedata.normalize("NFC", "ёлка, й, é, Ǻ"),
    "joiners and marks": "a\u200db \u200e\u200fc \ufeffd",
    "the basic table": "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ ^{}[]~|€",
    "a long one": "Ж" * 600,
}


@pytest.fixture(scope="module", params=list(POOLS))
def worker_up(request: pytest.FixtureRequest, standing: StartWorker) -> Iterator[Worker]:
    """A worker on each kind of pool, one after the other."""
    running = standing(*POOLS[request.param])
    yield running
    running.stop()


def test_a_message_is_sent_and_its_ids_come_back(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The ids are the gateway's, every parameter arrives as given, and the job is found by each of its ids."""
    moment = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    job = queue.enqueue(
        Sms(
            recipient="+7 (701) 000-00-01",
            text="Код: 4711",
            sender="Brand",
            name="Вход № 7",
            deferred_to=moment,
            mclass=0,
            validity=60,
            shorten_links=False,
        ),
        lane="urgent",
    )
    done = queue.wait(job.id, 20)
    assert done
    assert done.state is State.SENT
    (message,) = sandbox.messages()
    assert (done.message_id, done.campaign_id) == (message["messageId"], message["campaignId"])
    assert (done.campaign_status, done.attempts, done.error) == (2, 1, None)
    assert message["params"] == {
        "recipient": "77010000001",
        "text": "Код: 4711",
        "from": "Brand",
        "params[name]": f"Вход № 7 #{job.id}",
        "params[deferredToTs]": moment.astimezone(ZoneInfo("Asia/Almaty")).strftime("%Y-%m-%d %H:%M:%S"),
        "params[mclass]": "0",
        "params[validity]": "60",
        "params[shortenLinks]": "0",
    }
    assert queue.lookup(message_id=message["messageId"]) == done
    assert queue.lookup(campaign_id=message["campaignId"]) == done
    assert len(sandbox.calls()) == 1


def test_only_what_was_given_is_sent(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """The gateway's defaults stay the gateway's; the campaign's name is the job's token alone."""
    job = queue.enqueue(Sms(recipient=ordinary(2), text="Hello"))
    assert queue.wait(job.id, 20)
    (message,) = sandbox.messages()
    assert message["params"] == {"recipient": ordinary(2), "text": "Hello", "params[name]": f"#{job.id}"}


def test_exactly_these_characters_arrive(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """F75: every text reaches the gateway as it was given, none normalised, trimmed or escaped twice."""
    numbers = {ordinary(number): text for number, text in enumerate(TEXTS.values())}
    jobs = list(queue.enqueue_many(Sms(recipient=number, text=text) for number, text in numbers.items()))
    for job in jobs:
        done = queue.wait(job.id, 30)
        assert done
        assert done.state is State.SENT
    assert {message["recipient"]: message["text"] for message in sandbox.messages()} == numbers


def test_nothing_of_the_text_stays(worker_up: Worker, queue: SmsQueue, server: Server) -> None:
    """While it waits the text is in the job's record; once it is sent, nowhere."""

    def pieces(text: str) -> list[bytes]:
        return [text[start : start + 8].encode() for start in range(len(text) - 8)]

    waiting, sent = "Завтра в 15:00 придёт курьер, код 4711", "Ваш заказ № 815 уже отправлен почтой"
    queue.enqueue(Sms(recipient=ordinary(2), text=waiting), send_at=datetime.now(UTC) + timedelta(minutes=50))
    done = queue.wait(queue.enqueue(Sms(recipient=ordinary(3), text=sent)).id, 20)
    assert done
    assert done.state is State.SENT
    held = server.contents()
    assert all(piece in held for piece in pieces(waiting)[:8])
    assert ordinary(3).encode() in held
    assert not any(piece in held for piece in pieces(sent))


def test_many_jobs_are_each_sent_once(worker_up: Worker, queue: SmsQueue, sandbox: Sandbox) -> None:
    """Three hundred jobs on three lanes: each number gets one message, and each job the ids of its own."""
    expected: dict[str, str] = {}
    jobs = []
    for part, lane in enumerate(LANES):
        messages = [Sms(recipient=ordinary(100 * part + number), text=f"№ {number}") for number in range(100)]
        accepted = list(queue.enqueue_many(messages, lane=lane))
        expected |= {job.id: sms.recipient for job, sms in zip(accepted, messages, strict=True)}
        jobs += accepted
    ids: dict[str, int | None] = {}
    for job in jobs:
        done = queue.wait(job.id, 60)
        assert done
        ids[done.id] = done.message_id
    sent = {message["recipient"]: message["messageId"] for message in sandbox.messages()}
    assert {job_id: sent[number] for job_id, number in expected.items()} == ids
    assert set(sandbox.counts().values()) == {1}
