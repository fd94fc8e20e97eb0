"""What must hold after each step of the state machine: the ledger is what the oracle says, and what it says is true."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from smsq import keys
from smsq.connection import SyncRunner
from smsq.lanes import LANES, Lane
from smsq.scripts import Call
from smsq.settings import Settings
from smsq.states import FINAL, TRANSITIONS, State
from tests.ledger.asking_model import AskingModel
from tests.ledger.entries import UNIT, Ask, Entry
from tests.ledger.gateway_model import Gateway
from tests.ledger.snapshot import Snapshot, ask_of, problems
from tests.support.server import Server

if TYPE_CHECKING:
    from smsq.ledger import Options
    from tests.ledger.holds import Hold, Inquiry

T = TypeVar("T")

WORKERS = ("A", "B")
_SOFTEN = (Path(__file__).parent / "soften.lua").read_text(encoding="utf-8")


class Agreement(RuleBasedStateMachine):
    """A ledger, the oracle, a gateway, and what their users have; compared after each step."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.client = server.client()
        self.client.flushdb()
        self.runner = SyncRunner(Settings.load(redis_url=server.url).address)
        self.model = AskingModel()
        self.gateway = Gateway()
        self.numbers = itertools.count()
        self.snapshot = Snapshot.read(self.client)
        self.epochs: dict[int, int] = {0: 0}
        self.enqueued: list[tuple[list[Entry], Options, int]] = []
        self.resending: set[str] = set()
        self.hints: dict[str, list[str]] = {worker: [] for worker in WORKERS}
        self.nonces: list[tuple[str, list[str], str, int]] = []
        self.holds: list[Hold] = []
        self.inquiries: list[Inquiry] = []
        self.strays: set[str] = set()
        self.touched: set[Lane] = set()
        self.agreed = False

    def ask(self, call: Call[T]) -> T:
        """Runs a script that writes, as the product does."""
        self.agreed = False
        self.model.fresh()
        answer = self.runner.run(call, 10)
        self.epochs.setdefault(self.model.epoch, self.runner.known.epoch)
        return answer

    @invariant()
    def agrees(self) -> None:
        """The ledger is sound, and what it holds is what the model holds."""
        self.client.eval(_SOFTEN, 0, UNIT, keys.CIRCUIT, *map(keys.worker_gate, WORKERS))
        self.snapshot = taken = Snapshot.read(self.client)
        on_lists = {job_id for key, ids in taken.lists.items() if key.startswith(keys.ring("")) for job_id in ids}
        self.strays &= on_lists
        self.touched -= {lane for lane in LANES if not any(lane in key for key in taken.lists if "bell" not in key)}
        assert problems(taken, strays=self.strays, touched=self.touched) == []
        assert set(taken.jobs) == set(self.model.jobs)
        for job in self.model.jobs.values():
            self._check_job(job)
            self._check_promise(job)
        assert taken.idempotency == {key: f"{job.id} {job.content}" for key, job in self.model.keys.items()}
        assert set(taken.batches) == set(self.model.batches)
        for name, batch in self.model.batches.items():
            record = taken.batches[name]
            counted = {state: record.get(state, 0) for state in State}
            assert counted == {state: batch.counts()[state] for state in State}
            assert ("stopped" in record) == (batch.stopped is not None)
            assert (taken.ttl[keys.batch(name)] >= 0) == (batch.closed is not None)
        if not self.model.changed:
            next_called = self.model.next_canary[0] if self.model.next_canary else None
            for called, (_, stored) in ((self.model.canary, taken.canary), (next_called, taken.next_canary)):
                assert called is None or units(stored - taken.now) == called - self.model.now
        self.agreed = True

    def _check_job(self, job: Entry) -> None:
        record = self.snapshot.jobs[job.id]
        shown = self.snapshot.job(job.id, doubted=self.model.changed)
        due = self.snapshot.due.get(job.id)
        assert record["state"] == job.state
        assert units(None if due is None else due - self.snapshot.now) == self.model.left(job.due)
        assert (record.get("token", ""), shown.attempts) == (job.token, job.attempts)
        assert (shown.state, shown.message_id) == (self.model.visible(job), job.message_id)
        assert ("m0" in record) == (job.state is not State.SENT)
        assert len(self.snapshot.lists.get(keys.wake(job.id), [])) == job.woken
        assert self._ask_in(record) == job.ask
        was, job.stored = job.stored, job.state
        assert was in (None, job.state) or job.state in TRANSITIONS[was], f"{was} became {job.state}"
        was, job.shown = job.shown, shown.state
        assert was not in FINAL or shown.state in (was, State.SENT), f"the end {was} became {shown.state}"

    def _ask_in(self, record: dict[str, str]) -> Ask | None:
        """Reads a record's unsettled calls into the model's form."""
        ask = ask_of(record)
        if not ask:
            return None

        def moment(name: str) -> int | None:
            at = ask.get(name)
            return None if at is None else self.model.now + math.ceil((at - self.snapshot.now) / UNIT)

        return Ask(
            moment("first") or 0,
            moment("last") or 0,
            State(ask.get("becomes", State.QUEUED)),
            moment("from"),
            ask.get("token", ""),
            bool(ask.get("counts")),
            moment("absent"),
            bool(ask.get("empty")),
            State(ask["said"]) if "said" in ask else None,
        )

    def _check_promise(self, job: Entry) -> None:
        """What a job has come to is true: sent with its own message, or certainly not with the gateway."""
        if job.state is State.SENT:
            assert job.message_id in [message.id for message in self.gateway.messages[job.id]]
        if job.state in (State.FAILED, State.EXPIRED, State.CANCELLED):
            assert not self.gateway.has(job.id), f"the gateway has a job that ended as {job.state}"


def message_of(job_id: str) -> str:
    """Returns a job's message: longer than a field of the record."""
    return f"the message of {job_id}, Қазақша " * 3


def units(milliseconds: int | None) -> int | None:
    """Returns a time in units; what has passed since the beginning of the unit doesn't count."""
    return None if milliseconds is None else math.ceil(milliseconds / UNIT)
