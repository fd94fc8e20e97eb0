"""A web application that uses OpenTelemetry: its handler, within a span, enqueues what a line of its input says.

Each line is JSON: ``recipients``, ``text``, and whether the trace is ``sampled``. It is answered by the jobs' ids.
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from smsq import Sms, SmsQueue


def _unsampled() -> trace.Span:
    """What the request came from: a caller that samples nothing of its trace."""
    return trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=True, trace_flags=trace.TraceFlags(0)))


def main() -> None:
    """Handles lines until there are no more."""
    provider = TracerProvider(resource=Resource.create({"service.name": "web"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    queue = SmsQueue.from_env()
    for line in sys.stdin:
        request = json.loads(line)
        messages = [Sms(recipient=number, text=request["text"]) for number in request["recipients"]]
        context = None if request["sampled"] else trace.set_span_in_context(_unsampled())
        with trace.get_tracer("web").start_as_current_span("POST /code", context, trace.SpanKind.SERVER):
            if len(messages) == 1:
                jobs = [queue.enqueue(messages[0], lane="urgent")]
            else:
                jobs = list(queue.enqueue_many(messages, lane="bulk"))
        print(json.dumps([job.id for job in jobs]), flush=True)


if __name__ == "__main__":
    main()
