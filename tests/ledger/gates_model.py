"""The oracle's part about what holds jobs back on their lanes."""

from collections import defaultdict
from dataclasses import dataclass, field

from smsq.ledger import Settlement
from tests.ledger.entries import CIRCUIT_AFTER, LEASE, UNIT, Entry

CIRCUIT = "circuit"


@dataclass
class Gate:
    """A gate: failures in a row, and while it is closed when its next probe may go, and whose permit is out."""

    failures: int = 0
    closed: bool = False
    probe_at: int = 0
    permit: str = ""
    gone_at: int | None = None

    #: Units after which a gate that nobody closes again is forgotten: a day, in whole ones.
    FORGOTTEN = 87

    def close(self, now: int, *, probed: bool) -> None:
        """Closes it, or leaves it closed for longer after its probe failed."""
        if self.closed and not probed:
            return
        self.closed, self.probe_at, self.permit, self.gone_at = True, now + 1, "", now + self.FORGOTTEN


@dataclass
class Gates:
    """The gates, the pace and operators' pauses.

    Attributes:
        now: Units since the example began.
        hold: Until when nobody calls.
        gates: By worker, and the circuit.
        paused: What operators hold back: lanes, or ``all``.
    """

    now: int = 0
    hold: int = 0
    gates: dict[str, Gate] = field(default_factory=lambda: defaultdict(Gate))
    paused: set[str] = field(default_factory=set)

    def room(self, worker: str, count: int) -> tuple[int, int | None]:
        """Returns how many ids `take` may give, and in how many units to come back if something holds jobs back."""
        closed = [gate for gate in (self.gates[CIRCUIT], self.gates[worker]) if gate.closed]
        back = max([gate.probe_at - self.now for gate in closed], default=0)
        if closed:
            count = 0 if back > 0 else min(count, 1)
        if count and self.hold > self.now:
            count, back = 0, max(back, self.hold - self.now)
        return count, back if back > 0 else None

    def permit(self, worker: str, job_id: str) -> None:
        """Gives what was taken while a gate is closed the permit to pass it."""
        for gate in (self.gates[CIRCUIT], self.gates[worker]):
            if gate.closed:
                gate.permit, gate.probe_at = job_id, self.now + LEASE

    def give_back(self, job_id: str, worker: str) -> None:
        """Gives a permit back that nobody has used: the next may pass at once."""
        for gate in (self.gates[CIRCUIT], self.gates[worker]):
            if gate.closed and gate.permit == job_id:
                gate.permit, gate.probe_at = "", self.now

    def held_back(self, job: Entry, worker: str) -> bool:
        """Returns whether a taken job goes back to its lane."""
        gates = (self.gates[CIRCUIT], self.gates[worker])
        return bool(self.paused & {"all", job.lane}) or any(gate.closed and gate.permit != job.id for gate in gates)

    def hear(self, settlement: Settlement, worker: str) -> None:
        """Takes in what a settled call said of the gateway."""
        if not settlement.heard:
            return
        circuit, account = self.gates[CIRCUIT], self.gates[worker]
        if settlement.heard.what == "failing":
            circuit.failures += 1
            if circuit.failures >= CIRCUIT_AFTER:
                circuit.close(self.now, probed=circuit.permit == settlement.job_id)
            return
        del self.gates[CIRCUIT]
        if settlement.heard.what == "account":
            account.close(self.now, probed=account.permit == settlement.job_id)
        elif settlement.heard.what == "slow":
            if self.hold <= self.now:
                self.hold = self.now + settlement.heard.wait // UNIT
        elif account.closed:
            del self.gates[worker]

    def forget_gates(self) -> None:
        """Forgets gates that nobody has closed again for a day."""
        for name, gate in list(self.gates.items()):
            if gate.gone_at is not None and gate.gone_at <= self.now:
                del self.gates[name]
