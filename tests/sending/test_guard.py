"""A staging worker calls for the numbers that it was told, and for nobody else."""

from typing import TYPE_CHECKING

import pytest

from config.settings import WorkerSettings
from smsq import ConfigurationError, Sms, SmsQueue, State, keys
from tests.sending.conftest import StartWorker
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary

if TYPE_CHECKING:
    import redis

FRIEND, FRIENDS_OWN, STRANGER = ordinary(1), "77021234567", ordinary(2)


def test_it_calls_for_nobody_else(worker: StartWorker, sandbox: Sandbox, queue: SmsQueue) -> None:
    """The number and the prefix go out; another job ends cancelled, says why, and is never called."""
    guarded = worker(SMSQ_ONLY_TO=f"+{FRIEND}, +7 702")
    jobs = {
        number: queue.enqueue(Sms(recipient=number, text="text"), batch_id="b")
        for number in (FRIEND, FRIENDS_OWN, STRANGER)
    }
    ended = {number: end_of(queue, job.id) for number, job in jobs.items()}
    assert {number: job.state for number, job in ended.items()} == {
        FRIEND: State.SENT,
        FRIENDS_OWN: State.SENT,
        STRANGER: State.CANCELLED,
    }
    assert set(sandbox.counts()) == {FRIEND, FRIENDS_OWN}
    held_back = ended[STRANGER]
    assert held_back.error
    assert "SMSQ_ONLY_TO" in held_back.error.reason
    assert held_back.attempts == 0
    batch = queue.batch("b")
    assert batch
    assert (batch.counts[State.SENT], batch.counts[State.CANCELLED]) == (2, 1)
    [told] = guarded.wait_lines("worker.guarded")
    assert told["numbers"] == 2
    assert "SMSQ_ONLY_TO" in guarded.wait_lines("job.cancelled")[0]["reason"]
    assert not [number for number in (FRIEND, FRIENDS_OWN, STRANGER) if number in guarded.text()]


@pytest.mark.parametrize("numbers", ["", "+", "87010000001x", "+7701,", "07", "+7701;+7702"])
def test_what_names_no_number_is_refused(numbers: str) -> None:
    """A guard that would let everyone, or nobody, through is no guard."""
    with pytest.raises(ConfigurationError, match=r"^SMSQ_ONLY_TO: must be numbers") as raised:
        WorkerSettings.load(MOBIZON_API_KEY="k" * 40, only_to=numbers)
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ("8701", "instead of the trunk prefix 8"),
        ("+77010000001, 87 0", "instead of the trunk prefix 8"),
        ("8 (747)", "instead of the trunk prefix 8"),
        ("701", "start with the country code, 7 for Kazakhstan"),
        ("999", "doesn't start with a country code that exists"),
        ("+7701,4420", ""),
        ("8", ""),
        ("870712345678", ""),
    ],
)
def test_what_no_recipient_begins_with_is_refused(numbers: str, why: str) -> None:
    """Numbers are compared with their country code: such a guard would cancel every job, and say nothing of why."""
    if not why:
        assert WorkerSettings.load(MOBIZON_API_KEY="k" * 40, only_to=numbers).allowed
        return
    with pytest.raises(ConfigurationError) as raised:
        WorkerSettings.load(MOBIZON_API_KEY="k" * 40, only_to=numbers)
    [line] = raised.value.problems
    assert line.startswith("SMSQ_ONLY_TO: one of these begins as no recipient does: ")
    assert line.endswith(why)


def test_every_message_goes_to_one_number(
    worker: StartWorker, sandbox: Sandbox, queue: SmsQueue, client: "redis.Redis"
) -> None:
    """A lost answer is asked about by the number that was called; the record keeps who the message was meant for."""
    redirected = sandbox.recipient("closed-accepted")
    guarded = worker(SMSQ_REDIRECT_TO=f"+{redirected}")
    job = end_of(queue, queue.enqueue(Sms(recipient=STRANGER, text="text")).id)
    assert (job.state, job.attempts) == (State.SENT, 1)
    assert (sandbox.called(redirected), sandbox.called(STRANGER)) == (1, 0)
    record = client.hgetall(keys.job(job.id))
    assert (record["recipient"], record["called"]) == (STRANGER, redirected)
    assert "SMSQ_REDIRECT_TO" in guarded.wait_lines("worker.guarded")[0]["reason"]
    assert not [number for number in (redirected, STRANGER) if number in guarded.text()]


def test_a_redirect_is_a_number_and_needs_tokens() -> None:
    """Both are refused by name, when the worker starts."""
    with pytest.raises(ConfigurationError, match=r"^SMSQ_REDIRECT_TO: "):
        WorkerSettings.load(MOBIZON_API_KEY="k" * 40, redirect_to="87010000001")
    with pytest.raises(ConfigurationError, match=r"^SMSQ_REDIRECT_TO needs SMSQ_CAMPAIGN_TOKEN"):
        WorkerSettings.load(MOBIZON_API_KEY="k" * 40, redirect_to=FRIEND, campaign_token=False)
