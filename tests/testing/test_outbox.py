"""The outbox: what a web application's tests see of it, and that it is the real queue but for Redis."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from smsq import IdempotencyConflict, InvalidSms, Job, QueueUnavailable, Settings, Sms, SmsQueue, State, keys, ledger
from smsq.connection import SyncRunner
from smsq.testing import Outbox, outbox
from tests.support.server import Server

if TYPE_CHECKING:
    import redis

NOWHERE = "redis://127.0.0.1:1/0"
MADE_BEFORE = SmsQueue(NOWHERE)


def _sms(text: str = "Код: 4711", **given: str) -> Sms:
    return Sms(recipient="+7 701 000 00 01", text=text, **given)


@pytest.mark.parametrize(
    "make",
    [lambda: MADE_BEFORE, SmsQueue.from_env, SmsQueue, lambda: SmsQueue(settings=Settings.load(redis_url=NOWHERE))],
    ids=["at import", "from_env", "no argument", "settings"],
)
def test_every_queue_fills_it(make: Callable[[], SmsQueue], sms_outbox: Outbox) -> None:
    """However the queue was made: the message is there as accepted, its job sent, found by the made-up ids."""
    queue = make()
    job = queue.enqueue(_sms(sender="Brand"), lane="urgent", batch_id="b", expires_in=180, on_unknown="resend")
    assert job.state is State.QUEUED, "what enqueue answers in production"
    [message] = sms_outbox
    assert (message.recipient, message.text, message.sender) == ("77010000001", "Код: 4711", "Brand")
    assert (message.lane, message.batch_id, message.expires_in, message.on_unknown) == ("urgent", "b", 180, "resend")
    assert sms_outbox.sent == [message]
    found = queue.wait(job.id, timeout=10)
    assert found
    assert found == message.job == queue.lookup(message_id=found.message_id)
    assert found == queue.lookup(campaign_id=found.campaign_id)
    assert (found.state, found.campaign_status, found.attempts) == (State.SENT, 2, 1)


def test_it_begins_empty(sms_outbox: Outbox) -> None:
    """A test sees nothing of the one before, whose queue is the same; `clear` forgets a test's own messages."""
    assert len(sms_outbox) == 0
    job = MADE_BEFORE.enqueue(_sms(), idempotency_key="k")
    sms_outbox.clear()
    assert MADE_BEFORE.lookup(job.id) is None
    again = MADE_BEFORE.enqueue(_sms("another"), idempotency_key="k")
    assert [each.text for each in sms_outbox] == ["another"]
    assert again.id != job.id, "a job of another message"


def test_the_rules_are_the_real_ones(sms_outbox: Outbox) -> None:
    """Bad numbers, bad options and keys that have another content raise as in production, and nothing is accepted."""
    with pytest.raises(InvalidSms) as raised:
        MADE_BEFORE.enqueue(_sms("x" * 2000))
    assert set(raised.value.errors) == {"text"}
    with pytest.raises(InvalidSms, match="lane"):
        MADE_BEFORE.enqueue(_sms(), lane="fast")  # type: ignore[arg-type]
    assert not sms_outbox
    job = MADE_BEFORE.enqueue(_sms(), idempotency_key="otp:42")
    assert MADE_BEFORE.enqueue(_sms(), idempotency_key="otp:42").id == job.id
    with pytest.raises(IdempotencyConflict):
        MADE_BEFORE.enqueue(_sms("another"), idempotency_key="otp:42")
    assert len(sms_outbox) == 1


def test_outcomes_to_order(sms_outbox: Outbox) -> None:
    """Each order is for one job, in turn; the next is sent again."""
    sms_outbox.fail_next("no such number", code=1, fields={"recipient": "has no route"})
    sms_outbox.unknown_next()
    for _ in range(3):
        MADE_BEFORE.enqueue(_sms())
    assert [each.state for each in sms_outbox] == [State.FAILED, State.UNKNOWN, State.SENT]
    assert str(sms_outbox[0].job.error) == "code 1: no such number (recipient: has no route)"
    assert str(sms_outbox[1].job.error) == "the answer was lost"


