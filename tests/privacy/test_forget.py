"""`smsq forget NUMBER`: nothing of the person is left in Redis, and nothing of others is touched."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsq import IdempotencyConflict, Sms, SmsQueue, State, keys
from smsq.connection import SyncRunner
from smsq.job import JobError
from smsq.ledger import NewJob, Options, enqueue
from smsq.states import FINAL
from tests.cli.conftest import NUMBER, Command
from tests.ledger.actor import Actor, outcome
from tests.support.server import Server

if TYPE_CHECKING:
    import redis

AS_TYPED = "+7 701 000-00-01"
OTHER = "77010000012"
WAIT = {State.SCHEDULED, State.QUEUED, State.RETRYING}


@pytest.fixture
def act(queue: SmsQueue, client: "redis.Redis") -> Iterator[Actor]:
    """Someone who acts on the ledger; all jobs are for `NUMBER`."""
    runner = SyncRunner(queue.settings.address)
    yield Actor(client, runner)
    runner.close()


@pytest.fixture
def smsq(server: Server, tmp_path: Path) -> Command:
    """The command, with the shared server."""
    return Command(server.url, tmp_path)


def test_a_person_is_forgotten(smsq: Command, act: Actor, server: Server, client: "redis.Redis") -> None:
    """In whatever state their jobs are: ended ones at once, waiting ones if that is wanted, one that is sent later."""
    jobs = {state: act.in_state(state, key=f"key-{state}", content=f"content-{state}") for state in State}
    twin = act.start(act.enqueue(), "n", tokens=False)
    assert act.settle(outcome(twin, State.UNKNOWN, token="n")) == "settled"
    ttl = client.pttl(keys.idempotency("key-failed"))

    first, again = smsq.each([("forget", AS_TYPED, "--json"), ("forget", AS_TYPED)])
    assert first.code == 1
    left = {"waiting": 3, "underWay": 1, "unusable": 0, "locked": 0}
    assert first.result == {"erased": len(FINAL) + 1, "cancelled": 0, **left}
    assert again.rows == {"erased": "0", "cancelled": "0"}
    assert again.errors == [
        "3 jobs were left alone: waiting to be sent; --waiting cancels them",
        "1 job was left alone: being sent, or asked about; give the command again later",
    ]
    held = server.contents()
    assert held.count(NUMBER.encode()) == 4, "those that are left, and no other"
    assert not any(word in held for word in (b"smsq:twins:", *(f"content-{state}".encode() for state in FINAL)))
    assert 0 < client.pttl(keys.idempotency("key-failed")) <= ttl

    cancelled = smsq("forget", AS_TYPED, "--waiting", "--json")
    assert (cancelled.code, cancelled.result["erased"], cancelled.result["cancelled"]) == (1, 3, 3)
    assert {act.lookup(jobs[state]).state for state in WAIT} == {State.CANCELLED}
    assert act.settle(outcome(jobs[State.SENDING], State.FAILED)) == "settled"
    assert smsq("forget", AS_TYPED).code == 0
    held = server.contents()
    assert not any(word in held for word in (NUMBER.encode(), b"content-"))
    assert not any(client.hexists(keys.job(job_id), "m0") for job_id in jobs.values())
    assert act.lookup(jobs[State.SENT]).message_id is not None
    assert not act.take(), "what was cancelled is called by nobody"
    act.look()


def test_what_the_gateway_said_of_it_goes_too(smsq: Command, act: Actor) -> None:
    """It may repeat any part of the message; the reason and the code stay."""
    failed, unknown = act.in_state(State.FAILED), act.in_state(State.UNKNOWN)
    assert act.lookup(failed).error == JobError("a reason", 1, {"recipient": "a sentence"})
    assert smsq("forget", AS_TYPED).code == 0
    assert act.lookup(failed).error == act.lookup(unknown).error == JobError("a reason", 1)


def test_a_message_that_a_foreign_hand_broke_goes_too(smsq: Command, act: Actor, server: Server) -> None:
    """Whose it is can't be read; but the number is in it."""
    job_id = act.in_state(State.FAILED)
    act.client.hset(keys.job(job_id), "m0", f'{{"to":"{NUMBER}", "text":"zebra')
    assert smsq("forget", AS_TYPED).rows["erased"] == "1"
    assert NUMBER.encode() not in server.contents()


def test_others_stay(smsq: Command, act: Actor, server: Server) -> None:
    """A number that begins with it, one in a text, and records that nobody can read, whatever they hold."""
    for number, text in ((OTHER, "Код"), (OTHER, f'{{"recipient":"{NUMBER}"}}'), (NUMBER + "2", "Код")):
        held = f'{{"recipient":"{number}","text":"{text}"}}'
        act.run(enqueue([NewJob(act.new_id(), held)], Options("normal"), 1))
    act.client.set(keys.job("x"), NUMBER)
    before = server.contents()
    assert smsq("forget", AS_TYPED, "--waiting").rows == {"erased": "0", "cancelled": "0"}
    assert server.contents() == before


def test_a_key_of_an_erased_job_sends_nothing_again(smsq: Command, queue: SmsQueue) -> None:
    """Whose content it was isn't known any more, so any content is another."""
    job = queue.enqueue(Sms(recipient=NUMBER, text="Код"), idempotency_key="otp:1")
    assert smsq("forget", AS_TYPED, "--waiting").code == 0
    with pytest.raises(IdempotencyConflict):
        queue.enqueue(Sms(recipient=NUMBER, text="Код"), idempotency_key="otp:1")
    found = queue.lookup(job.id)
    assert found is not None
    assert found.state is State.CANCELLED


def test_a_wrong_number_is_named_by_its_rule(smsq: Command) -> None:
    """Without being repeated."""
    ended = smsq("forget", "8 701 000 00 01")
    assert ended.code == 2
    assert ended.errors[0].startswith("NUMBER: ")
    assert "701" not in ended.err
