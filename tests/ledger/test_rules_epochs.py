"""Rules 17 to 19: a Redis that isn't the one we knew."""

from collections.abc import Callable

import pytest

from smsq import Sms, SmsQueue, keys, ledger
from smsq.states import FINAL, State
from tests.ledger.actor import APART, DAY, LEASE, SETTLING, Actor, told
from tests.ledger.snapshot import Snapshot
from tests.support.server import Server
from tests.support.waiting import wait_until

OPEN = [state for state in State if not state.final]

# -- rule 17


def test_rule_17_a_restart_is_another_epoch(restarted: tuple[Actor, Server]) -> None:
    """Its run id is another one: the first script that writes starts the epoch, and jobs of before are asked about."""
    act, server = restarted
    job_id = act.enqueue()
    older = act.epoch
    server.kill()
    server.start()
    assert not act.run(ledger.lookup("job", "nobody's"))
    assert act.look().epoch == older, "a lookup writes nothing"
    act.take()
    assert act.look().epoch == act.epoch > older
    assert act.begin(job_id).word == "asking"
    assert act.begin(act.start(act.enqueue(), "new"), "new").word == "begun"


def test_rule_17_a_promoted_replica_is_another_epoch(own_server: Callable[..., Server]) -> None:
    """It has all that the master had; but nobody can know that, and its own ids are others."""
    master = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(master.port))
    queue, there = SmsQueue(master.url), SmsQueue(replica.url)
    job = queue.enqueue(Sms(recipient="+77010000001", text="Код"))
    with replica.client() as client:
        wait_until(lambda: client.exists(keys.job(job.id)), what="the replica has the job")
        older = Snapshot.read(client).epoch
        master.kill()
        client.replicaof("NO", "ONE")
        assert not there.cancel(job.id), "it may have been called"
        assert Snapshot.read(client).epoch > older
    for each in (queue, there):
        each.close()


def test_rule_17_a_caller_that_knows_a_newer_epoch_starts_another(act: Actor) -> None:
    """The identity is the same, but the ledger is older than what was seen of it: a copy that was put back."""
    job_id = act.enqueue()
    copy = act.client.dump(keys.EPOCH)
    assert copy
    act.new_epoch()
    act.take()
    newer = act.epoch
    act.client.restore(keys.EPOCH, 0, copy, replace=True)
    server = act.client.hget(keys.EPOCH, "server")
    assert act.begin(job_id, epoch=newer).word == "epoch"
    assert act.epoch > newer
    assert act.client.hget(keys.EPOCH, "server") == server


def test_rule_17_an_emptied_ledger_is_newer_than_what_anyone_knew(act: Actor) -> None:
    """F19: also for those who weren't there when it happened."""
    act.enqueue()
    older = act.epoch
    wait_until(lambda: act.look().now > older, what="its clock has gone on by a millisecond")
    act.client.flushall()
    act.runner.known.epoch = 0
    act.enqueue()
    assert act.epoch > older


def test_rule_17_an_epoch_that_a_foreign_hand_broke_is_another_epoch(act: Actor) -> None:
    """Whatever stands in its place: better to ask than to trust it."""
    job_id = act.enqueue()
    older = act.epoch
    act.client.delete(keys.EPOCH)
    act.client.set(keys.EPOCH, "x")
    assert act.lookup(job_id).state is State.QUEUED
    act.take()
    assert act.epoch > older
    assert act.begin(job_id).word == "asking"


def test_rule_17_a_lookup_tells_the_epoch_and_writes_nothing(act: Actor) -> None:
    """Who only reads hears that this is another server; the next writer starts the epoch."""
    job_id = act.enqueue(expires_in=1000)
    older = act.epoch
    act.new_epoch()
    before = act.look()
    act.pass_time(1000)
    assert act.lookup(job_id).state is State.QUEUED, "it may have been called: not expired for sure"
    assert act.epoch > older
    assert act.look().epoch == before.epoch


# -- rule 18


def in_doubt(act: Actor) -> str:
    """Makes a job that is asked about because Redis may have forgotten a call."""
    job_id = act.enqueue()
    act.new_epoch()
    act.take()
    assert act.begin(job_id).word == "asking"
    return job_id


@pytest.mark.parametrize("state", OPEN)
def test_rule_18_every_job_from_before_is_asked_about_before_it_is_called(act: Actor, state: State) -> None:
    """F01: scheduled, waiting, put off or being sent: its way to a call leads through the gateway's answer."""
    job_id = act.in_state(state)
    act.new_epoch()
    for _ in range(3):
        act.pass_time(2 * DAY)
        act.take_due(questions=0)
        act.take()
        assert act.begin(job_id, "new").word in ("asking", "taken")
        act.look()
    job = act.lookup(job_id)
    assert job.state is State.SENDING
    assert act.question(job_id) is not None


