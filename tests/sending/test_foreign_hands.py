"""Foreign hands write what isn't an id, or another type of key: put aside, and no thread of a worker ends by it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, keys
from smsq.states import State
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of, in_state
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

NO_ID = b"\xff\xfe"


@pytest.fixture(scope="module")
def worker_up(standing: StartWorker) -> Worker:
    """A worker that looks often."""
    return standing(SMSQ_DISPATCH_INTERVAL="0.05", SMSQ_SWEEP_INTERVAL="0.2")


def check_goes_on(queue: SmsQueue, worker: Worker) -> None:
    """The consumer takes, and the dispatcher looks at what is due."""
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    now, later = (
        queue.enqueue(Sms(recipient=ordinary(number), text="Код"), send_at=at).id
        for number, at in ((1, None), (2, soon))
    )
    assert end_of(queue, now).state is State.SENT
    assert end_of(queue, later).state is State.SENT
    assert worker.process.poll() is None
    assert not worker.lines("dispatcher.crashed")


@pytest.mark.parametrize("place", ["lane", "due", "record"])
def test_an_id_that_is_no_text_is_put_aside(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", place: str
) -> None:
    """It was nobody's job: listed, and the next one is taken."""
    if place == "lane":
        client.rpush("smsq:lane:normal:", NO_ID)
        client.rpush("smsq:lane:normal", "")
        client.rpush("smsq:bell:normal", "1")
    elif place == "due":
        client.zadd(keys.DUE, {NO_ID: 1})
    else:
        client.set(b"smsq:job:" + NO_ID, "x")
    wait_until(lambda: client.hexists(keys.PARKED, NO_ID), what="it is put aside")
    check_goes_on(queue, worker_up)


def test_a_bell_of_another_type_is_set_aside(
    worker_up: Worker, queue: SmsQueue, sandbox: Sandbox, client: "redis.Redis"
) -> None:
    """Waiting for it is refused at once, again and again: the worker says so once, and has it out of the way."""
    client.delete("smsq:bell:bulk")
    client.set("smsq:bell:bulk", "junk")
    wait_until(lambda: client.get("smsq:aside:smsq:bell:bulk") == "junk", what="it is set aside")
    check_goes_on(queue, worker_up)
    assert len(worker_up.lines("wait.refused")) <= 1


@pytest.mark.parametrize("key", [keys.PARKED, keys.COUNTERS, keys.WORKERS, "smsq:ended:failed", keys.PAUSE])
def test_keys_that_people_look_at_are_mended_too(
    worker_up: Worker, queue: SmsQueue, client: "redis.Redis", key: str
) -> None:
    """What no script needs would stay broken: the sweep looks at it."""
    client.delete(key)
    client.set(key, "junk")
    wait_until(lambda: client.get(f"smsq:aside:{key}") == "junk", what="it is set aside")
    wait_until(lambda: client.hexists(keys.PARKED, key), what="it is listed")
    check_goes_on(queue, worker_up)


def test_a_schedule_that_was_purged_is_kept(worker_up: Worker, queue: SmsQueue, client: "redis.Redis") -> None:
    """Found in neither a lane nor `due`, it waits for its moment again: nobody gets it a day early."""
    later = datetime.now(UTC) + timedelta(days=1)
    job = queue.enqueue(Sms(recipient=ordinary(1), text="Код"), send_at=later).id
    client.delete(keys.DUE)
    wait_until(lambda: client.zscore(keys.DUE, job) is not None, what="it is found")
    assert client.zscore(keys.DUE, job) == int(later.timestamp() * 1000)
    assert in_state(queue, job, State.SCHEDULED)
