"""What lookups, waits and batches show, in every state."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from smsq import Sms, SmsQueue, keys, ledger
from smsq.job import Job, JobError
from smsq.states import FINAL, State
from tests.ledger.actor import DAY, IDS, RETENTION, Actor, message, outcome
from tests.support.waiting import wait_until

OPEN = [state for state in State if not state.final]
WAITING = [State.SCHEDULED, State.QUEUED, State.RETRYING]
PUT_OFF = JobError("a reason", 1, {"recipient": "a sentence"})
SMS = Sms(recipient="+77010000001", text="Код: 4711")
#: Where the ids of sent jobs are here.
MESSAGES, CAMPAIGNS = "smsq:message:12", "smsq:campaign:56"


@pytest.mark.parametrize("state", State)
def test_a_lookup_shows_the_job(act: Actor, state: State) -> None:
    """Its state, what the gateway gave it, its calls, its times and what went wrong."""
    job_id = act.in_state(state, batch_id="b")
    now = datetime.now(UTC)
    job = act.lookup(job_id)
    called = state in (State.SENDING, State.RETRYING, State.SENT, State.FAILED, State.UNKNOWN)
    sent = state is State.SENT
    assert (job.id, job.state, job.lane, job.batch_id) == (job_id, state, "normal", "b")
    assert (job.message_id, job.campaign_id, job.campaign_status) == (IDS if sent else (None, None, None))
    assert job.attempts == int(called)
    assert job.error == (PUT_OFF if state in (State.RETRYING, State.FAILED, State.UNKNOWN) else None)
    assert now - timedelta(minutes=1) < job.accepted_at <= now + timedelta(minutes=1)
    assert (job.done_at is not None) == state.final
    assert job.done_at is None or job.done_at >= job.accepted_at - timedelta(seconds=1)


@pytest.mark.parametrize("state", OPEN)
def test_a_job_whose_time_is_over_shows_as_expired_at_once(act: Actor, state: State) -> None:
    """Before anyone has written it; one that is being sent isn't expired."""
    job_id = act.enqueue(expires_in=DAY, delay=2 * DAY if state is State.SCHEDULED else None)
    if state in (State.SENDING, State.RETRYING):
        act.start(job_id)
    if state is State.RETRYING:
        act.settle(outcome(job_id, state))
    assert act.lookup(job_id).state is state
    act.pass_time(DAY)
    assert act.lookup(job_id).state is (State.EXPIRED if state in WAITING else state)


@pytest.mark.parametrize("state", State)
def test_a_job_of_a_cancelled_batch_shows_as_cancelled_at_once(queue: SmsQueue, act: Actor, state: State) -> None:
    """All that wait, by one write; what is being sent or has ended stays as it is."""
    job_id = act.in_state(state, batch_id="b")
    assert queue.cancel(batch_id="b") == int(state in WAITING)
    assert queue.cancel(batch_id="b") == int(state in WAITING)
    assert act.lookup(job_id).state is (State.CANCELLED if state in WAITING else state)
    act.look()


def test_a_cancelled_job_stops_no_other_of_its_batch(queue: SmsQueue, act: Actor) -> None:
    """One job's end isn't its batch's."""
    first, second = act.enqueue(batch_id="b"), act.enqueue(batch_id="b")
    assert queue.cancel(first)
    batch = queue.batch("b")
    assert batch is not None
    assert not batch.cancelled
    assert (batch.counts[State.CANCELLED], batch.counts[State.QUEUED]) == (1, 1)
    assert act.lookup(second).state is State.QUEUED
    act.take()
    assert act.begin(second).word == "begun"


def test_an_end_stays_the_one_that_came_first(queue: SmsQueue, act: Actor) -> None:
    """Expired and then cancelled with its batch, a job stays expired; the other way round, cancelled."""
    late = act.enqueue(batch_id="late", expires_in=1000)
    early = act.enqueue(batch_id="early", expires_in=1000)
    queue.cancel(batch_id="early")
    act.pass_time(1000)
    queue.cancel(batch_id="late")
    for _ in range(2):
        assert act.lookup(late).state is State.EXPIRED
        assert act.lookup(early).state is State.CANCELLED
        act.take()
        for job_id in (late, early):
            act.begin(job_id)


