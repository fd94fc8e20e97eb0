"""OpenTelemetry: one trace from a web request through Redis to the gateway's calls, over real processes and OTLP."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from config.settings import WorkerSettings
from smsq import Sms, SmsQueue, State, keys, tracing
from smsq.bulk import CHUNK
from smsq.gateway.answers import Kind, Outcome
from smsq.ledger import Begun, Settlement
from smsq.scripts import Known, boot_time
from smsq.testing import outbox
from tasks.hold import Hold
from tasks.tracing import Work, processing
from tests.sending.conftest import StartWorker, standing
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import KEY, ROOT, environment
from tests.watching.collector import Collector, Span

__all__ = ["standing"]

TEXT = "Secret code: 4711"


class Web:
    """A web application (`tests.watching.web`)."""

    def __init__(self, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.watching.web"],
            cwd=ROOT,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def post(self, *recipients: str, sampled: bool = True) -> list[str]:
        """Has it handle a request that sends to numbers, and returns the jobs' ids."""
        assert self.process.stdin
        assert self.process.stdout
        request = {"recipients": recipients, "text": TEXT, "sampled": sampled}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        ids: list[str] = json.loads(self.process.stdout.readline())
        return ids


class Traced(NamedTuple):
    """A web application and a worker that send their spans to a collector."""

    web: Web
    collector: Collector

    def spans(self, job_id: str, *names: str) -> list[Span]:
        """Waits for a job's spans of these names, and returns its trace's, the earliest first."""

        def arrived() -> bool:
            found = [each.name for each in self.collector.of(job_id)]
            return all(found.count(name) >= names.count(name) for name in names)

        wait_until(arrived, what=f"{names} of {job_id}")
        return self.collector.of(job_id)


@pytest.fixture(scope="module")
def traced(standing: StartWorker, shared_server: Server, shared_sandbox: Sandbox) -> Iterator[Traced]:
    """Both of them; in the end the collector must have got nothing personal from any test."""
    collector = Collector()
    variables: dict[str, Any] = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    standing(SMSQ_DISPATCH_INTERVAL="0.05", **variables)
    web = Web(environment(shared_server.url, "http://127.0.0.1:9", **variables))
    yield Traced(web, collector)
    web.process.kill()
    web.process.communicate()
    collector.close()
    assert collector.bodies
    numbers = (ordinary(1)[:-1], *map(shared_sandbox.recipient, ("code-99-twice", "code-1", "500-accepted")))
    for word in (*numbers, "Secret", ": 4711", KEY):
        assert not [body for body in collector.bodies if word.encode() in body], word


def shape(spans: list[Span]) -> list[tuple[str, str, str, str]]:
    """Returns each span's service, kind and name, and its parent's name."""
    names = {each.span_id: each.name for each in spans}
    return [(each.service, each.kind, each.name, names.get(each.parent_id, "")) for each in spans]


def test_a_code_is_one_trace_from_the_request_to_the_gateway(traced: Traced, sandbox: Sandbox, queue: SmsQueue) -> None:
    """The handler's span, the hand-over to Redis, the worker's work and its call, each the parent of the next."""
    [job_id] = traced.web.post(ordinary(1))
    spans = traced.spans(job_id, "POST sendSmsMessage", "process sms.urgent", "POST /code")
    assert shape(spans) == [
        ("web", "SERVER", "POST /code", ""),
        ("web", "PRODUCER", "send sms.urgent", "POST /code"),
        ("smsq-worker", "CONSUMER", "process sms.urgent", "send sms.urgent"),
        ("smsq-worker", "CLIENT", "POST sendSmsMessage", "process sms.urgent"),
    ]
    _, send, process, call = spans
    job = end_of(queue, job_id)
    about = {"messaging.system": "smsq", "messaging.destination.name": "sms.urgent", "messaging.message.id": job_id}
    assert about.items() <= send.attributes.items() & process.attributes.items()
    assert process.attributes["smsq.state"] == "sent"
    assert process.attributes["smsq.message_id"] == job.message_id
    assert call.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": sandbox.port,
        "smsq.attempt": 1,
        "smsq.gateway.code": 0,
        "smsq.outcome": "accepted",
    }
    assert process.start <= call.start <= call.end <= process.end
    assert {(each.failed, each.events) for each in spans} == {(None, 0)}


def test_each_try_is_a_call_of_its_own(traced: Traced, sandbox: Sandbox) -> None:
    """What the gateway certainly didn't take is called for again, and the trace shows each call with its number."""
    [job_id] = traced.web.post(sandbox.recipient("code-99-twice"))
    spans = traced.spans(job_id, *["POST sendSmsMessage"] * 3, "process sms.urgent")
    calls = [each for each in spans if each.kind == "CLIENT"]
    assert [(each.attributes["smsq.attempt"], each.attributes["smsq.outcome"], each.failed) for each in calls] == [
        (1, "try_again", "nothing was processed"),
        (2, "try_again", "nothing was processed"),
        (3, "accepted", None),
    ]
    assert calls[0].attributes["error.type"] == "code 99"