def test_redis_away(sms_outbox: Outbox) -> None:
    """Nothing is accepted, or all of it though the caller hears an error; the key then gives the job."""
    with sms_outbox.unavailable(), pytest.raises(QueueUnavailable):
        MADE_BEFORE.enqueue(_sms(), idempotency_key="k")
    assert not sms_outbox
    with sms_outbox.unavailable(accepted=True), pytest.raises(QueueUnavailable):
        MADE_BEFORE.enqueue(_sms(), idempotency_key="k")
    assert MADE_BEFORE.enqueue(_sms(), idempotency_key="k").id == sms_outbox[0].job_id
    assert len(sms_outbox) == 1


@pytest.fixture
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is woken, or waits in vain: he doesn't look again by himself."""
    monkeypatch.setattr("smsq.queue._LOOK", 1000.0)


@pytest.mark.usefixtures("no_second_look")
def test_async_code(sms_outbox: Outbox) -> None:
    """The same messages from a handler on an event loop; one that waits is woken by `deliver`, as one of a thread."""

    async def handler() -> Job | None:
        job = await MADE_BEFORE.aenqueue(_sms())
        waiting = asyncio.create_task(MADE_BEFORE.await_result(job.id, timeout=1000))
        early = await MADE_BEFORE.await_result(job.id, timeout=0.01)
        assert early
        assert early.state is State.QUEUED
        thread = threading.Thread(target=sms_outbox.deliver)
        thread.start()
        try:
            return await asyncio.wait_for(waiting, 15)
        finally:
            thread.join()

    sms_outbox.hold()
    ended = asyncio.run(handler())
    assert ended
    assert ended.state is State.SENT


@pytest.mark.usefixtures("no_second_look")
def test_a_thread_that_waits_is_woken(sms_outbox: Outbox) -> None:
    """As soon as the job is delivered."""
    sms_outbox.hold()
    job = MADE_BEFORE.enqueue(_sms())
    found: list[Job | None] = []
    thread = threading.Thread(target=lambda: found.append(MADE_BEFORE.wait(job.id, timeout=1000)), daemon=True)
    thread.start()
    assert sms_outbox.deliver() == 1
    thread.join(timeout=15)
    assert found == [sms_outbox[0].job]


