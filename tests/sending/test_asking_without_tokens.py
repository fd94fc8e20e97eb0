"""Users who want no token in their campaign names: number, text, sender and time decide, or nobody does (rule 16)."""

from collections.abc import Callable

from smsq import SmsQueue
from smsq.states import State
from tests.sending.test_asking import SETTLES_SOON, lose_the_next, send, settled
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.waiting import wait_until
from tests.support.worker import Worker


def test_without_tokens_number_text_and_time_decide(
    worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox
) -> None:
    """Campaign names are the user's alone; the one message that no other job owns is ours."""
    worker(SMSQ_CAMPAIGN_TOKEN="false", **SETTLES_SOON)
    other = end_of(queue, send(queue, ordinary(1)))
    lose_the_next(sandbox, accepted=True)
    job_id = send(queue, ordinary(1))
    assert settled(queue, job_id) is State.SENT
    job = queue.lookup(job_id)
    assert job
    assert job.message_id not in (None, other.message_id)
    assert not [message for message in sandbox.messages() if "#" in str(message["params"].get("params[name]", ""))]
    assert sandbox.called(ordinary(1)) == 2


def test_without_tokens_twins_are_not_decided(worker: Callable[..., Worker], queue: SmsQueue, sandbox: Sandbox) -> None:
    """Rule 16: two of one content, both answers lost, one accepted: nobody can say whose it is."""
    worker(SMSQ_CAMPAIGN_TOKEN="false", **SETTLES_SOON | {"SMSQ_ASK_LIMIT": "6"})
    lose_the_next(sandbox, accepted=True)
    first = send(queue, ordinary(1))
    wait_until(lambda: sandbox.called(ordinary(1)), what="the first call is out")
    lose_the_next(sandbox, accepted=False)
    second = send(queue, ordinary(1))
    assert {settled(queue, first), settled(queue, second)} == {State.UNKNOWN}
    assert sandbox.called(ordinary(1)) == 2
