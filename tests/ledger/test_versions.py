"""Records of other versions: a newer one is left alone for a newer worker, an older one is sent."""

from smsq import keys, ledger
from smsq.job import RECORD_VERSION
from smsq.ledger.holding import LOOK_AGAIN
from smsq.states import State
from tests.ledger.actor import DAY, Actor, outcome
from tests.ledger.snapshot import Snapshot


def newer(act: Actor, job_id: str) -> Snapshot:
    """Makes a record one of the next version, in a state that this one doesn't know."""
    act.client.hset(keys.job(job_id), mapping={"v": RECORD_VERSION + 1, "state": "asking", "attempts": "many"})
    return Snapshot.read(act.client)


def test_a_newer_record_is_left_alone(act: Actor) -> None:
    """F36: no script changes it; on its way through a worker it stays in `due`, where a newer one finds it."""
    job_id = act.enqueue()
    before = newer(act, job_id)
    assert act.take() == []
    assert act.begin(job_id).word == "newer"
    assert act.settle(outcome(job_id, State.SENT)) == "gone"
    assert act.cancel(job_id) == "newer"
    assert not act.run(ledger.watch(job_id))
    assert act.run(ledger.untake([job_id])) == 0
    act.pass_time(DAY)
    looked = act.take_due()
    assert (looked.next_due, looked.entries, looked.events) == (LOOK_AGAIN, 1, [])
    taken = Snapshot.read(act.client)
    assert set(taken.due) == {job_id}
    moved = before.jobs[job_id] | {"at": str(int(before.jobs[job_id]["at"]) - DAY)}
    assert taken.jobs[job_id] == moved
    assert act.client.keys("smsq:parked") == []


def test_a_newer_record_survives_a_purge(act: Actor) -> None:
    """It leaves the lane, and is in `due` instead."""
    job_id = act.enqueue()
    newer(act, job_id)
    assert act.purge() == ledger.Purged(1, 0)
    assert set(Snapshot.read(act.client).due) == {job_id}


def test_a_newer_record_reads_as_being_sent(act: Actor) -> None:
    """The state that promises least, if its own isn't known; a state that is known is shown."""
    job_id = act.enqueue(key="k", content="c")
    newer(act, job_id)
    assert act.lookup(job_id).state is State.SENDING
    assert act.enqueue(key="k", content="c") == job_id
    act.client.hset(keys.job(job_id), mapping={"state": "sent", "attempts": "1"})
    assert act.lookup(job_id).state is State.SENT


def test_an_older_record_is_sent(act: Actor) -> None:
    """What an older version has enqueued goes all the way."""
    job_id = act.enqueue()
    act.client.hset(keys.job(job_id), "v", RECORD_VERSION - 1)
    act.start(job_id)
    assert act.settle(outcome(job_id, State.SENT)) == "settled"