def test_what_waits(sms_outbox: Outbox) -> None:
    """`send_at` waits for `deliver` by itself; what was cancelled or has expired meanwhile isn't sent."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    MADE_BEFORE.enqueue(_sms(), send_at=at)
    assert (sms_outbox[0].state, sms_outbox[0].send_at) == (State.SCHEDULED, at)
    sms_outbox.hold()
    job = MADE_BEFORE.enqueue(_sms())
    MADE_BEFORE.enqueue(_sms(), expires_in=0.001)
    assert MADE_BEFORE.cancel(job.id)
    while sms_outbox[2].state is not State.EXPIRED:
        pass
    assert sms_outbox.deliver() == 1
    assert [each.state for each in sms_outbox] == [State.SENT, State.CANCELLED, State.EXPIRED]
    assert not MADE_BEFORE.cancel(sms_outbox[0].job_id)


def test_what_it_can_not_do_it_says(sms_outbox: Outbox) -> None:
    """What operators do needs the real thing."""
    with pytest.raises(NotImplementedError, match="needs a real Redis"):
        SyncRunner(MADE_BEFORE.settings.address).run(ledger.overview(), 1.0)


def _story(queue: SmsQueue) -> list[object]:
    """All that a web application may do, and what it is told: ids and times left out."""
    ids: list[str] = []

    def told(job: object) -> object:
        if not isinstance(job, Job):
            return type(job).__name__
        if job.id not in ids:
            ids.append(job.id)
        return ids.index(job.id), job.state, job.lane, job.batch_id, job.done_at is None, job.attempts, job.error

    soon = datetime.now(UTC) + timedelta(hours=2)
    past = datetime.now(UTC) - timedelta(hours=2)
    jobs = [
        queue.enqueue(_sms(), idempotency_key="a"),
        queue.enqueue(_sms(), idempotency_key="a", lane="bulk"),
        queue.enqueue(_sms(), send_at=soon, batch_id="autumn"),
        queue.enqueue(_sms(), send_at=past, batch_id="autumn", lane="urgent", expires_in=100),
    ]
    many = [
        *queue.enqueue_many([_sms(str(n)) for n in range(3)], batch_id="autumn", idempotency_key=lambda sms: sms.text),
        *queue.enqueue_many(
            [_sms("0"), {"recipient": "1", "text": ""}, _sms("7")],
            batch_id="autumn",
            idempotency_key=lambda sms: "1" if sms.text == "7" else sms.text,
            on_invalid="yield",
        ),
    ]
    batch = queue.batch("autumn")
    assert batch
    story: list[object] = [*map(told, jobs), *map(told, many), batch.counts, batch.total, batch.cancelled]
    story += [queue.cancel(jobs[2].id), queue.cancel(jobs[2].id), queue.cancel("none"), told(queue.lookup(jobs[2].id))]
    story += [queue.cancel(batch_id="autumn"), queue.cancel(batch_id="autumn"), queue.cancel(batch_id="none")]
    story += [told(queue.lookup(job.id)) for job in [*jobs, *many] if isinstance(job, Job)]
    late = queue.enqueue(_sms("late"), batch_id="autumn", idempotency_key="late")
    story += [told(late), told(queue.lookup(late.id)), told(queue.enqueue(_sms("late"), idempotency_key="late"))]
    batch = queue.batch("autumn")
    assert batch
    story += [batch.counts, batch.cancelled, queue.batch("none"), queue.lookup("none"), queue.lookup(message_id=5)]
    story += [told(queue.wait(jobs[0].id, timeout=0.01)), told(queue.wait(late.id, timeout=100))]
    return story


def test_it_tells_what_redis_tells(queue: SmsQueue, server: Server) -> None:
    """The same calls get the same answers from both, while no worker and no `deliver` is there."""
    real = _story(queue)
    with outbox() as made:
        made.hold()
        assert _story(SmsQueue(NOWHERE)) == real
    assert queue.enqueue(_sms(), idempotency_key="a").id, "Redis is in its place again"


@pytest.mark.parametrize("accepted", [False, True])
def test_nothing_of_it_reaches_the_real_one(queue: SmsQueue, client: "redis.Redis", accepted: bool) -> None:
    """A key that a test has used is new to Redis: its job isn't doubted, as one is that Redis may have forgotten."""
    with outbox() as made:
        queue.enqueue(_sms(), idempotency_key="k")
        with made.unavailable(accepted=accepted), pytest.raises(QueueUnavailable):
            queue.enqueue(_sms(), idempotency_key="l")
        [used, *_] = made
    for key in "kl":
        job = queue.enqueue(_sms(), idempotency_key=key)
        assert job.id != used.job_id
        assert client.hget(keys.job(job.id), "epoch") == client.hget(keys.EPOCH, "number")


def test_what_comes_after_it_was_sent(sms_outbox: Outbox) -> None:
    """A moderator declines one, another is delivered, as a batch counts; what wasn't sent has nothing of it."""
    sms_outbox.fail_next()
    for _ in range(3):
        MADE_BEFORE.enqueue(_sms(), batch_id="b")
    refused, declined, delivered = sms_outbox
    declined.decline("no advertising")
    delivered.delivered()
    assert str(declined.job.error) == "declined by a moderator (globalComment: no advertising)"
    assert declined.job.message_id
    assert (declined.state, delivered.state, delivered.job.delivery) == (State.FAILED, State.SENT, "DELIVRD")
    batch = MADE_BEFORE.batch("b")
    assert batch
    assert (batch.counts[State.FAILED], batch.declined, batch.deliveries) == (2, 1, {"DELIVRD": 1})
    for late in (refused, declined):
        with pytest.raises(ValueError, match="it is failed: nothing comes after that"):
            late.delivered()
    with pytest.raises(ValueError, match=r"the gateway has no such status; there are ACCEPTD, .*DELIVRD"):
        delivered.delivered("NONSENSE")
    delivered.delivered("UNDELIV")
    assert delivered.job.delivery == "UNDELIV"
    sms_outbox.hold()
    MADE_BEFORE.enqueue(_sms())
    for too_early in (sms_outbox[-1].decline, sms_outbox[-1].delivered):
        with pytest.raises(ValueError, match=r"it is queued: deliver\(\) comes first"):
            too_early()
    assert MADE_BEFORE.ask_delivery(1) is False
