"""The ledger as a state machine: any sequence of its scripts, with two workers, deaths, and time that passes.

The oracle is `tests.ledger.asking_model`. After each step the whole ledger is read and compared, and at the end of each
example everything that was accepted must come to an end. The gateway is a model too: it loses answers, accepts late,
and its list lags. What must hold of it above all: it never gets a message of a job twice.
"""

import os
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from smsq import keys, ledger
from smsq.lanes import LANES, Lane, queue_name
from smsq.states import State
from tests.ledger.entries import RETENTION, UNIT, Entry
from tests.ledger.holds import settlement_for
from tests.ledger.snapshot import Snapshot
from tests.ledger.worker_rules import LANE, OUTCOME, PICK, SHOWN, WORKER, WorkerRules
from tests.support.server import Server

#: The default fits into a quick run of the suite; HYPOTHESIS_PROFILE=deep is for whoever changes the protocol.
PROFILES = {
    "default": settings(max_examples=300, stateful_step_count=40),
    "deep": settings(max_examples=5000, stateful_step_count=80),
}
#: A job that is offered again, as nobody has done anything with it.
UNTOUCHED: dict[str, Any] = {"state": State.QUEUED, "resent": False, "ask": None, "losses": 0, "due": None, "token": "",
                             "attempts": 0, "message_id": None, "ended": None, "waiters": 0, "woken": 0, "stored": None,
                             "shown": None}  # fmt: skip
BATCHES = st.sampled_from(["", "b1", "b1", "b2"])
KEYS = st.lists(st.sampled_from(["", "", "k1", "k2"]), min_size=1, max_size=3)


