"""The state machine's rules about workers: what they do with the jobs of their lanes, in time and long after."""

from dataclasses import replace
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from smsq import keys, ledger
from smsq.lanes import LANES, Lane
from smsq.ledger import Heard, Settlement
from smsq.states import State
from tests.ledger.agreement import WORKERS
from tests.ledger.asking_machine import AskingSteps
from tests.ledger.entries import DELAY, UNIT
from tests.ledger.gateway_model import OUTCOMES
from tests.ledger.holds import settlement_for

WORKER = st.sampled_from(WORKERS)
PICK = st.integers(0, 11)
LANE = st.sampled_from(LANES)
SOME_LANES: st.SearchStrategy[list[Lane]] = st.sampled_from([list(LANES), ["normal", "bulk"], ["bulk"]])
OUTCOME = st.sampled_from(["accepted", *OUTCOMES])
#: How much later than accepted a message is on the gateway's list.
SHOWN = st.integers(0, DELAY)


class WorkerRules(AskingSteps):
    """The rules. A ``pick`` chooses among what there is."""

    @precondition(lambda self: self.waiting())
    @rule(worker=WORKER, count=st.integers(1, 4), lanes=SOME_LANES)
    def a_worker_takes(self, worker: str, count: int, lanes: list[Lane]) -> None:
        """The bell has woken it, and ids leave their lanes."""
        for lane in lanes:
            self.client.lpop(keys.bell(lane))
        self.take(worker, count, lanes)

    @precondition(lambda self: any(self.hints.values()))
    @rule(pick=PICK, count=st.integers(1, 3))
    def a_worker_begins(self, pick: int, count: int) -> None:
        """What was taken is begun, some at a time."""
        worker = self.hinted(pick)
        self.begin(worker, list(dict.fromkeys(self.hints[worker]))[:count])

    @precondition(lambda self: self.waiting())
    @rule(worker=WORKER, outcome=OUTCOME, choice=PICK, delay=SHOWN)
    def a_worker_delivers(self, worker: str, outcome: str, choice: int, delay: int) -> None:
        """All the way, with nothing in between."""
        self.take(worker, 1, list(LANES))
        self.agrees()
        self.begin(worker, list(dict.fromkeys(self.hints[worker])))
        self.agrees()
        for hold in self.callable():
            self.call(hold, outcome, delay)
            self.settle(hold, *settlement_for(hold, choice, self.model.now, self.snapshot.now))
            self.agrees()

    @precondition(lambda self: self.waiting())
    @rule(worker=WORKER, count=st.integers(1, 3))
    def a_worker_starts(self, worker: str, count: int) -> None:
        """Taken and begun, and not called yet."""
        self.take(worker, count, list(LANES))
        self.agrees()
        self.begin(worker, list(dict.fromkeys(self.hints[worker])))

    @precondition(lambda self: self.waiting())
    @rule(worker=WORKER, what=st.sampled_from(["failing", "failing", "account", "slow"]), in_units=st.integers(0, 2))
    def the_gateway_is_unwell(self, worker: str, what: Literal["failing", "account", "slow"], in_units: int) -> None:
        """Every call of a worker is put off for the same reason: that closes a gate, and its probes keep it closed."""
        self.a_worker_starts(worker, 3)
        self.agrees()
        for hold in [each for each in self.callable() if each.worker == worker]:
            self.call(hold, "try_again")
            delay, heard = in_units * UNIT, Heard(what, "unwell", UNIT)
            settlement = hold.settlement(State.RETRYING, self.model.now, delay=delay, heard=heard)
            self.settle(hold, settlement, in_units)
            self.agrees()

    @precondition(lambda self: self.model.jobs)
    @rule(worker=WORKER, pick=PICK)
    def the_other_worker_begins_it(self, worker: str, pick: int) -> None:
        """A second hint for a job, or a made-up one: whoever comes second gets nothing."""
        self.begin(worker, [self.job(pick).id])

    @precondition(lambda self: self.nonces)
    @rule(pick=PICK)
    def a_begin_runs_again(self, pick: int) -> None:
        """Its answer was lost, and the library sent it once more."""
        self.begin_again(*self.nonces[-1 - pick % len(self.nonces)])

    @precondition(lambda self: self.late_begins())
    @rule(pick=PICK)
    def a_begin_comes_late(self, pick: int) -> None:
        """Its sender has long given up and settled, and the job has been taken again."""
        late = self.late_begins()
        hold = late[pick % len(late)]
        self.begin_again(hold.worker, [hold.job_id], hold.token, hold.epoch)

    def begin_again(self, worker: str, job_ids: list[str], nonce: str, epoch: int) -> None:
        """Runs a begin that has run before."""
        begun = {job.id: job for job in self.check_begin(worker, job_ids, nonce, epoch)}
        for hold in [each for each in self.holds if each.token == nonce and each.job_id in begun]:
            assert hold.settled is None, "a token that has settled may call again"
            assert hold.deadline == begun[hold.job_id].due

    @precondition(lambda self: self.callable())
    @rule(pick=PICK, outcome=OUTCOME, delay=SHOWN)
    def a_worker_calls(self, pick: int, outcome: str, delay: int) -> None:
        """The gateway is called for a job that was begun; the worker may not have heard of a newer epoch."""
        holds = self.callable()
        self.call(holds[pick % len(holds)], outcome, delay)

    @precondition(lambda self: self.unsettled())
    @rule(pick=PICK)
    def a_worker_renews(self, pick: int) -> None:
        """Its lease, if that still runs, and in the epoch in which it was given."""
        holds = self.unsettled()
        self.renew(holds[pick % len(holds)])

    @precondition(lambda self: self.unsettled())
    @rule(pick=PICK, choice=PICK)
    def a_worker_settles(self, pick: int, choice: int) -> None:
        """Also long after the lease ran out."""
        holds = self.unsettled()
        hold = holds[pick % len(holds)]
        self.settle(hold, *settlement_for(hold, choice, self.model.now, self.snapshot.now))

    @precondition(lambda self: any(hold.settled for hold in self.holds))
    @rule(pick=PICK)
    def a_settle_runs_again(self, pick: int) -> None:
        """Its answer was lost; or it comes late."""
        holds = [hold for hold in self.holds if hold.settled]
        hold = holds[-1 - pick % len(holds)]
        assert hold.settled is not None
        self.check_settle(hold.worker, hold.settled, hold.epoch, hold.in_units)

    @precondition(lambda self: any(hold.message_id for hold in self.holds))
    @rule(pick=PICK, stranger=st.booleans())
    def the_gateway_is_known_to_have_it(self, pick: int, stranger: bool) -> None:
        """Sent, with these ids: whoever says it, and whenever."""
        holds = [hold for hold in self.holds if hold.message_id]
        hold = holds[pick % len(holds)]
        settlement = hold.settlement(State.SENT, self.model.now)
        self.check_settle(hold.worker, replace(settlement, token="stranger") if stranger else settlement, hold.epoch)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK, to=st.sampled_from([State.FAILED, State.UNKNOWN, State.RETRYING, State.QUEUED, State.SCHEDULED]))
    def a_stranger_settles(self, pick: int, to: State) -> None:
        """Not sent: believed from the holder only."""
        number = self.epochs[self.model.epoch]
        self.check_settle("A", Settlement(self.job(pick).id, "stranger", to, epoch=number), self.model.epoch)

    @precondition(lambda self: self.model.jobs and self.model.owners)
    @rule(pick=PICK, other=PICK)
    def someone_mistakes_an_id(self, pick: int, other: int) -> None:
        """A messageId belongs to one job, and a job has one."""
        message_id = list(self.model.owners)[other % len(self.model.owners)]
        job = self.job(pick)
        if self.model.owners[message_id] != job.id or job.state is State.SENT:
            settlement = Settlement(job.id, job.token, State.SENT, 1, ids=(message_id, 1, 1))
            self.check_settle("A", settlement, 0)

    @precondition(lambda self: any(self.hints.values()))
    @rule(pick=PICK, count=st.integers(1, 3))
    def a_worker_hands_back(self, pick: int, count: int) -> None:
        """At its shutdown, what it hasn't begun."""
        worker = self.hinted(pick)
        ids = list(dict.fromkeys(self.hints[worker]))[:count]
        self.hints[worker] = [each for each in self.hints[worker] if each not in ids]
        back = self.ask(ledger.untake(ids))
        assert back == self.model.untake(ids)

    @precondition(lambda self: any(self.hints.values()) or self.unsettled())
    @rule(worker=WORKER)
    def a_worker_dies(self, worker: str) -> None:
        """Nobody remembers what it had taken and begun."""
        self.hints[worker].clear()
        for hold in self.holds:
            hold.dead = hold.dead or hold.worker == worker
