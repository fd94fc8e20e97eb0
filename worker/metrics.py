"""What `/metrics` shows: the ledger, looked at once a scrape, and what this worker has counted itself.

What jobs came to is counted in the main process, which hears it from each of Celery's pools; calls and waits are
counted where the calls are made, which prefork's main process doesn't see. On prefork and threads a slot is in use
from a job's start to its end, on our pool while its call is out.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.overview import Overview
from smsq.queue import DEADLINE
from tasks import identity
from tasks.tally import Histogram, Tally

#: What the worker says of itself, and what each number is.
_OWN: Final = {
    "slots": "Calls that this worker may have out at once",
    "in_use": "Slots in use",
    "reserved": "Jobs that were taken and haven't ended",
}


class Watched(Collector):
    """The metrics of one worker.

    Args:
        runner: How the ledger is reached.
        state: What the worker says of itself (`worker.app`).
        tally: What it has counted.
    """

    def __init__(self, runner: SyncRunner, state: Callable[[], Mapping[str, Any]], tally: Tally) -> None:
        self._runner = runner
        self._state = state
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yields every metric; those of the ledger are missing while Redis is away."""
        yield from _counted(self._tally)
        state = self._state()
        for name, what in _OWN.items():
            yield GaugeMetricFamily(f"smsq_worker_{name}", what, state[name])
        yield GaugeMetricFamily(
            "smsq_worker_stalled_seconds", "For how long it took or ended nothing though it should", state["stalled"]
        )
        try:
            overview = Overview.read(self._runner.run(ledger.overview(), DEADLINE))
        except QueueUnavailable:
            yield GaugeMetricFamily("smsq_redis_up", "Whether this worker reached Redis for this scrape", 0)
            return
        yield GaugeMetricFamily("smsq_redis_up", "Whether this worker reached Redis for this scrape", 1)
        yield from _lanes(overview)
        yield from _ledger(overview)


def _counted(tally: Tally) -> Iterator[Metric]:
    jobs = CounterMetricFamily("smsq_jobs", "What this worker's work on jobs came to", labels=["outcome"])
    for outcome, number in tally.outcomes.items():
        jobs.add_metric([outcome], number)
    yield jobs
    yield HistogramMetricFamily(
        "smsq_job_duration_seconds",
        "From a job's start in the pool until it is sent and in the ledger",
        buckets=_buckets(tally.sent_in),
        sum_value=tally.sent_in.seconds,
    )
    yield _histograms(
        "smsq_call_duration_seconds", "Calls to the gateway, by what is known after", "outcome", tally.calls
    )
    yield CounterMetricFamily("smsq_calls_repeated", "Calls that were made again in place", tally.repeated)
    waited = "From when a job might be sent until a worker took it up; once more for one that was handed back"
    yield _histograms("smsq_job_wait_seconds", waited, "lane", tally.waits)
    whole = "From when a job might be sent until it was sent and in the ledger"
    yield _histograms("smsq_job_end_to_end_seconds", whole, "lane", tally.end_to_end)
    answers = CounterMetricFamily(
        "smsq_answers", "What the gateway said when it was asked about a job", labels=["answer"]
    )
    for answer, number in tally.answers.items():
        answers.add_metric([answer], number)
    yield answers
    followed = CounterMetricFamily("smsq_followed", "What became of messages after they were sent", labels=["outcome"])
    for outcome, number in tally.followed.items():
        followed.add_metric([outcome], number)
    yield followed


def _histograms(name: str, what: str, label: str, by_label: Mapping[Any, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, what, labels=[label])
    for value, histogram in by_label.items():
        family.add_metric([str(value)], buckets=_buckets(histogram), sum_value=histogram.seconds)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = (*map(str, histogram.bounds), "+Inf")
    return list(zip(bounds, accumulate(list(histogram.buckets)), strict=True))


def _lanes(overview: Overview) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("smsq_lane_jobs", "Jobs that wait on a lane", labels=["lane"])
    oldest = GaugeMetricFamily(
        "smsq_lane_oldest_seconds",
        "Since the oldest that waits on a lane was accepted, or its moment came; 0 if none",
        labels=["lane"],
    )
    paused = GaugeMetricFamily("smsq_lane_paused", "Whether operators hold a lane back", labels=["lane"])
    for lane, found in overview.lanes.items():
        waiting.add_metric([lane], found.jobs)
        oldest.add_metric([lane], 0 if found.oldest is None else max(0, overview.now - found.oldest) / 1000)
        paused.add_metric([lane], overview.pause_of(lane) is not None)
    yield from (waiting, oldest, paused)


def _ledger(overview: Overview) -> Iterator[Metric]:
    refused = any(each.gate for each in overview.live if each.name == identity.name())
    for name, what, value in (
        ("smsq_due_jobs", "Jobs in the schedule: deferred, retrying, in work, or asked about", overview.scheduled),
        ("smsq_overdue_jobs", "Jobs whose moment came and that no worker has looked at", overview.overdue),
        (
            "smsq_asking_jobs",
            "Jobs that the gateway is asked about, of the first due",
            overview.states.get("asking", 0),
        ),
        ("smsq_failed_jobs", "Failed jobs that are kept", overview.ended["failed"]),
        ("smsq_unknown_jobs", "Jobs whose outcome a person must find out", overview.ended["unknown"]),
        ("smsq_parked_records", "Records and messages that were put aside", overview.parked),
        ("smsq_paused", "Whether nothing is sent but probes, whatever the reason", overview.paused is not None),
        ("smsq_gateway_failing", "Whether calls are held back because the gateway fails", overview.circuit is not None),
        ("smsq_worker_account_refused", "Whether the gateway refuses this worker's account", refused),
        ("smsq_workers_live", "Workers that were heard of lately", len(overview.live)),
    ):
        yield GaugeMetricFamily(name, what, value)
