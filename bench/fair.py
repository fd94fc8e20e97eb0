"""How long an urgent message takes to the gateway while a campaign waits."""

import math
import time
from dataclasses import dataclass
from typing import Final, Literal

from bench.contenders import SMSQ
from bench.drain import FIRST, Figures, produce
from bench.environments import python_of
from bench.processes import MeasurementError, Process, Stage
from bench.singles import delays
from smsq import Sms, SmsQueue
from smsq.lanes import Lane

#: The numbers of the campaign begin with this.
_BULK_PREFIX = "7702"
_BULK_FIRST = 77020000000
_LATENCY = 50.0
#: Seconds until the campaign expires: it has, before a worker starts.
_EXPIRES = 2.0
#: Seconds that its jobs may take to end.
_ENDING = 120.0
#: How many are in a small batch.
SMALL: Final = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A situation.

    Attributes:
        label: What it is called in tables.
        lane: Where the single messages go.
        rate_limit: `SMSQ_RATE_LIMIT`, or none.
        hang: Whether the gateway never answers the campaign's calls.
        pause: Seconds between two single messages, on average.
        share: How many of the single messages are enough.
        ends: How the campaign ends, uncalled, just when the single messages begin.
        campaign: The campaign's lanes.
        batch: Whether, in place of the single messages, a small batch comes at once.
    """

    label: str
    lane: str
    rate_limit: str = ""
    hang: bool = False
    pause: float = 0.05
    share: float = 0.5
    ends: Literal["", "cancelled", "expired"] = ""
    campaign: tuple[Lane, ...] = ("bulk",)
    batch: bool = False


CASES: Final = {
    "urgent-limited": Case("urgent, all calls limited to 20/s", "urgent", rate_limit="20/s", pause=0.12, share=1),
    # Long enough for the first calls to give up.
    "urgent-hanging": Case("urgent, the gateway hangs on every bulk call", "urgent", hang=True, pause=0.13, share=1),
    "urgent-busy": Case("urgent, every slot busy with bulk", "urgent", share=1),
    "urgent-cancelled": Case("urgent, the campaign was cancelled", "urgent", pause=0.03, share=1, ends="cancelled"),
    "urgent-expired": Case("urgent, the campaign has expired", "urgent", pause=0.03, share=1, ends="expired"),
    "normal-limited": Case("normal, all calls limited to 20/s", "normal", rate_limit="20/s", pause=0.12),
    "normal-hanging": Case("normal, the gateway hangs on every bulk call", "normal", hang=True),
    "normal-busy": Case("normal, every slot busy with bulk", "normal"),
    "bulk-busy": Case("bulk, but not of the campaign, every slot busy with it", "bulk"),
    "bulk-batch": Case(f"a bulk batch of {SMALL}, every slot busy with the campaign", "bulk", batch=True),
    "bulk-last": Case("bulk, every slot busy with urgent and normal", "bulk", campaign=("urgent", "normal")),
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
        queue = SmsQueue(f"{stage.broker.url}/0")
        options = {"expires": str(_EXPIRES)} if case.ends == "expired" else {}
        for number, lane in enumerate(case.campaign):
            each = waiting // len(case.campaign)
            first = _BULK_FIRST + number * each
            produce(stage, SMSQ, "many", each, first, lane=lane, batch=f"campaign-{lane}", **options)
        if case.ends == "expired":
            time.sleep(_EXPIRES)
        settings = {"SMSQ_RATE_LIMIT": case.rate_limit} if case.rate_limit else {}
        worker = SMSQ.start(stage, python_of(SMSQ), **settings)
        begins = (
            (lambda: stage.broker.client.llen("sms.bulk") < waiting)
            if case.ends == "expired"
            else (lambda: stage.gateway.stats()["calls"] >= 20)
        )
        if not stage.wait(begins, worker):
            raise MeasurementError(f"the worker takes nothing of the campaign: {worker.tail()}")
        if case.ends == "cancelled":
            queue.cancel(batch_id="campaign-bulk")
        before = stage.gateway.stats()["calls"]
        begun = _small_batch(queue) if case.batch else _spaced(stage, case, math.ceil(count * case.share))
        if case.batch and not stage.wait(lambda: begun.keys() <= stage.gateway.arrivals().keys(), worker):
            raise MeasurementError(f"the small batch never ends: {worker.tail()}")
        bulk = stage.gateway.stats()["calls"] - before - len(begun)
        worker.check()
        figures = delays(begun, stage) | {"bulk_meanwhile": max(bulk, 0.0)}
        if case.ends:
            figures["ended_s"] = _ended(stage, worker)
        if case.hang:
            worker.kill()  # it would wait for answers that never come
        return figures


def _spaced(stage: Stage, case: Case, count: int) -> dict[str, float]:
    begun: dict[str, float] = produce(stage, SMSQ, "spaced", count, FIRST, lane=case.lane, pause=str(case.pause))[
        "begun"
    ]
    return begun


def _small_batch(queue: SmsQueue) -> dict[str, float]:
    """Enqueues it, and returns when that began, for each number."""
    numbers, begun = [str(FIRST + number) for number in range(SMALL)], time.monotonic()
    messages = (Sms(recipient=number, text="Hello") for number in numbers)
    for _ in queue.enqueue_many(messages, lane="bulk", batch_id="small"):
        pass
    return dict.fromkeys(numbers, begun)


def _ended(stage: Stage, worker: Process) -> float:
    """Waits until each job of the campaign has ended in the ledger, and returns after how many seconds none was left.

    Raises:
        MeasurementError: Some never do.
    """
    client, started = stage.broker.client, time.monotonic()
    if not stage.wait(lambda: client.llen("sms.bulk") == 0, worker, timeout=_ENDING):
        raise MeasurementError(f"{client.llen('sms.bulk')} jobs of an ended campaign still wait")
    return time.monotonic() - started
