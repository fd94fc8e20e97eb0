"""F16: what an idempotency key gives back, and for how long."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from multiprocessing.synchronize import Barrier

import pytest

from smsq import IdempotencyConflict, InvalidSms, Sms, SmsQueue, keys, ledger
from smsq.job import Job
from smsq.ledger import Conflict, NewJob, Options
from smsq.message import content_hash, dump, prepare
from smsq.states import FINAL, State
from tests.ledger.actor import DAY, RETENTION, Actor, message, outcome
from tests.support.server import Server

ROUNDS = 1000
SMS = Sms(recipient="+77010000001", text="Код: 4711")


@pytest.mark.parametrize("state", State)
def test_a_key_gives_its_job_back_in_every_state(act: Actor, state: State) -> None:
    """Nothing is enqueued again: not for a job that failed, expired, was cancelled or is unknown either."""
    job_id = act.in_state(state, key="k", content="c")
    before = act.look()
    [again] = act.run(ledger.enqueue([NewJob(act.new_id(), message(), "k", "c")], Options("normal"), 1))
    assert again == act.lookup(job_id)
    after = act.look()
    assert set(after.jobs) == set(before.jobs)
    assert (after.due, after.lists) == (before.due, before.lists)


@pytest.mark.parametrize("state", State)
def test_a_key_with_another_content_is_refused_in_every_state(act: Actor, state: State) -> None:
    """Compared by its hash, so that it doesn't matter whether the text is still there."""
    job_id = act.in_state(state, key="k", content="c")
    before = act.look()
    answer = act.run(ledger.enqueue([NewJob(act.new_id(), message(), "k", "another")], Options("normal"), 1))
    assert answer == [Conflict(job_id)]
    assert act.look().jobs == before.jobs


def test_a_key_gives_its_job_back_after_the_text_was_erased(queue: SmsQueue, act: Actor) -> None:
    """Sent and erased: the same message is the same job, another one a conflict that doesn't repeat it."""
    job = queue.enqueue(SMS, idempotency_key="otp:1")
    act.start(job.id)
    act.settle(outcome(job.id, State.SENT))
    again = queue.enqueue(SMS, idempotency_key="otp:1")
    assert (again.id, again.state, again.message_id) == (job.id, State.SENT, 1234)
    with pytest.raises(IdempotencyConflict, match=job.id) as refused:
        queue.enqueue(SMS.model_copy(update={"text": "Код: 4712"}), idempotency_key="otp:1")
    assert "4712" not in str(refused.value)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_key_is_free_after_the_retention(act: Actor, state: State) -> None:
    """It goes with its job, at once and not before."""
    job_id = act.in_state(state, key="k", content="c")
    act.pass_time(RETENTION - DAY)
    assert act.enqueue(key="k", content="c") == job_id
    act.pass_time(DAY)
    assert act.look().jobs == {}
    assert act.enqueue(key="k", content="another") != job_id


def test_a_key_whose_record_is_gone_is_free(act: Actor) -> None:
    """A foreign hand has deleted the record: the key doesn't promise a job that nobody has."""
    job_id = act.enqueue(key="k", content="c")
    act.client.delete(keys.job(job_id))
    again = act.enqueue(key="k", content="c")
    assert again != job_id
    assert act.lookup(again).state is State.QUEUED


def test_the_same_key_twice_in_one_call_is_one_job(queue: SmsQueue, act: Actor) -> None:
    """The second message finds the first one's key, in the same script."""
    jobs = list(queue.enqueue_many([SMS, SMS, SMS], idempotency_key=lambda sms: sms.recipient))
    assert len({job.id for job in jobs}) == 1
    assert len(act.look().jobs) == 1


