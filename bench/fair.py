"""How long an urgent message takes to the gateway while a campaign waits."""

from dataclasses import dataclass
from typing import Final

from bench.contenders import SMSQ
from bench.drain import FIRST, Figures, produce
from bench.environments import python_of
from bench.processes import MeasurementError, Stage
from bench.singles import delays

#: The numbers of the campaign begin with this.
_BULK_PREFIX = "7702"
_BULK_FIRST = 77020000000
_LATENCY = 50.0


@dataclass(frozen=True, slots=True)
class Case:
    """A situation.

    Attributes:
        label: What it is called in tables.
        lane: Where the single messages go.
        rate_limit: `SMSQ_RATE_LIMIT`, or none.
        hang: Whether the gateway never answers the campaign's calls.
        pause: Seconds between two single messages, on average.
    """

    label: str
    lane: str
    rate_limit: str = ""
    hang: bool = False
    pause: float = 0.1


CASES: Final = {
    "urgent-limited": Case("urgent, all calls limited to 20/s", "urgent", rate_limit="20/s", pause=0.3),
    "urgent-hanging": Case("urgent, the gateway hangs on every bulk call", "urgent", hang=True),
    "urgent-busy": Case("urgent, every slot busy with bulk", "urgent"),
    "normal-limited": Case("normal, all calls limited to 20/s", "normal", rate_limit="20/s", pause=0.3),
    "normal-hanging": Case("normal, the gateway hangs on every bulk call", "normal", hang=True),
    "normal-busy": Case("normal, every slot busy with bulk", "normal"),
}


def fair(case: Case, *, waiting: int, count: int, appendonly: bool) -> Figures:
    """Sends single messages past a campaign, to one worker; also tells how many of the campaign went out meanwhile.

    Args:
        case: The situation.
        waiting: How many messages the campaign has.
        count: How many single ones are sent.
        appendonly: Whether Redis keeps an append-only file.
    """
    with Stage(latency=_LATENCY, hang=_BULK_PREFIX if case.hang else "", appendonly=appendonly) as stage:
        produce(stage, SMSQ, "many", waiting, _BULK_FIRST, lane="bulk", batch="campaign")
        settings = {"SMSQ_RATE_LIMIT": case.rate_limit} if case.rate_limit else {}
        worker = SMSQ.start(stage, python_of(SMSQ), **settings)
        if not stage.wait(lambda: stage.gateway.stats()["calls"] >= 20, worker):
            raise MeasurementError(f"the worker takes nothing of the campaign: {worker.tail()}")
        before = stage.gateway.stats()["calls"]
        begun = produce(stage, SMSQ, "spaced", count, FIRST, lane=case.lane, pause=str(case.pause))["begun"]
        bulk = stage.gateway.stats()["calls"] - before - count
        worker.check()
        figures = delays(begun, stage) | {"bulk_meanwhile": max(bulk, 0.0)}
        if case.hang:
            worker.kill()  # it would wait for answers that never come
        return figures
