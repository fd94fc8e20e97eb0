"""`SMSQ_ERASE_AFTER_DAYS`: numbers of ended jobs are erased in time, by the slow sweep, and nothing else of them."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smsq import SmsQueue, State, keys, ledger
from smsq.connection import SyncRunner
from smsq.encryption import NONCE, Cipher
from smsq.job import Job
from smsq.ledger import NewJob, Options, Swept
from smsq.states import FINAL
from tests.cli.conftest import NUMBER
from tests.ledger.actor import DAY, Actor, outcome

if TYPE_CHECKING:
    import redis

ERASED = FINAL - {State.UNKNOWN}


@pytest.fixture
def act(queue: SmsQueue, client: "redis.Redis") -> Iterator[Actor]:
    """Someone who acts on the ledger; all jobs are for `NUMBER`."""
    runner = SyncRunner(queue.settings.address)
    yield Actor(client, runner)
    runner.close()


def sweep(act: Actor) -> int:
    """Sweeps everything once, with a day after which numbers go; returns how many lost theirs."""
    swept = Swept("0", [])
    erased = 0
    while True:
        swept = act.run(ledger.sweep(swept.cursor, 1000, erase_after=DAY))
        assert not swept.events
        erased += swept.erased
        if swept.cursor == "0":
            return erased


def has_number(act: Actor, job_id: str) -> bool:
    """Returns whether a record still has the number, or the message with it."""
    return any(act.client.hexists(keys.job(job_id), field) for field in ("recipient", "m0"))


def test_numbers_go_a_day_after_the_end(act: Actor) -> None:
    """Not those of jobs that are open or wait for a person, nor of the canary. Nothing else goes but quoted words."""
    jobs = {state: act.in_state(state, key=f"key-{state}", content=f"content-{state}") for state in State}
    canary = str(act.client.get(keys.CANARY))
    assert sweep(act) == 0, "it isn't time"
    act.pass_time(DAY)
    before = {state: act.lookup(job_id) for state, job_id in jobs.items()}
    kept = {state for state, job_id in jobs.items() if canary.startswith(job_id)}
    assert kept == {State.SENT}
    assert sweep(act) == len(ERASED - kept)
    assert {state for state, job_id in jobs.items() if has_number(act, job_id)} == {*State} - ERASED | kept
    act.send_another()
    assert sweep(act) == 1, "another is the canary now"
    assert sweep(act) == 0
    for state in ERASED:
        error = before[state].error
        assert act.lookup(jobs[state]) == replace(before[state], error=error and replace(error, fields=None))
        assert act.client.get(keys.idempotency(f"key-{state}")) == f"{jobs[state]} ?"
    act.look()


def test_the_key_of_an_erased_job_is_still_its_own(act: Actor) -> None:
    """Whatever the content: it can't be compared any more, and the same key never sends twice."""
    job_id = act.in_state(State.FAILED, key="k", content="c")
    act.pass_time(DAY)
    assert sweep(act) == 1
    for content in ("c", "other"):
        [found] = act.run(ledger.enqueue([NewJob(act.new_id(), "{}", "k", content)], Options("normal"), 1))
        assert isinstance(found, Job)
        assert found.id == job_id
    assert [*act.run(ledger.retry([job_id], "failed", "n"))] == ["erased"]


def test_what_a_moderator_looks_at_keeps_its_number(act: Actor) -> None:
    """His words are masked by it. Once he has decided, it goes."""
    job_id = act.start(act.enqueue())
    settled = outcome(job_id, State.SENT)
    settled.ids = (77, 78, 1)
    assert act.settle(settled) == "settled"
    act.pass_time(DAY)
    act.send_another()
    sweep(act)
    assert has_number(act, job_id)
    act.client.hset(keys.job(job_id), "campaign_status", "2")
    sweep(act)
    assert not has_number(act, job_id)


def test_an_encrypted_unknown_job_is_marked_as_sent(act: Actor) -> None:
    """By ids alone: its number isn't needed, and nothing of it is left."""
    job_id, cipher = act.new_id(), Cipher([secrets.token_bytes(32)])
    sealed = cipher.seal_message(f'{{"recipient":"{NUMBER}","text":"x"}}', job_id, NUMBER, bytes(NONCE))
    act.run(ledger.enqueue([NewJob(job_id, sealed)], Options("normal"), 1))
    begun = act.begin(act.take()[0])
    assert cipher.open_message(begun.message, job_id).startswith(b'{"recipient":')
    assert act.settle(outcome(job_id, State.UNKNOWN)) == "settled"
    marked = act.run(ledger.mark_sent(job_id, message_id=5, campaign_id=6, status=2, retention=DAY))
    assert marked.word == "sent"
    assert act.lookup(job_id).message_id == 5
    assert act.client.hget(keys.job(job_id), "recipient") == ""
    assert base64.b64encode(sealed[:15]).decode() == cipher.marks(NUMBER).texts[0]
