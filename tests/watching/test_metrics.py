"""`/metrics`, `/healthz` and `/readyz` of real workers."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from smsq import Sms, SmsQueue, State, keys
from smsq.operate import Operator
from smsq.probe import read_health
from smsq.settings import Settings
from tests.sending.conftest import StartWorker, standing
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.worker import KEY, ROOT, Worker, environment

__all__ = ["standing"]

RECIPIENT, NO_ROUTE, LOST_ANSWER, TEXT = "77010000001", "77000006010", "77000003500", "Secret code: 4711"
#: Answered by "too many calls" twice, then accepted.
BUSY_TWICE = "77000005030"

MONITORING = ROOT / "deploy" / "monitoring"
JOBS, FOLLOWED = "smsq_jobs_total", "smsq_followed_total"

Scrape = dict[tuple[str, str], float]


class Watched(NamedTuple):
    """A worker and where its pages are."""

    worker: Worker
    port: int
    own_pool: bool = True

    def get(self, page: str) -> tuple[int, str]:
        """Returns a page's status and body; 0 if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def scrape(self) -> Scrape:
        """Returns the value of each sample, by its name and its label's value."""
        status, text = self.get("/metrics")
        assert status == 200
        families = text_string_to_metric_families(text)
        return {(s.name, "".join(s.labels.values())): s.value for family in families for s in family.samples}


def outcomes(after: Scrape, before: Scrape) -> dict[str, int]:
    """Returns what jobs came to between two scrapes."""
    counts = {label: int(value - before[name, label]) for (name, label), value in after.items() if name == JOBS}
    return {outcome: number for outcome, number in counts.items() if number}


@pytest.fixture(scope="module", params=[(), ("-P", "prefork", "-c", "2")], ids=["our pool", "prefork"])
def watched(request: pytest.FixtureRequest, standing: StartWorker) -> Iterator[Watched]:
    """A worker of each kind of pool, with its pages."""
    port = free_port()
    worker = standing(*request.param, SMSQ_METRICS_PORT=str(port), SMSQ_DELIVERY="on", SMSQ_DISPATCH_INTERVAL="0.2")
    yield Watched(worker, port, own_pool=not request.param)
    worker.kill()


def test_it_shows_what_waits_and_what_became_of_jobs(watched: Watched, shared_server: Server) -> None:
    """Outcomes by kind, durations, lanes with what waits on them and for how long, pauses; and nothing personal."""
    before = watched.scrape()
    queue, operator = SmsQueue(shared_server.url), Operator(Settings.load(redis_url=shared_server.url))
    sent, failed = (queue.enqueue(Sms(recipient=number, text=TEXT)) for number in (RECIPIENT, NO_ROUTE))
    assert all(queue.wait(job.id, timeout=30) for job in (sent, failed))
    operator.pause("bulk", "wrong price")
    waits = [queue.enqueue(Sms(recipient=RECIPIENT, text=TEXT), lane="bulk") for _ in range(3)]
    try:
        wait_until(
            lambda: {"sent", "failed"} <= outcomes(watched.scrape(), before).keys(), what="both outcomes are counted"
        )
        after = watched.scrape()
    finally:
        for job in waits:
            queue.cancel(job.id)
        operator.resume("bulk")
        queue.close()
    assert outcomes(after, before) == {"sent": 1, "failed": 1}
    assert after["smsq_job_duration_seconds_count", ""] == 1
    assert after["smsq_job_duration_seconds_sum", ""] > 0
    assert (after["smsq_lane_jobs", "bulk"], after["smsq_lane_jobs", "urgent"]) == (3, 0)
    assert after["smsq_lane_oldest_seconds", "bulk"] > 0
    assert (after["smsq_lane_paused", "bulk"], after["smsq_lane_paused", "urgent"]) == (1, 0)
    assert (after["smsq_failed_jobs", ""], after["smsq_redis_up", ""]) == (before["smsq_failed_jobs", ""] + 1, 1)
    assert after["smsq_worker_slots", ""] >= 2
    assert not [word for word in (RECIPIENT, NO_ROUTE, "Secret", KEY) if word in watched.get("/metrics")[1]]


