"""The state machine's steps about what is due, the questions, and a ledger that goes back in time."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smsq import keys, ledger
from smsq.lanes import LANES, Lane
from smsq.ledger import Heard, Look
from smsq.states import State
from tests.ledger.agreement import WORKERS
from tests.ledger.asking_model import AskingModel
from tests.ledger.entries import LEASE, PATIENCE, POLICY, UNIT, Entry
from tests.ledger.holds import Hold, Inquiry
from tests.ledger.machine import LedgerSteps
from tests.ledger.snapshot import advance
from tests.support.server import Server

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True)
class Copy:
    """The ledger as it was at a moment: what a replica that lags has, or an older file.

    Attributes:
        values: Each key, what DUMP gives of it, and the unix time (ms) at which it goes, 0 for never.
        model: The oracle at that moment.
        strays: As the machine has them.
        touched: As the machine has them.
    """

    values: list[tuple[str, bytes, int]]
    model: AskingModel
    strays: set[str]
    touched: set[Lane]

    @staticmethod
    def dump(client: "redis.Redis") -> list[tuple[str, bytes, int]]:
        """Reads every key as Redis stores it."""
        found = [str(key) for key in client.keys("*")]
        with client.pipeline() as pipeline:
            for key in found:
                pipeline.pexpiretime(key)
            ends = pipeline.execute()
        return [(key, client.dump(key) or b"", max(0, end)) for key, end in zip(found, ends, strict=True)]

    def restore(self, client: "redis.Redis") -> None:
        """Makes it the ledger again."""
        client.flushdb()
        with client.pipeline() as pipeline:
            for key, value, end in self.values:
                pipeline.restore(key, end, value, absttl=bool(end))
            pipeline.execute()


class AskingSteps(LedgerSteps):
    """What happens beside producers and workers. Moments and times are in units."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.copies: list[Copy] = []

    def take_due(self, limit: int, *, room: bool = True) -> None:
        """Looks at what is due, oldest first, and takes the questions."""
        ids = [job_id for job_id, at in self.snapshot.due.items() if at <= self.snapshot.now][:limit]
        nonce = f"question{next(self.numbers)}"
        look = Look(limit, 1000 if room else 0, PATIENCE * UNIT, nonce)
        looked = self.ask(ledger.take_due(look, POLICY))
        canary_id, _ = self.snapshot.next_canary if self.model.ripe else self.snapshot.canary
        known = self.model.ripe or self.model.canary is not None
        canary = self.model.jobs.get(canary_id) if known else None
        heard = [(job_id, self.model.look(job_id)) for job_id in ids]
        asked = [
            job_id
            for job_id in ids
            if self.model.jobs[job_id].asking
            and not any(what for each, what in heard if each == job_id)
            and self._was_asking(job_id)
            and self.model.question(self.model.jobs[job_id], nonce, room=room, canary=canary is not None)
        ]
        assert looked.entries == len(ids)
        assert looked.events == [(job_id, what) for job_id, what in heard if what]
        assert (looked.canary[0] if looked.canary else None) == (canary.message_id if canary else None)
        assert {each.job_id for each in looked.questions} == set(asked)
        ranks = [LANES.index(self.model.jobs[each.job_id].lane) for each in looked.questions]
        assert ranks == sorted(ranks), "urgent jobs' questions come first"
        for each in sorted(looked.questions):  # within a rank in no order
            ask = self.model.jobs[each.job_id].ask
            assert ask is not None
            assert each.counts == ask.counts
            number = self.epochs[self.model.epoch]
            shown = looked.canary[0] if looked.canary else None
            self.inquiries.append(Inquiry(each.job_id, nonce, self.model.epoch, number, each.counts, shown))

    def _was_asking(self, job_id: str) -> bool:
        """Whether it was being asked about before this look, which may have begun that for others."""
        ask = self.snapshot.jobs[job_id]
        return ask["state"] == State.SENDING and '"from"' in ask.get("ask", "")

    def put(self, inquiry: Inquiry, *, answers: bool) -> None:
        """Puts a question to the gateway, as it is now."""
        listed = [message.id for message in self.gateway.listed(inquiry.job_id, self.model.now)]
        messages = {message.id: message for sent in self.gateway.messages.values() for message in sent}
        inquiry.put(
            listed, lambda message_id: self.gateway.shows(messages[message_id], self.model.now), answers=answers
        )

    def answer(self, inquiry: Inquiry) -> None:
        """Writes down what the gateway answered."""
        assert inquiry.told is not None
        [word] = self.ask(ledger.answer([inquiry.told], POLICY))
        assert word == self.model.answer(inquiry.told, inquiry.epoch)

    def renew(self, hold: Hold) -> None:
        """Renews a lease."""
        [left] = self.ask(ledger.renew([(hold.job_id, hold.token)], epoch=hold.number, lease=LEASE * UNIT))
        renewed = self.model.renew(hold.job_id, hold.token, hold.epoch)
        assert left == (LEASE * UNIT if renewed else -1)
        if renewed:
            hold.deadline = self.model.now + LEASE

    def resume(self) -> None:
        """Ends all pauses of operators, and wakes those that wait for ids."""
        self.client.delete(keys.PAUSE)
        self.model.paused.clear()
        for lane in LANES:
            if self.snapshot.ring(lane) and not self.client.exists(keys.bell(lane)):
                self.client.rpush(keys.bell(lane), "1")

    # -- epochs

    def another_server(self) -> None:
        """Has the next script meet another server."""
        self.client.hset(keys.EPOCH, "server", "another")
        self.doubt_all()

    def doubt_all(self) -> None:
        """What was seen of jobs that haven't ended may not hold any more."""
        self.model.changed, self.agreed = True, False
        for job in self.model.jobs.values():
            job.shown = job.shown if job.final else None

    def keep_copy(self) -> None:
        """Keeps a copy of the ledger."""
        model = copy.deepcopy(self.model)
        self.copies.append(Copy(Copy.dump(self.client), model, set(self.strays), set(self.touched)))

    def go_back(self, kept: Copy) -> None:
        """Makes a copy the ledger, on another server; what workers, askers and the gateway have stays."""
        now, epoch = self.model.now, self.model.epoch
        kept.restore(self.client)
        self.model = copy.deepcopy(kept.model)
        passed = now - self.model.now
        advance(self.client, passed * UNIT)
        self.model.advance(passed)
        self.model.epoch = epoch
        self.strays, self.touched = set(kept.strays), set(kept.touched)
        for job in self.model.jobs.values():
            job.stored = job.shown = None
        self.another_server()

    # -- the end

    def teardown(self) -> None:
        """Lets healthy workers and askers finish what was accepted: nothing may be left over."""
        try:
            if not self.agreed:
                return
            self.resume()
            self.gateway.stuck = None
            for _ in range(40):
                if all(job.final for job in self.model.jobs.values()):
                    return
                self._work_through()
            left = [job for job in self.model.jobs.values() if not job.final]
            raise AssertionError(f"accepted, and never ended: {left}")
        finally:
            self.runner.close()
            self.client.close()

    def _work_through(self) -> None:
        """A round of a healthy fleet, whose gateway is well; something new is sent each time."""
        self.enqueue([Entry(self.new_id(), State.QUEUED, "urgent")], None, None)
        self.pass_time(1)
        self.take_due(1000)
        for inquiry in [each for each in self.inquiries if not each.told]:
            self.put(inquiry, answers=True)
            self.answer(inquiry)
        for worker in WORKERS:
            self.take(worker, 1000, list(LANES))
            self.begin(worker, list(dict.fromkeys(self.hints[worker])))
        for hold in [each for each in self.holds if not each.settled and each.may_call(self.model.now)]:
            if hold.epoch == self.model.epoch:
                self.call(hold, "accepted")
                self.settle(hold, hold.settlement(State.SENT, self.model.now, heard=Heard("well")))
        self.agrees()
