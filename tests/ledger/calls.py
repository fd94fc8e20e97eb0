"""Calls that say something of the gateway, for those who wait at the gates."""

from dataclasses import replace

from smsq.lanes import Lane
from smsq.ledger import Heard
from smsq.states import State
from tests.ledger.actor import Actor, outcome

#: Failures in a row that close the circuit here.
AFTER = 3


def hear(act: Actor, heard: Heard, job_id: str, *, worker: str = "a") -> None:
    """Settles a job whose call said something of the gateway."""
    to = State.FAILED if heard.what == "well" else State.RETRYING
    settlement = replace(outcome(job_id, to, token=job_id), heard=heard)
    assert act.settle(settlement, worker=worker, circuit_after=AFTER) == "settled"


def out(act: Actor, worker: str = "a", lane: Lane = "normal") -> str:
    """Begins a job whose call is out."""
    job_id = act.enqueue(lane=lane)
    assert job_id in act.take(lanes=[lane], worker=worker)
    assert act.begin(job_id, job_id, worker=worker).word == "begun"
    return job_id