def test_calls_waits_and_ways_are_timed(watched: Watched, shared_server: Server) -> None:
    """By outcome and by lane; what waited for its moment isn't late. Prefork's main process sees no calls."""
    before = watched.scrape()
    queue = SmsQueue(shared_server.url)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    jobs = [
        queue.enqueue(Sms(recipient=RECIPIENT, text=TEXT), lane="urgent", send_at=soon),
        queue.enqueue(Sms(recipient=NO_ROUTE, text=TEXT)),
        queue.enqueue(Sms(recipient=BUSY_TWICE, text=TEXT)),
    ]
    ended = [queue.wait(job.id, timeout=30) for job in jobs]
    queue.close()
    assert [job and job.state for job in ended] == [State.SENT, State.FAILED, State.SENT]
    all_three = {("sent", 2), ("failed", 1)}  # what an earlier test cancelled may be counted only now
    wait_until(lambda: all_three <= outcomes(watched.scrape(), before).items(), what="all are counted")
    after = watched.scrape()
    counts = {
        ("smsq_call_duration_seconds_count", "accepted"): 2,
        ("smsq_call_duration_seconds_count", "refused"): 1,
        ("smsq_call_duration_seconds_count", "try_again"): 2,
        ("smsq_calls_repeated_total", ""): 2,
        ("smsq_job_wait_seconds_count", "urgent"): 1,
        ("smsq_job_wait_seconds_count", "normal"): 2,
        ("smsq_job_end_to_end_seconds_count", "urgent"): 1,
        ("smsq_job_end_to_end_seconds_count", "normal"): 1,
    }
    grown = {name: after[name] - before[name] for name in counts}
    assert grown == (counts if watched.own_pool else dict.fromkeys(counts, 0))


def test_a_cancelled_batch_is_counted(watched: Watched, shared_server: Server) -> None:
    """No task runs for its jobs, and nobody is told of each; how many they were is known all the same."""
    before = watched.scrape()
    queue, operator = SmsQueue(shared_server.url), Operator(Settings.load(redis_url=shared_server.url))
    operator.pause("bulk", "wrong price")
    list(queue.enqueue_many([Sms(recipient=RECIPIENT, text=TEXT)] * 30, lane="bulk", batch_id="autumn"))
    assert queue.cancel(batch_id="autumn") == 30
    operator.resume("bulk")
    queue.close()
    wait_until(lambda: outcomes(watched.scrape(), before).get("cancelled", 0) >= 30, what="they are counted")


def test_what_asking_came_to_is_counted_too(watched: Watched, shared_server: Server) -> None:
    """A job whose answer was lost is counted as asked about, and when it is found as sent."""
    before = watched.scrape()
    queue = SmsQueue(shared_server.url)
    job = queue.wait(queue.enqueue(Sms(recipient=LOST_ANSWER, text=TEXT)).id, timeout=30)
    queue.close()
    assert job is not None
    assert job.state is State.SENT
    both = {("asking", 1), ("sent", 1)}  # what an earlier test cancelled may be counted only now
    wait_until(lambda: both <= outcomes(watched.scrape(), before).items(), what="both are counted")
    after = watched.scrape()
    assert after["smsq_answers_total", "found"] >= before["smsq_answers_total", "found"] + 1
    took = (job.done_at - job.accepted_at).total_seconds() if job.done_at else 0
    whole = "smsq_job_end_to_end_seconds"
    assert after[f"{whole}_count", "normal"] == before[f"{whole}_count", "normal"] + 1
    assert took <= after[f"{whole}_sum", "normal"] - before[f"{whole}_sum", "normal"] + 0.05


def test_what_became_of_sent_messages_is_counted(watched: Watched, shared_server: Server, sandbox: Sandbox) -> None:
    """A moderator's decisions, and the final word about a delivery; a word that isn't final isn't counted."""
    before = watched.scrape()
    queue = SmsQueue(shared_server.url)
    numbers = [RECIPIENT, *map(sandbox.recipient, ("declined", "moderated", "undelivered", "expired"))]
    jobs = [queue.enqueue(Sms(recipient=number, text=TEXT)).id for number in numbers]
    ended = [queue.wait(job, timeout=30) for job in jobs]
    queue.close()
    assert [job and job.state for job in ended] == [State.SENT] * len(jobs)
    sandbox.post("/sandbox/clock", advance=901)
    with shared_server.client() as client:
        client.zadd(keys.FOLLOW, dict.fromkeys(jobs, 0), xx=True)

    def grown() -> dict[str, int]:
        after = watched.scrape()
        counts = {label: int(value - before[name, label]) for (name, label), value in after.items() if name == FOLLOWED}
        return {outcome: number for outcome, number in counts.items() if number}

    wait_until(lambda: sum(grown().values()) >= 4, what="all that is final is counted")
    assert grown() == {"declined": 1, "passed": 1, "DELIVRD": 1, "UNDELIV": 1}


def expressions() -> list[str]:
    """Returns each PromQL expression of the alert rules and of the dashboard."""
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    dashboard = json.loads((MONITORING / "grafana/dashboards/smsq.json").read_text(encoding="utf-8"))
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
    ]


