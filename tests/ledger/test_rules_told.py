"""Rules 22, 23 and 25: what others are told, and what a setting may say."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from config.settings import WorkerSettings
from smsq import ConfigurationError, ledger
from smsq.connection import SyncRunner
from smsq.durability import Durability
from smsq.errors import QueueUnavailable
from smsq.ledger import NewJob, Options, Settlement
from smsq.scripts import Call, Known
from smsq.settings import Settings
from smsq.states import State
from tests.ledger.actor import APART, LEASE, NONCE, POLICY, SETTLING, Actor, message, outcome, told
from tests.ledger.snapshot import Snapshot
from tests.support.server import Server
from tests.support.waiting import wait_until

WAITING = (State.SCHEDULED, State.QUEUED, State.RETRYING)

# -- rule 22


@pytest.mark.parametrize("state", State)
def test_rule_22_cancelled_means_that_the_gateway_was_not_called(act: Actor, state: State) -> None:
    """True for a job that waits, and again for one that was cancelled; False for all that may have been called."""
    job_id = act.in_state(state)
    word = act.cancel(job_id)
    stopped = state in (*WAITING, State.CANCELLED)
    assert word == ("cancelled" if stopped else "late")
    job = act.lookup(job_id)
    assert job.state is (State.CANCELLED if stopped else state)
    act.look()


@pytest.mark.parametrize("state", WAITING)
def test_rule_22_a_job_in_doubt_is_asked_about_and_nobody_is_told_that_it_was_cancelled(
    act: Actor, state: State
) -> None:
    """Redis may have forgotten its call; it ends cancelled if the gateway surely doesn't have it."""
    job_id = act.in_state(state)
    act.new_epoch()
    for _ in range(2):
        assert act.cancel(job_id) == "late"
    assert act.lookup(job_id).state is State.SENDING
    act.take()
    act.pass_time(LEASE + SETTLING)
    act.send_another()
    assert act.absent(job_id) == "later"
    act.pass_time(APART)
    assert act.absent(job_id) == "cancelled"
    act.look()


@pytest.mark.parametrize("how", ["purged", "cancelled with its batch", "expired in its batch", "expired"])
def test_rule_22_no_end_of_a_job_in_doubt_is_told_before_the_gateway_was_asked(act: Actor, how: str) -> None:
    """Whoever ends what waits: the job is asked about first, and its lane is free of it."""
    job_id = act.enqueue(batch_id="" if how == "expired" else "b", expires_in=SETTLING * 10)
    act.new_epoch()
    if how == "purged":
        assert act.purge() == ledger.Purged(1, 0)
    elif how == "expired in its batch":
        act.pass_time(SETTLING * 10)
        assert act.take() == []
    elif how == "expired":
        act.pass_time(SETTLING * 10)
        act.take()
        assert act.begin(job_id).word == "asking"
    else:
        act.run(ledger.cancel_batch("b"))
        assert act.lookup(job_id).state is State.QUEUED
        assert act.take() == []
    assert act.lookup(job_id).state is State.SENDING
    assert act.look().on_its_lane(job_id) == 0


def test_rule_22_a_cancelled_job_is_not_begun(act: Actor) -> None:
    """Cancelled between take and begin, the job ends uncalled, and its worker hears why."""
    job_id = act.enqueue()
    act.take()
    assert act.cancel(job_id) == "cancelled"
    assert act.begin(job_id).word == "cancelled"


def test_rule_22_a_job_whose_time_was_over_is_not_cancelled(act: Actor) -> None:
    """It had ended by itself, and stays expired."""
    job_id = act.enqueue(expires_in=1000)
    act.pass_time(1000)
    assert act.cancel(job_id) == "late"
    assert act.lookup(job_id).state is State.EXPIRED


# -- rule 23


@pytest.fixture
def lagging(own_server: Callable[..., Server]) -> tuple[Server, Server]:
    """A master, and its replica that follows."""
    master = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(master.port))
    with replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica follows")
    return master, replica


def repeats(act: Actor) -> dict[str, Call[Any]]:
    """Prepares, for each thing that must be confirmed, a call that has been made already."""
    enqueued, begun, failed, asked, cancelled = (act.enqueue(batch_id=name) for name in "ebfac")
    act.take()
    act.begin(failed)
    act.begin(asked, "asked")
    expired = act.enqueue(expires_in=1)
    act.pass_time(1)
    act.take()
    calls: dict[str, Call[Any]] = {
        "enqueue": ledger.enqueue([NewJob(enqueued, message())], Options("normal"), 1),
        "begin": act.begin_call([begun]),
        "begin, of one that has expired": act.begin_call([expired], "late"),
        "settle": act.settle_call(outcome(failed, State.FAILED), outcome(asked, State.SENDING, token="asked")),
        "settle, of one that has moved on": act.settle_call(replace(outcome(asked, State.FAILED, token="asked"))),
        "cancel": ledger.cancel(cancelled, retention=POLICY.retention),
        "cancel, of a batch": ledger.cancel_batch("c"),
    }
    for call in calls.values():
        act.run(call)
    return calls