def test_rule_18_no_write_of_ours_ends_the_doubt(act: Actor) -> None:
    """Taken, handed back, taken again, put off by a pause: it is asked about all the same."""
    job_id = act.enqueue()
    act.new_epoch()
    act.take()
    assert act.run(ledger.untake([job_id])) == 1
    act.take()
    act.pass_time(60_000)
    act.take_due()
    act.take()
    assert act.begin(job_id).word == "asking"


def test_rule_18_only_the_gateways_answer_ends_the_doubt(act: Actor) -> None:
    """Surely absent, the job is of this epoch: it is begun without another question."""
    job_id = in_doubt(act)
    act.pass_time(LEASE + SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    act.pass_time(APART)
    assert act.absent(job_id) == "again"
    act.take()
    assert act.begin(job_id, "again").word == "begun"


def test_rule_18_a_job_in_doubt_is_asked_about_in_each_new_epoch(act: Actor) -> None:
    """What the gateway said before doesn't hold for a ledger that went back once more."""
    job_id = act.lose(act.enqueue())
    act.pass_time(LEASE + SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    act.new_epoch()
    act.pass_time(APART)
    question = act.question(job_id)
    assert question is not None
    assert not question.counts
    assert act.answer(told(job_id, "absent")) == "later"


def test_rule_18_a_lost_worker_of_before_makes_no_resend(act: Actor) -> None:
    """Who prefers two to none gets two, not three: what was forgotten may have been the second."""
    job_id = act.start(act.enqueue(on_unknown="resend"))
    act.new_epoch()
    act.pass_time(LEASE)
    assert act.take_due().events == [(job_id, "lost")]
    assert act.lookup(job_id).state is State.SENDING


@pytest.mark.parametrize("state", sorted(FINAL))
def test_rule_18_what_has_ended_isnt_asked_about(act: Actor, state: State) -> None:
    """An end is an end; a new epoch changes nothing of it."""
    job_id = act.in_state(state)
    act.new_epoch()
    act.take()
    act.take_due()
    assert act.lookup(job_id).state is state
    act.look()


# -- rule 19


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING])
def test_rule_19_in_doubt_absence_counts_a_lease_and_the_settling_time_after_the_epochs_start(
    act: Actor, state: State
) -> None:
    """Somebody may still be calling from before, until the last lease of before is over."""
    job_id = act.in_state(state)
    act.pass_time(DAY)  # long ago, whatever the record says
    act.new_epoch()
    act.take()
    act.take_due()
    act.begin(job_id, "new")
    act.pass_time(LEASE + SETTLING - 1000)
    act.send_another()
    question = act.question(job_id)
    assert question is not None
    assert not question.counts
    act.pass_time(1000)
    act.send_another()
    question = act.question(job_id)
    assert question is not None
    assert question.counts


def test_rule_19_it_holds_for_jobs_that_were_being_asked_about(act: Actor) -> None:
    """Their settling time begins anew, and what was said before doesn't count any more."""
    job_id = act.lose(act.enqueue())
    act.pass_time(LEASE + SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    act.new_epoch()
    act.take()
    act.pass_time(SETTLING)
    act.send_another()
    question = act.question(job_id)
    assert question is not None
    assert not question.counts


def test_rule_19_the_window_runs_from_the_enqueue(act: Actor) -> None:
    """A forgotten call may have been made at any moment since."""
    job_id = act.enqueue()
    accepted = int(act.look().jobs[job_id]["at"])
    act.pass_time(DAY)
    act.new_epoch()
    act.take()
    act.begin(job_id)
    question = act.question(job_id)
    assert question is not None
    assert question.first == accepted - DAY


def test_rule_19_a_canary_of_before_proves_nothing(act: Actor) -> None:
    """Its moment may be of another clock, and it may be older than a call of after it."""
    act.send_another()
    job_id = in_doubt(act)
    assert act.take_due().canary is None
    act.pass_time(LEASE + SETTLING)
    question = act.question(job_id)
    assert question is not None
    assert not question.counts
    assert act.answer(told(job_id, "absent")) == "later"
    assert act.question(job_id) is None


def test_rule_19_the_settling_time_of_an_epoch_is_long_enough_for_a_worker_of_before(act: Actor) -> None:
    """It begins just before, renews, and calls in its last moment: absence isn't believed while that may act."""
    job_id = act.start(act.enqueue())
    assert act.renew(job_id) == LEASE
    renewed_until = act.look().due[job_id]
    act.new_epoch()
    act.take()
    started = int(act.client.hget(keys.EPOCH, "started") or 0)
    assert started + LEASE >= renewed_until