def test_the_same_key_for_two_contents_in_one_call_is_a_conflict(queue: SmsQueue, act: Actor) -> None:
    """What comes before it is accepted and yielded, and nothing that comes after it; who wants to go on, goes on."""
    texts = [SMS, SMS.model_copy(update={"text": "another"}), SMS.model_copy(update={"recipient": "77010000002"})]
    answers = queue.enqueue_many(texts, idempotency_key=lambda sms: sms.recipient)
    first = next(answers)
    with pytest.raises(IdempotencyConflict, match=first.id):
        next(answers)
    assert set(act.look().jobs) == {first.id}
    again, conflict, last = queue.enqueue_many(texts, idempotency_key=lambda sms: sms.recipient, on_invalid="yield")
    assert isinstance(again, Job)
    assert isinstance(conflict, IdempotencyConflict)
    assert isinstance(last, Job)
    assert set(act.look().jobs) == {first.id, last.id}


def test_a_key_without_a_job_was_never_there(act: Actor) -> None:
    """A refused message leaves no key behind."""
    act.in_state(State.QUEUED, key="k", content="c")
    new = [NewJob(act.new_id(), message(), "k2", "c"), NewJob(act.new_id(), message(), "k", "another")]
    job, conflict = act.run(ledger.enqueue(new, Options("normal"), 1))
    assert isinstance(job, Job)
    assert isinstance(conflict, Conflict)
    assert set(act.look().idempotency) == {"k", "k2"}


def enqueue_rounds(url: str, barrier: Barrier, found: "multiprocessing.Queue[list[str]]") -> None:
    """What each of two processes does: one enqueue a round, at the same moment as the other."""
    queue = SmsQueue(url)
    ids = []
    for number in range(ROUNDS):
        barrier.wait(30)
        ids.append(queue.enqueue(SMS, idempotency_key=f"otp:{number}").id)
    queue.close()
    found.put(ids)


@pytest.fixture
def two_at_once(server: Server) -> Iterator[list[list[str]]]:
    """The ids that two processes were given for the same keys at the same moments."""
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(2), context.Queue()
    processes = [context.Process(target=enqueue_rounds, args=(server.url, barrier, found)) for _ in range(2)]
    for process in processes:
        process.start()
    yield [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    found.close()


def test_two_processes_with_the_same_keys_have_the_same_jobs(two_at_once: list[list[str]], act: Actor) -> None:
    """A thousand rounds at once: one job each."""
    first, second = two_at_once
    assert first == second
    assert len(set(first)) == ROUNDS
    assert len(act.look().lists[keys.waiting("normal", "")]) == ROUNDS


async def _async(queue: SmsQueue, sms: Sms, key: str) -> str:
    try:
        return (await queue.aenqueue(sms, idempotency_key=key)).id
    finally:
        await queue.aclose()


def test_a_deferred_message_that_comes_again_later_is_its_job(queue: SmsQueue, act: Actor) -> None:
    """How far ahead a moment must be is a rule for new jobs: an hour later the same key still gives the same job."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
    sms = SMS.model_copy(update={"deferred_to": soon})
    earlier = prepare(sms, zone=queue.settings.zone, now=time.time() - 3600, max_segments=10)
    new = NewJob(act.new_id(), dump(earlier), _hash("k"), content_hash(earlier))
    [job] = act.run(ledger.enqueue([new], Options("normal"), 1))
    assert isinstance(job, Job)
    assert queue.enqueue(sms, idempotency_key="k").id == job.id
    assert asyncio.run(_async(queue, sms, "k")) == job.id
    with pytest.raises(IdempotencyConflict):
        queue.enqueue(sms.model_copy(update={"text": "another"}), idempotency_key="k")
    for key in (None, "another"):
        with pytest.raises(InvalidSms) as refused:
            queue.enqueue(sms, idempotency_key=key)
        assert set(refused.value.errors) == {"deferredToTs"}
    keys_ = iter(["k", "new", "last"])
    answers = list(queue.enqueue_many([sms, sms, SMS], idempotency_key=lambda _: next(keys_), on_invalid="yield"))
    assert [type(each) for each in answers] == [Job, InvalidSms, Job]
    assert len(act.look().jobs) == 2


def _hash(key: str) -> str:
    return blake2b(key.encode(), digest_size=16).hexdigest()