def refusal(master: Server, known: Known, call: Call[Any]) -> str:
    """Runs a call on a connection of its own, and returns why it was not confirmed; '' if it was."""
    fresh = SyncRunner(Settings.load(redis_url=master.url).address, Durability.REPLICA, known)
    try:
        fresh.run(call, 2)
    except QueueUnavailable as error:
        return str(error)
    finally:
        fresh.close()
    return ""


def test_rule_23_a_repeat_writes_something_for_the_replica_to_confirm(lagging: tuple[Server, Server]) -> None:
    """On a connection that wrote nothing a WAIT would confirm at once what the replica doesn't have."""
    master, replica = lagging
    address = Settings.load(redis_url=master.url).address
    with master.client() as client:
        act = Actor(client, SyncRunner(address))
        calls = repeats(act)
        sure = SyncRunner(address, Durability.REPLICA, act.runner.known)
        for name, call in calls.items():
            assert sure.run(call, 5) is not None, name
        replica.signal(signal.SIGSTOP)
        with ThreadPoolExecutor(len(calls)) as pool:
            heard = dict(
                zip(calls, pool.map(lambda call: refusal(master, act.runner.known, call), calls.values()), strict=True)
            )
        assert {name for name, error in heard.items() if "not confirmed by a replica" not in error} == set()
        replica.signal(signal.SIGCONT)
        for runner in (act.runner, sure):
            runner.close()


def test_rule_23_a_repeat_writes_something_for_the_disk_to_confirm(own_server: Callable[..., Server]) -> None:
    """As the server counts its writes; and it is asked to confirm each of them."""
    server = own_server("--appendfsync", "always")
    with server.client() as client:
        act = Actor(client, SyncRunner(Settings.load(redis_url=server.url).address))
        for name, call in repeats(act).items():
            before = int(client.info("persistence")["rdb_changes_since_last_save"])
            act.run(call)
            assert int(client.info("persistence")["rdb_changes_since_last_save"]) > before, name
            assert call.confirm, name
        act.runner.close()


def test_rule_23_what_must_be_confirmed_says_so(act: Actor) -> None:
    """Accepting, beginning, each end but "sent", and an absence that is believed; not what is true anyway."""
    assert ledger.enqueue([], Options("normal"), 1).confirm
    assert act.begin_call([]).confirm
    assert ledger.cancel("", retention=1).confirm
    assert ledger.answer([told("", "absent")], POLICY).confirm
    for state in State:
        settlement = Settlement("", NONCE, state, epoch=1)
        assert act.settle_call(settlement).confirm == (state.final and state is not State.SENT)


def test_rule_23_an_answer_that_was_not_confirmed_is_told_to_nobody(lagging: tuple[Server, Server]) -> None:
    """Surely absent, written, and not confirmed: the asker hears that it isn't, and its repeat decides nothing."""
    master, replica = lagging
    address = Settings.load(redis_url=master.url).address
    with master.client() as client:
        act = Actor(client, SyncRunner(address))
        sure = SyncRunner(address, Durability.REPLICA, act.runner.known)
        job_id = act.lose(act.enqueue())
        act.pass_time(SETTLING)
        act.send_another()
        assert act.absent(job_id) == "later"
        act.pass_time(APART)
        assert act.question(job_id) is not None
        answer = ledger.answer([replace(told(job_id, "absent"), epoch=act.epoch)], POLICY)
        replica.signal(signal.SIGSTOP)
        with pytest.raises(QueueUnavailable, match="not confirmed by a replica"):
            sure.run(answer, 2)
        replica.signal(signal.SIGCONT)
        assert sure.run(answer, 5) == ["stale"]
        assert Snapshot.read(client).on_its_lane(job_id) == 1
        for runner in (act.runner, sure):
            runner.close()


# -- rule 25


@pytest.mark.parametrize("seconds", [659.0, 660.0])
def test_rule_25_the_settling_time_covers_the_gateways_bound_and_its_lists_delay(seconds: float) -> None:
    """A shorter one would take a message for absent that is still on its way: refused at start, by name."""
    if seconds >= 660:
        assert WorkerSettings.load(settling_time=seconds).policy.settling == seconds * 1000
        return
    with pytest.raises(ConfigurationError, match="SMSQ_SETTLING_TIME must be at least SMSQ_GATEWAY_BOUND"):
        WorkerSettings.load(settling_time=seconds)


def test_rule_25_the_default_settings_keep_it() -> None:
    """And a lease covers a call with its tries."""
    policy = WorkerSettings.load().policy
    assert policy.settling >= policy.bound + 60_000
    assert policy.lease >= 30_000