class LedgerMachine(WorkerRules):
    """The rules. A ``pick`` chooses among what there is."""

    # -- producers

    @initialize(jobs=st.lists(st.tuples(LANE, BATCHES), min_size=2, max_size=6), resend=st.booleans())
    def there_are_jobs(self, jobs: list[tuple[Lane, str]], resend: bool) -> None:
        """An empty ledger is dull."""
        for lane, batch in jobs:
            self.enqueue([Entry(self.new_id(), State.QUEUED, lane, batch, resend=resend)], None, None)

    @rule(
        lane=LANE,
        batch=BATCHES,
        hashes=KEYS,
        content=st.sampled_from(["c1", "c1", "c2"]),
        resend=st.booleans(),
        send_at=st.sampled_from([None, None, -1, 0, 1, 3]),
        expires_in=st.sampled_from([None, None, 1, 2, 5]),
    )
    def a_handler_enqueues(
        self,
        *,
        lane: Lane,
        batch: str,
        hashes: list[str],
        content: str,
        resend: bool,
        send_at: int | None,
        expires_in: int | None,
    ) -> None:
        """Jobs are accepted; the same key gives its job back, also within one call."""
        entries = [
            Entry(self.new_id(), State.QUEUED, lane, batch, key, content if key else "", resend) for key in hashes
        ]
        self.enqueue(entries, send_at, expires_in)

    @precondition(lambda self: self.enqueued)
    @rule(pick=PICK)
    def an_enqueue_runs_again(self, pick: int) -> None:
        """Its answer was lost, and the library sent it once more; or its key comes again after the ledger forgot it."""
        entries, options, epoch = self.enqueued[-1 - pick % min(5, len(self.enqueued))]
        if all(each.key or each.id in self.model.jobs for each in entries):
            expires = None if options.expires_in is None else self.model.now + options.expires_in // UNIT
            resend = options.on_unknown == "resend"
            again = [replace(each, expires=expires, resend=resend, **UNTOUCHED) for each in entries]
            self.check_enqueue(again, replace(options, send_at=None), forgotten=epoch < self.model.next_epoch)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def someone_cancels(self, pick: int) -> None:
        """Cancelled means: the gateway certainly does not have it, and won't."""
        job = self.job(pick)
        self.model.fresh()
        word = self.model.cancel(job.id)
        assert self.ask(ledger.cancel(job.id, retention=RETENTION * UNIT)) == word
        if word == "cancelled":
            assert not self.gateway.has(job.id)

    @precondition(lambda self: self.model.batches)
    @rule(batch=st.sampled_from(["b1", "b1", "b2", "b3"]))
    def someone_cancels_a_batch(self, batch: str) -> None:
        """One write; a repeat answers the same."""
        stopped = self.ask(ledger.cancel_batch(batch))
        assert stopped == self.model.cancel_batch(batch)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def someone_waits(self, pick: int) -> None:
        """Whoever registers in time will be woken."""
        job = self.job(pick)
        there = self.ask(ledger.watch(job.id))
        assert there == self.model.watch(job.id)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK)
    def someone_looks_up(self, pick: int) -> None:
        """A job is found by its id, and by the gateway's ids once it has them."""
        job = self.job(pick)
        found = self.runner.run(ledger.lookup("job", job.id), 10)
        assert found is not None
        assert (found.id, found.state) == (job.id, self.model.visible(job))
        if job.message_id is not None:
            assert self.runner.run(ledger.lookup("message", str(job.message_id)), 10) == found
            assert self.runner.run(ledger.lookup("campaign", str(job.message_id * 10)), 10) == found

    # -- dispatcher and askers

    @precondition(lambda self: any(job.due is not None for job in self.model.jobs.values()))
    @rule(limit=st.sampled_from([1, 2, 500, 500]), room=st.sampled_from([True, True, False]))
    def the_dispatcher_looks(self, limit: int, room: bool) -> None:
        """Everything that is due goes where it belongs, and the questions to whoever looks."""
        self.take_due(limit, room=room)

    @precondition(lambda self: any(each.told is None for each in self.inquiries))
    @rule(pick=PICK, answers=st.sampled_from([True, True, True, False]), writes=st.booleans())
    def an_asker_asks(self, pick: int, answers: bool, writes: bool) -> None:
        """The gateway is asked, perhaps long after the question was given; and the answer written, or not yet."""
        waiting = [each for each in self.inquiries if each.told is None]
        inquiry = waiting[-1 - pick % len(waiting)]
        self.put(inquiry, answers=answers)
        if writes:
            self.answer(inquiry)

    @precondition(lambda self: any(each.told for each in self.inquiries))
    @rule(pick=PICK, stranger=st.sampled_from([False, False, True]))
    def an_answer_is_written(self, pick: int, stranger: bool) -> None:
        """Late, or once more; or by somebody whose question it wasn't."""
        told = [each for each in self.inquiries if each.told]
        inquiry = told[-1 - pick % len(told)]
        if stranger and inquiry.told:
            inquiry = replace(inquiry, told=replace(inquiry.told, token="a stranger's"))
        self.answer(inquiry)

    @precondition(lambda self: self.asking())
    @rule(count=st.integers(3, 8), delivers=st.sampled_from([True, True, False]))
    def time_is_given_to_askers(self, count: int, delivers: bool) -> None:
        """Units in which the fleet goes on: something new is sent, and all questions are put and answered at once."""
        for _ in range(count):
            if delivers:
                self.enqueue([Entry(self.new_id(), State.QUEUED, "urgent")], None, None)
                self.a_worker_delivers("A", "accepted", 0, 0)
            self.pass_time(1)
            self.take_due(500)
            for inquiry in [each for each in self.inquiries if each.told is None]:
                self.put(inquiry, answers=True)
                self.answer(inquiry)
            self.agrees()

    # -- epochs

    @precondition(lambda self: self.model.jobs)
    @rule(
        how=st.sampled_from(["another server", "a copy is kept", "back", "back", "a newer epoch is known"]), pick=PICK
    )
    def redis_fails(self, how: str, pick: int) -> None:
        """It is another one, that has everything or less: a replica that lagged, an older file; or its clock jumps."""
        if how == "another server":
            self.another_server()
        elif how == "a newer epoch is known":
            self.runner.known.epoch += 1
            self.doubt_all()
        elif how == "back" and self.copies:
            self.go_back(self.copies[-1 - pick % len(self.copies)])
        elif not self.model.changed:
            self.keep_copy()
        if pick % 2:
            self.agrees()
            self.take_due(500)

    @precondition(lambda self: self.callable() and not self.model.changed)
    @rule(goes_back=st.booleans(), worker=WORKER, pick=PICK, outcome=OUTCOME, delay=SHOWN, settles=st.booleans())
    def a_worker_of_before_calls(
        self, *, goes_back: bool, worker: str, pick: int, outcome: str, delay: int, settles: bool
    ) -> None:
        """Redis fails, others meet the new epoch and go on, and then somebody calls who hasn't heard of it."""
        holds = self.callable()
        hold = holds[pick % len(holds)]
        if goes_back and self.copies:
            self.go_back(self.copies[-1])
        else:
            self.another_server()
        self.agrees()
        self.take_due(500)
        self.agrees()
        self.a_worker_starts(worker, 3)
        self.agrees()
        self.call(hold, outcome, delay)
        if settles:
            self.settle(hold, *settlement_for(hold, pick, self.model.now, self.snapshot.now))

    # -- operators, time, foreign hands

    @precondition(lambda self: self.model.jobs)
    @rule(what=st.sampled_from(["resume", "resume", *LANES, "all", "stuck", "current"]))
    def something_is_held_up(self, what: str) -> None:
        """An operator pauses a lane, or resumes; the gateway's list becomes no newer, or catches up."""
        if what == "resume":
            self.resume()
        elif what in ("stuck", "current"):
            self.gateway.stuck = self.model.now if what == "stuck" else None
        else:
            self.client.hset(keys.PAUSE, what, "1 a reason")
            self.model.paused.add(what)

    @precondition(lambda self: self.waiting())
    @rule(lane=LANE, limit=st.integers(1, 3))
    def someone_purges(self, lane: Lane, limit: int) -> None:
        """Ids leave a lane only with their jobs ended."""
        purged = self.ask(ledger.purge(lane, limit, retention=RETENTION * UNIT))
        after = Snapshot.read(self.client)
        ended = [job for job in self.model.jobs.values() if job.on_lane and after.jobs[job.id]["state"] != State.QUEUED]
        for job in ended:
            assert job.lane == lane or job.id in self.strays
            self.model.finish_as_ended(job)
        assert purged.cancelled == sum(job.state is State.CANCELLED for job in ended)
        if not purged.removed:
            assert not [job.id for job in self.model.jobs.values() if job.on_lane and job.lane == lane]

    @precondition(lambda self: self.model.jobs)
    @rule(count=st.sampled_from([1, 1, 2, 3, 3, 5, RETENTION]))
    def time_passes(self, count: int) -> None:
        """Reservations, leases, schedules and jobs run out."""
        self.pass_time(count)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=PICK, lane=LANE, batch=BATCHES, known=st.booleans(), turn=st.booleans())
    def a_foreign_hand_pushes_an_id(self, pick: int, lane: Lane, batch: str, known: bool, turn: bool) -> None:
        """An id stands where nobody of ours has put it."""
        stray = self.job(pick).id if known else self.new_id()
        self.client.rpush(f"smsq:lane:{lane}:{batch}", stray)
        if turn:
            self.client.rpush(f"smsq:lane:{lane}", batch)
        self.strays.add(stray)
        self.touched.add(lane)

    @precondition(lambda self: self.waiting())
    @rule(lane=LANE, pushes=st.booleans())
    def a_foreign_hand_has_the_turns(self, lane: Lane, pushes: bool) -> None:
        """What Flower counts is deleted, or gets a Celery message that was published by name."""
        if pushes:
            self.client.rpush(queue_name(lane), "{}")
        else:
            self.client.delete(queue_name(lane))
        self.touched.add(lane)


@pytest.mark.timeout(900)  # one that fails takes its time to get short
def test_no_sequence_of_events_loses_a_job_or_calls_for_it_twice(server: Server) -> None:
    """F12, rules 1 to 15, 17 to 19, 21, 22 and 24, in any order of events, with a gateway as unkind as the real one."""
    profile = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "default")]
    run_state_machine_as_test(
        partial(LedgerMachine, server),  # type: ignore[arg-type] # any factory will do, as its documentation says
        settings=settings(profile, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)),
    )