def test_a_refusal_is_an_error_of_the_work_too(traced: Traced, sandbox: Sandbox) -> None:
    """With the gateway's code, and the table's words for it; none of the gateway's own."""
    [job_id] = traced.web.post(sandbox.recipient("code-1"))
    work = next(each for each in traced.spans(job_id, "process sms.urgent") if each.kind == "CONSUMER")
    assert work.attributes["smsq.state"] == "failed"
    assert (work.attributes["error.type"], work.failed) == ("code 1", "a field isn't valid")


def test_what_asking_came_to_is_in_the_trace(traced: Traced, sandbox: Sandbox) -> None:
    """A call whose answer was lost, then the question, and what it found."""
    [job_id] = traced.web.post(sandbox.recipient("500-accepted"))
    spans = traced.spans(job_id, "process sms.urgent", "ask sms.urgent")
    work, call, *questions = [each for each in spans if each.service == "smsq-worker"]
    assert (work.attributes["smsq.state"], call.attributes["smsq.outcome"]) == ("asking", "unknown")
    assert call.failed is not None
    last = questions[-1]
    assert (last.name, last.attributes["smsq.answer"], last.attributes["smsq.state"]) == (
        "ask sms.urgent",
        "found",
        "sent",
    )
    assert shape(spans)[-1][-1] == "send sms.urgent"


def test_a_campaign_is_part_of_its_requests_trace_and_its_jobs_are_linked_to_it(
    traced: Traced, sandbox: Sandbox
) -> None:
    """Each hand-over is a span, in whatever thread it was made; each job a trace of its own."""
    ids = traced.web.post(*(ordinary(1000 + number) for number in range(CHUNK + 1)))
    first, last = (traced.spans(job_id, "process sms.bulk") for job_id in (ids[0], ids[-1]))
    assert shape(first) == shape(last)
    assert {name for _, _, name, _ in shape(first)} == {"process sms.bulk", "POST sendSmsMessage"}
    assert first[0].links == last[0].links != []
    assert first[0].trace_id != last[0].trace_id
    [trace] = first[0].links
    request = [each for each in traced.collector.spans() if each.trace_id == trace]
    assert shape(request) == [
        ("web", "SERVER", "POST /code", ""),
        ("web", "PRODUCER", "send sms.bulk", "POST /code"),
        ("web", "PRODUCER", "send sms.bulk", "POST /code"),
    ]
    assert [each.attributes["messaging.batch.message_count"] for each in request[1:]] == [CHUNK, 1]


def test_what_is_not_sampled_leaves_nothing(traced: Traced, sandbox: Sandbox, queue: SmsQueue, server: Server) -> None:
    """Neither in the record, nor at the collector."""
    [job_id] = traced.web.post(ordinary(5), sampled=False)
    assert end_of(queue, job_id).state is State.SENT
    with server.client() as client:
        assert not client.hexists(keys.job(job_id), "trace")
    [later] = traced.web.post(ordinary(6))
    traced.spans(later, "process sms.urgent")
    assert not traced.collector.of(job_id)


class _Broken:
    """A tracer that can do nothing."""

    def start_span(self, name: str, **_: object) -> None:
        """Fails, with words that nobody must read."""
        raise RuntimeError(f"{name} {ordinary(1)}")


def test_a_tracer_that_fails_harms_nobody(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The message is accepted, the call made; the log says once what kind of failure it was."""
    monkeypatch.setattr(tracing, "tracer", _Broken)
    monkeypatch.setattr("tasks.tracing.tracer", _Broken)
    monkeypatch.setattr(tracing, "on", lambda: True)
    with outbox():
        assert SmsQueue("redis://127.0.0.1:1/0").enqueue(Sms(recipient=ordinary(1), text=TEXT)).id
    begun = Begun("begun", attempts=1, trace=f"00-{1:032x}-{1:016x}-01")
    hold = Hold.measure("job", "token", begun, epoch=1, asked_at=boot_time(), call_timeout=30, known=Known())
    accepted = Outcome(kind=Kind.ACCEPTED, reason="accepted")

    async def send() -> Outcome:
        return accepted

    with processing(hold, WorkerSettings.model_fields["api_url"].default) as work:
        assert isinstance(work, Work)
        assert asyncio.run(work.call(send())) is accepted
        work.settled(Settlement("job", "token", State.SENT))
    assert "tracing failed: RuntimeError" in caplog.text
    assert ordinary(1) not in caplog.text


def test_nothing_is_imported_for_who_does_not_trace() -> None:
    """Who enqueues without OpenTelemetry doesn't pay for it, and needs none of it installed."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from smsq import Sms, SmsQueue\n"
        "from smsq.testing import outbox\n"
        "import tasks.send\n"
        "with outbox():\n"
        f"    assert SmsQueue().enqueue(Sms(recipient='{ordinary(1)}', text='x')).id\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.', 'sentry_sdk'))]\n"
    )
    env = environment("redis://127.0.0.1:1/0", "http://127.0.0.1:9")
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, timeout=60, check=True)


def test_an_api_without_a_provider_is_no_tracing() -> None:
    """redis-py imports the API wherever it is installed: nobody who sets no provider up pays for spans."""
    code = (
        "import opentelemetry.trace as api; from smsq import tracing; print(tracing.on());"
        "from opentelemetry.sdk.trace import TracerProvider; api.set_tracer_provider(TracerProvider());"
        "print(tracing.on())"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert shown.stdout.split() == ["False", "True"]
