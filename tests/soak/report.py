"""The soak's table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak.books import Defect, Excuse, Findings

_SHOWN = 20


@dataclass(slots=True)
class Report:
    """A run and what came of it.

    Attributes:
        seed: The run's seed.
        durability: `SMSQ_DURABILITY`.
        mutant: The mechanism that was taken out, or "".
        faults: How often each kind was brought on.
        findings: The comparison of the books.
        minutes: How long it took.
        messages: How many messages the gateway accepted.
        died: Workers that ended without anyone's doing.
        notes: What else is to be said, such as a disturbance that the harness itself failed to heal in time.
    """

    seed: int
    durability: str
    mutant: str
    faults: Counter[str]
    findings: Findings
    minutes: float
    messages: int
    died: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept, and the run proves it."""
        return self.findings.clean and not self.notes

    def as_text(self) -> str:
        """Returns the table, and the first of each kind of defect."""
        found = self.findings
        rows: list[tuple[str, object]] = [
            ("jobs promised", found.promised),
            ("offered, not confirmed", f"{found.unconfirmed} ({found.unconfirmed_sent} of them sent)"),
            ("durability", self.durability),
            ("seed", f"{self.seed} (fixes messages and faults, not what the faults meet)"),
            *([("mechanism taken out", self.mutant)] if self.mutant else []),
            ("minutes", f"{self.minutes:.1f}"),
            ("faults", self.faults.total()),
            *((f"  {kind}", count) for kind, count in sorted(self.faults.items())),
            ("messages at the gateway", self.messages),
            *((state, found.states[state]) for state in ("sent", "failed", "expired", "cancelled", "unknown")),
            *((f"{excuse} ({self.durability})", found.excused[excuse]) for excuse in Excuse),
            ("workers that ended by themselves", self.died),
            ("longest delay", f"{found.longest_delay:.0f} s"),
            *((str(kind), len(found.defects[kind])) for kind in Defect),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:{width}}  {value}" for name, value in rows]
        return "\n".join([*lines, *self.notes, *_first_defects(found)])


def _first_defects(found: Findings) -> Iterable[str]:
    for kind, defects in found.defects.items():
        yield from (f"{kind}: {each}" for each in defects[:_SHOWN])
        if len(defects) > _SHOWN:
            yield f"{kind}: and {len(defects) - _SHOWN} more"