def test_a_job_enqueued_into_a_cancelled_batch_is_cancelled(queue: SmsQueue, act: Actor) -> None:
    """It is answered so, and never called."""
    queue.enqueue(SMS, batch_id="b")
    queue.cancel(batch_id="b")
    job = queue.enqueue(SMS, batch_id="b")
    assert job.state is State.CANCELLED
    assert act.take() == []
    assert act.look().jobs[job.id]["state"] == "cancelled"


def test_what_a_sent_job_leaves(act: Actor) -> None:
    """Recipient and ids stay for the retention, the text doesn't."""
    job_id = act.in_state(State.SENT)
    record = act.look().jobs[job_id]
    assert not [name for name in record if name.startswith("m") and name[1:].isdigit()]
    assert not any("Қазақстан"[:5] in value for value in record.values())
    assert record["recipient"] == "77010000001"
    stay = {keys.bell("normal"), keys.EPOCH, keys.CANARY}
    act.pass_time(RETENTION)
    assert set(act.client.keys("*")) <= {*stay, MESSAGES, CAMPAIGNS}
    act.pass_time(RETENTION // 16)
    assert set(act.client.keys("*")) <= stay


def test_an_index_outlives_the_records_that_it_leads_to(act: Actor) -> None:
    """Its end isn't written for each job, but whenever the next one's record would live longer."""
    lives = []
    for number, step in enumerate((0, RETENTION // 20, RETENTION // 20, RETENTION - 1)):
        act.pass_time(step)
        job_id = act.start(act.enqueue())
        assert act.settle(replace(outcome(job_id, State.SENT), ids=(1200 + number, 5600 + number, 2))) == "settled"
        lives.append(min(act.client.pttl(index) for index in (MESSAGES, CAMPAIGNS)))
        assert act.client.pttl(keys.job(job_id)) <= lives[-1] <= RETENTION * 17 // 16
    assert lives[1] < lives[0] < lives[2] + 1000, "the second found it long enough"


@pytest.mark.parametrize("state", [state for state in State if state is not State.SENT])
def test_a_job_that_was_not_sent_keeps_its_message(act: Actor, state: State) -> None:
    """Whoever looks into a failure can see what it was."""
    job_id = act.in_state(state)
    record = act.look().jobs[job_id]
    pieces = [record[f"m{number}"] for number in range(len(record)) if f"m{number}" in record]
    assert "".join(pieces).encode(errors="surrogateescape").decode() == message()


@pytest.mark.parametrize("number", [1, 99, 100, 101, 12345, 2**53 + 1, 9_999_999_999_999_999_999])
def test_a_job_is_found_by_what_the_gateway_called_it(queue: SmsQueue, act: Actor, number: int) -> None:
    """By messageId and by campaignId, whatever their length; Lua's numbers would lose the last digits."""
    job_id = act.start(act.enqueue())
    settlement = outcome(job_id, State.SENT)
    assert act.settle(type(settlement)(job_id, "nonce", State.SENT, 1, ids=(number, number + 1, 1))) == "settled"
    job = queue.lookup(job_id)
    assert job is not None
    assert (job.message_id, job.campaign_id) == (number, number + 1)
    assert queue.lookup(message_id=number) == job
    assert queue.lookup(campaign_id=number + 1) == job
    assert queue.lookup(message_id=number + 1) is None
    assert queue.lookup(campaign_id=number) is None


def test_what_nobody_knows_is_none(queue: SmsQueue, act: Actor) -> None:
    """No job, no batch."""
    assert queue.lookup(act.new_id()) is None
    assert queue.wait(act.new_id(), 5) is None
    assert queue.lookup(message_id=1) is None
    assert queue.batch("b") is None
    assert not queue.cancel(act.new_id())
    assert queue.cancel(batch_id="b") == 0


def test_a_batch_counts_its_jobs(queue: SmsQueue, act: Actor) -> None:
    """Every state is there; when it was cancelled, what waited counts as cancelled."""
    for state in State:
        act.in_state(state, batch_id="b")
    batch = queue.batch("b")
    assert batch is not None
    assert dict(batch.counts) == dict.fromkeys(State, 1)
    assert (batch.total, batch.cancelled) == (len(State), False)
    assert queue.cancel(batch_id="b") == 3
    batch = queue.batch("b")
    assert batch is not None
    assert dict(batch.counts) == dict.fromkeys(State, 1) | dict.fromkeys(WAITING, 0) | {State.CANCELLED: 4}
    assert (batch.total, batch.cancelled) == (len(State), True)


def test_a_batch_goes_with_its_last_job(queue: SmsQueue, act: Actor) -> None:
    """It stays for as long as a job of it is open, then for the retention; a new job keeps it."""
    first = act.enqueue(batch_id="b")
    act.cancel(first)
    act.pass_time(RETENTION - DAY)
    second = act.enqueue(batch_id="b")
    act.pass_time(2 * RETENTION)
    assert queue.batch("b") is not None
    act.cancel(second)
    act.pass_time(RETENTION - DAY)
    assert queue.batch("b") is not None
    act.pass_time(DAY)
    assert queue.batch("b") is None


@pytest.mark.parametrize("state", sorted(FINAL))
def test_who_waits_is_woken_by_the_end(queue: SmsQueue, act: Actor, state: State) -> None:
    """Threads and a coroutine, all with the job as it ended; those too that wait without a limit."""
    job_id = act.enqueue(expires_in=DAY)
    if state is not State.CANCELLED:
        act.take()
        if state is not State.EXPIRED:
            act.begin(job_id)
    found: list[Job | None] = []

    async def wait_too() -> None:
        found.append(await queue.await_result(job_id, None))
        await queue.aclose()

    waiting = [
        threading.Thread(target=lambda limit=limit: found.append(queue.wait(job_id, limit))) for limit in (60, 60, None)
    ]
    waiting.append(threading.Thread(target=lambda: asyncio.run(wait_too())))
    for thread in waiting:
        thread.start()
    wait_until(lambda: act.client.info("clients")["blocked_clients"] == 4, what="all wait")
    if state is State.CANCELLED:
        act.cancel(job_id)
    elif state is State.EXPIRED:
        act.pass_time(DAY)
        act.begin(job_id)
    else:
        act.settle(outcome(job_id, state))
    for thread in waiting:
        thread.join(30)
    assert [job.state for job in found if job] == [state] * 4
    assert not act.client.exists(keys.wake(job_id))


def test_who_was_woken_is_not_woken_again(act: Actor) -> None:
    """A job that failed and turns out to be sent owes nobody a second wake."""
    job_id = act.start(act.enqueue())
    assert act.run(ledger.watch(job_id))
    act.settle(outcome(job_id, State.FAILED))
    act.settle(outcome(job_id, State.SENT))
    assert act.client.llen(keys.wake(job_id)) == 1


def test_who_waits_too_short_gets_the_job_as_it_is(queue: SmsQueue, act: Actor) -> None:
    """Not final, and no error."""
    job_id = act.enqueue()
    job = queue.wait(job_id, 0.05)
    assert job is not None
    assert job.state is State.QUEUED


def test_who_asked_a_thousand_times_costs_a_thousand_wakes_at_most(act: Actor) -> None:
    """A page that waits again and again with a short limit doesn't make the end of its job a long one."""
    job_id = act.start(act.enqueue())
    act.client.hset(keys.job(job_id), "waiters", 10**12)
    assert act.settle(outcome(job_id, State.SENT)) == "settled"
    assert act.client.llen(keys.wake(job_id)) == 1000


def test_a_job_that_has_ended_says_when(queue: SmsQueue) -> None:
    """Also where no worker has written it: an expired one ended at its expiry, a cancelled batch's when that was."""
    expired = queue.enqueue(Sms(recipient="77010000001", text="x"), expires_in=0.001)
    queue.enqueue(Sms(recipient="77010000001", text="x"), batch_id="b")
    waiting = queue.enqueue(Sms(recipient="77010000001", text="x"), batch_id="b")
    queue.cancel(batch_id="b")
    for job_id in (expired.id, waiting.id):
        job = wait_until(lambda: _final(queue, job_id), what="it has ended")  # noqa: B023
        assert job is not None
        assert job.done_at is not None
        assert job.done_at >= job.accepted_at


def _final(queue: SmsQueue, job_id: str) -> Job | None:
    job = queue.lookup(job_id)
    return job if job and job.state.final else None
