"""The oracle's part about what is due, and about the questions and their answers."""

from dataclasses import dataclass

from smsq.ledger import Told
from smsq.ledger.asking import AnswerWord
from smsq.states import State
from tests.ledger.entries import BOUND, GIVE_UP, LEASE, LIMIT, LOSSES, PATIENCE, SETTLING, Ask, Entry
from tests.ledger.model import Model

#: What `answer` says of a job that has ended uncalled.
ENDS: dict[State, AnswerWord] = {
    State.EXPIRED: "expired", State.CANCELLED: "cancelled", State.FAILED: "failed",
}  # fmt: skip


@dataclass
class AskingModel(Model):
    """The whole ledger as it should be."""

    def look(self, job_id: str) -> str | None:
        """Puts a due job where it belongs; returns what a person may want to hear of it."""
        job = self.jobs[job_id]
        assert job.due is not None
        assert job.due <= self.now, f"{job_id} was looked at before its time"
        if job.asking:
            return None
        if job.state is State.SENDING:
            return self._lose(job, job.due)
        if end := self.end(job):
            self.end_uncalled(job, end)
        else:
            self.move(job, State.QUEUED, None)
        return None

    def _lose(self, job: Entry, due: int) -> str:
        job.losses += 1
        if job.resend and not self.doubt(job) and not self.end(job):
            self.unsettle(job, due - LEASE, due)
            job.resend, job.resent = False, True
            self.move(job, State.QUEUED, None)
            return "resend"
        self.start_asking(job, due - LEASE, due, State.QUEUED)
        return "lost"

    def last_call(self, job: Entry, ask: Ask) -> int:
        """Returns the last moment at which an unsettled call may have been made or have ended."""
        return max(ask.last, self.started + LEASE) if self.doubt(job) else ask.last

    def question(self, job: Entry, nonce: str, *, room: bool, canary: bool) -> bool:
        """Gives out the question about a job, if it is time.

        Args:
            job: One that is asked about, and due.
            nonce: The question's token.
            room: Whether the caller takes questions.
            canary: Whether the canary's record is still there.

        Returns:
            Whether it was given out.
        """
        ask = job.ask
        assert ask is not None
        assert ask.since is not None
        last = self.last_call(job, ask)
        over = self.now >= last + SETTLING
        called = self.next_canary[0] if self.next_canary and self.ripe else self.canary
        proof = canary and called is not None and called >= last + BOUND
        waits = over and ask.empty and not proof and self.now - ask.since < LIMIT
        job.due = self.now + 1
        if waits or not room:
            return False
        ask.token, ask.counts = nonce, over and proof
        job.due = self.now + PATIENCE
        return True

    def answer(self, told: Told, epoch: int) -> AnswerWord:
        """Takes in what the gateway answered; returns the script's word."""
        job = self.jobs.get(told.job_id)
        if not job:
            return "stale"
        word = told.word
        free = [ids for ids in told.ids if self.owners.get(ids[0], job.id) == job.id]
        if told.ids and not free:
            word = "cant_tell"
        if word == "found" and free and job.state is not State.SENT:
            return "sent" if self.accept(job, free[0][0], job.attempts) == "settled" else "stale"
        ask = job.ask
        if not (job.asking and ask and ask.token == told.token and epoch == self.epoch):
            return "stale"
        if word == "empty":
            ask.counts = False
        if word not in ("absent", "empty"):
            ask.absent, ask.empty = None, False
            return self._later(job, ask)
        if not ask.counts:
            ask.absent, ask.empty = None, self.now >= self.last_call(job, ask) + SETTLING
            return self._later(job, ask)
        ask.empty = False
        if ask.absent is not None and ask.absent < self.now:
            return self._absent(job, ask)
        ask.absent = self.now if ask.absent is None else ask.absent
        return self._later(job, ask)

    def _later(self, job: Entry, ask: Ask) -> AnswerWord:
        assert ask.since is not None
        if self.now - ask.since >= LIMIT:
            self.move(job, State.UNKNOWN, None)
            return "unknown"
        ask.token, job.due = "", self.now + 1
        return "later"

    def _absent(self, job: Entry, ask: Ask) -> AnswerWord:
        becomes = ask.becomes
        if becomes is State.QUEUED:
            becomes = self.end(job) or becomes
        put_off = job.put_off is not None and self.now - job.put_off >= GIVE_UP
        if becomes is State.QUEUED and (job.losses >= LOSSES or put_off):
            becomes = State.FAILED
        if becomes is State.QUEUED and job.put_off is None:
            job.put_off = self.now
        job.ask, job.epoch = None, self.epoch
        self.move(job, becomes, None)
        return ENDS.get(becomes, "again")
