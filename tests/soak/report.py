"""A soak's table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.soak.books import Defect, Excused, Verdict
from tests.soak.plant import Plan

_SHOWN = 20
_STATES = ("sent", "failed", "expired", "cancelled", "unknown")


@dataclass(frozen=True, slots=True)
class Report:
    """What a soak came to.

    Attributes:
        plan: What it was to be.
        faults: How often each kind was brought on.
        verdict: The comparison of the books.
        messages: How many messages the gateway accepted.
        seconds: How long it took, from the first message until all was at rest.
        longest_delay: Seconds from the offer, or the moment it was scheduled for, to the gateway's acceptance.
        parked: Jobs that the ledger put aside.
        repaired: Jobs that were in neither a lane nor `due` until the sweep found them.
        complaints: Processes that didn't do as they should.
    """

    plan: Plan
    faults: Counter[str]
    verdict: Verdict
    messages: int
    seconds: float
    longest_delay: float
    parked: int
    repaired: int
    complaints: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether everything that was promised holds."""
        return self.verdict.clean and not (self.parked or self.repaired or self.complaints)

    def as_text(self) -> str:
        """Returns the table, and a line for each thing that is wrong."""
        plan, verdict = self.plan, self.verdict
        outcomes = verdict.outcomes
        rows: list[tuple[str, object]] = [
            ("seed", f"{plan.seed} (fixes messages and faults, not what the faults meet)"),
            ("durability", plan.durability),
            *([("run without", plan.mutant)] if plan.mutant else []),
            ("workers", ", ".join(" ".join(pool) for pool in plan.pools)),
            ("minutes", f"{self.seconds / 60:.1f}"),
            ("faults", self.faults.total()),
            *((f"  {kind}", count) for kind, count in sorted(self.faults.items())),
            ("messages offered", outcomes.total() + verdict.unanswered),
            ("jobs promised", outcomes.total()),
            *((f"  {state}", outcomes[state]) for state in _STATES),
            ("messages at the gateway", self.messages),
            ("longest delay", f"{self.longest_delay:.0f} s"),
            *((kind, verdict.count(kind)) for kind in Excused),
            *((kind, verdict.count(kind)) for kind in Defect),
            ("parked", self.parked),
            ("repaired by the sweep", self.repaired),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join([*(f"{name:{width}}  {value}" for name, value in rows), *self._details()])

    def _details(self) -> Iterable[str]:
        yield from self.complaints
        for kind in Defect:
            found = [finding for finding in self.verdict.findings if finding.kind is kind]
            yield from (f"{kind}: message {each.number}: {each.what}" for each in found[:_SHOWN])
            if len(found) > _SHOWN:
                yield f"{kind}: and {len(found) - _SHOWN} more"