def test_rules_and_dashboard_ask_for_what_is_there(watched: Watched) -> None:
    """Each metric, with the labels it is chosen or grouped by, is in a worker's scrape; and each of ours is used."""
    families = list(text_string_to_metric_families(watched.get("/metrics")[1]))
    labels: dict[str, dict[str, set[str]]] = {}
    for sample in (sample for family in families for sample in family.samples):
        values = labels.setdefault(sample.name, {})
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    asked = set()
    for expression in expressions():
        grouped = set(",".join(re.findall(r"by \(([\w, ]+)\)", expression)).replace(" ", "").split(",")) - {""}
        for name, matchers in re.findall(r"\b((?:smsq|process)_\w+)(?:\{(.*?)\})?", expression):
            asked.add(name)
            assert name in labels, expression
            assert grouped <= labels[name].keys(), expression
            for label, values in re.findall(r'(\w+)=~?"(.*?)"', matchers):
                assert set(values.split("|")) <= labels[name][label], expression
    ours = {family.name for family in families if family.name.startswith("smsq_")}
    # What a worker has in hand says something only beside its slots, to who looks at that one.
    assert ours - {re.sub("_(total|bucket)$", "", name) for name in asked} == {"smsq_worker_reserved"}


def test_it_is_well_and_ready(watched: Watched) -> None:
    """Both pages answer 200 while the worker consumes; another page 404."""
    assert watched.get("/healthz") == (200, "ok\n")
    wait_until(lambda: watched.get("/readyz") == (200, "ok\n"), what="its first heartbeat is in the ledger")
    assert watched.get("/")[0] == 404


def test_who_is_leaving_is_watched_to_the_end(
    own_server: Callable[..., Server], sandbox: Sandbox, worker: Callable[..., Worker]
) -> None:
    """While its calls are out it says so, itself and to all who ask the ledger; and its counts are there to be read."""
    server, port = own_server(), free_port()
    settings = Settings.load(redis_url=server.url)
    operator, queue = Operator(settings), SmsQueue(settings=settings)
    each = Watched(worker(SMSQ_REDIS_URL=server.url, SMSQ_METRICS_PORT=str(port)), port)
    sandbox.post("/sandbox/latency", seconds=2)
    jobs = [queue.enqueue(Sms(recipient=RECIPIENT, text=f"{TEXT} {n}")).id for n in range(3)]
    wait_until(lambda: each.scrape()["smsq_worker_in_use", ""] == 3, what="the calls are out")
    each.worker.signal(signal.SIGTERM)

    def leaving() -> list[int]:
        return [found.in_use for found in operator.overview().workers if found.leaving]

    wait_until(lambda: leaving() == [3], what="it says that it leaves")
    assert (operator.overview().live, operator.overview().in_flight) == ([], 3)
    health = read_health(settings)
    assert [str(health.complaint(found)).partition(":")[0] for found in health.workers] == ["it is leaving"]
    assert (each.get("/healthz"), each.get("/readyz")) == ((200, "ok\n"), (503, "it stops\n"))
    assert each.scrape()["smsq_worker_in_use", ""] == 3
    assert {end_of(queue, job_id).state for job_id in jobs} == {State.SENT}
    assert each.worker.process.wait(20) == 0
    assert operator.overview().workers == ()
    operator.close()
    queue.close()


def test_a_taken_port_is_said_at_start(watched: Watched, shared_server: Server, shared_sandbox: Sandbox) -> None:
    """A second worker with the same port ends with exit code 2, and a line that names the setting; no traceback."""
    env = environment(shared_server.url, shared_sandbox.url, SMSQ_METRICS_PORT=str(watched.port))
    command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-n", "second@%h"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"SMSQ_METRICS_PORT: can't listen on 127.0.0.1:{watched.port}" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_without_redis_it_lives_but_is_not_ready(
    own_server: Callable[..., Server], sandbox: Sandbox, worker: Callable[..., Worker]
) -> None:
    """While Redis is away the worker's own numbers stay, and a restart of it would help nobody."""
    server, port = own_server(), free_port()
    each = Watched(worker(SMSQ_REDIS_URL=server.url, SMSQ_METRICS_PORT=str(port)), port)
    wait_until(lambda: each.get("/readyz")[0] == 200, what="it is ready")
    server.kill()
    assert each.get("/readyz") == (503, "Redis can't be reached\n")
    assert each.get("/healthz")[0] == 200
    assert each.scrape()["smsq_redis_up", ""] == 0
