"""Rules 20 and 21: a clock that jumps, and idempotency keys that the ledger has forgotten."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from smsq import Sms, SmsQueue, keys, ledger, scripts
from smsq.candidate import Keys
from smsq.connection import SyncRunner
from smsq.job import Job
from smsq.ledger import NewJob, Options
from smsq.scripts import Known
from smsq.settings import Settings
from smsq.states import FINAL, State
from tests.ledger.actor import DAY, RETENTION, Actor, message, outcome
from tests.ledger.snapshot import Snapshot
from tests.support.server import Server
from tests.support.wire import Wire

OPEN = [state for state in State if not state.final]


# -- rule 20


@pytest.mark.parametrize("jump", [-3600, -3, 3, 3600])
def test_rule_20_a_jump_of_the_servers_clock_is_noticed(clock: SimpleNamespace, jump: int) -> None:
    """F07: compared with our monotonic clock, from one answer to the next."""
    known = Known()
    known.learn(7, 1_000_000, clock.now)
    clock.now += 60
    known.learn(7, 1_000_000 + (60 + jump) * 1000, clock.now)
    assert known.epoch == 8


def test_rule_20_corrections_and_slow_answers_are_no_jumps(clock: SimpleNamespace) -> None:
    """A clock that is slewed, and answers that took their time on the way: both clocks agree as far as one can tell."""
    known = Known()
    known.learn(7, 1_000_000, clock.now)
    for hours, drift in itertools.product((1, 24), (-0.0005, 0, 0.0005)):
        before = known.redis_time()
        sent = clock.now = clock.now + hours * 3600
        clock.now += 5
        known.learn(7, int((before + hours * 3600 * (1 + drift) + 2) * 1000), sent)
        assert known.epoch == 7


def test_rule_20_a_newer_epoch_covers_the_jump(clock: SimpleNamespace) -> None:
    """A new server's clock may differ: its epoch is newer anyway."""
    known = Known()
    known.learn(7, 1_000_000, clock.now)
    clock.now += 1
    known.learn(9, 5_000_000, clock.now)
    assert known.epoch == 9
    clock.now += 1
    known.learn(9, 5_001_000, clock.now)
    assert known.epoch == 9


def test_rule_20_a_jump_starts_an_epoch_with_the_next_script(act: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever notices it tells the ledger by what it knows; jobs of before are asked about."""
    job_id = act.enqueue()
    older, real = act.epoch, scripts.boot_time
    monkeypatch.setattr(scripts, "boot_time", lambda: real() - 3600)  # as if Redis's clock had been set on by an hour
    act.take()
    assert act.epoch == older + 1, "noticed"
    assert act.look().epoch == older
    assert act.begin(job_id, epoch=older).word == "epoch"
    assert act.look().epoch == act.epoch > older
    assert act.begin(job_id).word == "asking"


# -- rule 21


@pytest.mark.parametrize("state", OPEN)
def test_rule_21_a_key_does_not_age_before_its_job_has_ended(act: Actor, state: State) -> None:
    """However long a job waits, its key still gives it back."""
    act.in_state(state, key="k")
    assert act.client.ttl(keys.idempotency("k")) == -1


@pytest.mark.parametrize("state", sorted(FINAL))
def test_rule_21_a_key_lives_as_long_as_its_ended_job(act: Actor, state: State) -> None:
    """The retention, from the end; and anew from the moment in which a job turns out to be sent."""
    job_id = act.in_state(state, key="k")
    assert ttls(act.look(), job_id) == [RETENTION] * 2
    act.pass_time(DAY)
    assert ttls(act.look(), job_id) == [RETENTION - DAY] * 2
    act.settle(outcome(job_id, State.SENT))
    assert ttls(act.look(), job_id) == [RETENTION - (DAY if state is State.SENT else 0)] * 2


def ttls(taken: Snapshot, job_id: str) -> list[int]:
    """Returns the TTLs of a job's record and of its key, ms; what this test took of them counts as nothing."""
    return [-(-taken.ttl[key] // DAY) * DAY for key in (keys.job(job_id), keys.idempotency("k"))]


@pytest.mark.parametrize("forgotten", [False, True])
def test_rule_21_a_key_that_the_ledger_has_forgotten_is_asked_about(act: Actor, forgotten: bool) -> None:
    """Handed over before the epoch, and not known any more: it may have been called. A new key is called at once."""
    act.enqueue()
    act.pass_time(1000)
    act.new_epoch()
    act.take()
    act.pass_time(1000)
    tried = 1500 if forgotten else 500
    new = NewJob(act.new_id(), message(), "k", "c", tried)
    [job] = act.run(ledger.enqueue([new], Options("normal"), 1))
    assert isinstance(job, Job)
    act.take()
    assert act.begin(new.id).word == ("asking" if forgotten else "begun")


def test_rule_22_a_job_in_doubt_of_a_cancelled_batch_is_not_told_as_cancelled(act: Actor) -> None:
    """A key that the ledger has forgotten, put into a batch that was cancelled: the gateway may have been called."""
    act.enqueue(batch_id="b")
    act.run(ledger.cancel_batch("b"))
    act.pass_time(1000)
    act.new_epoch()
    act.take()
    act.pass_time(1000)
    new = [NewJob(act.new_id(), message(), f"k{tried}", "c", tried) for tried in (1500, 500)]
    told = act.run(ledger.enqueue(new, Options("normal", batch_id="b"), 1))
    assert [job.state for job in told if isinstance(job, Job)] == [State.QUEUED, State.CANCELLED]


def test_rule_21_a_key_that_the_ledger_knows_gives_its_job(act: Actor) -> None:
    """Tried before, and there: nothing is doubted anew."""
    job_id = act.enqueue(key="k", content="c")
    [job] = act.run(ledger.enqueue([NewJob(act.new_id(), message(), "k", "c", DAY)], Options("normal"), 1))
    assert isinstance(job, Job)
    assert job.id == job_id
    act.take()
    assert act.begin(job_id).word == "begun"


def test_rule_21_a_producer_remembers_the_keys_that_redis_may_have_got(clock: SimpleNamespace) -> None:
    """With the job's id, which the gateway may know, and the first moment: a later try doesn't make it newer."""
    remembered = Keys()
    first = NewJob("first", "m", "k", "c")
    assert remembered.recall(first) == first
    remembered.note([first, NewJob("keyless", "m")], clock.now)
    remembered.note([first], clock.now + 10)
    again = remembered.recall(NewJob("second", "m", "k", "c"))
    assert again.id == "first"
    assert isinstance(again.tried, int)
    assert again.tried >= 0
    assert remembered.recall(NewJob("third", "m", "k2")).tried == ""


def test_rule_21_a_queue_asks_for_a_doubt_after_redis_forgot_its_job(own_server: Callable[..., Server]) -> None:
    """Accepted, forgotten by a Redis without a file, offered again with its key: the same id, and in doubt."""
    server = own_server("--appendonly", "no")
    queue, sms = SmsQueue(server.url), Sms(recipient="+77010000001", text="Код")
    job = queue.enqueue(sms, idempotency_key="k")
    server.kill()
    server.start()
    again = queue.enqueue(sms, idempotency_key="k")
    assert again.id == job.id
    assert not queue.cancel(again.id), "it may have been called"
    other = queue.enqueue(sms, idempotency_key="k2")
    assert queue.cancel(other.id)
    queue.close()


def test_rule_21_a_repeat_within_one_call_is_in_doubt_on_another_server(own_server: Callable[..., Server]) -> None:
    """Its first run may have been accepted and called before the connection broke, and the new master lacks it."""
    old, new = own_server(), own_server()
    with Wire(old.port) as wire, new.client() as client:
        act = Actor(client, SyncRunner(Settings.load(redis_url=wire.redis_url).address))
        act.enqueue()
        wire._target = new.port  # of connections to come
        wire.cut_before_answer(b"EVAL")
        job_id = act.enqueue()
        with old.client() as there:
            assert there.exists(keys.job(job_id))
        act.take()
        assert act.begin(job_id).word == "asking"
        assert act.begin(act.start(act.enqueue(), "new"), "new").word == "begun"
        act.runner.close()
