"""A collector of traces: OTLP over HTTP, on loopback."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """A span as it arrived."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    links: list[str]
    attributes: dict[str, Any]
    failed: str | None
    """What its status says of a failure, '' if nothing; None if it didn't fail."""
    events: int


class Collector:
    """Takes in spans.

    Attributes:
        bodies: All that was sent to it, as it came.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` takes."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans(self) -> list[Span]:
        """Returns the spans that have arrived, the earliest first."""
        return sorted(self._read(), key=lambda span: span.start)

    def of(self, job_id: str) -> list[Span]:
        """Returns those of a job's trace or traces: its own spans, and their traces' others."""
        spans = self.spans()
        traces = {each.trace_id for each in spans if each.attributes.get("messaging.message.id") == job_id}
        return [each for each in spans if each.trace_id in traces]

    def _read(self) -> Iterator[Span]:
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                [service] = [
                    each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
                ]
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        yield Span(
                            service,
                            span.name,
                            span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            [link.trace_id.hex() for link in span.links],
                            {a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                            span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                            len(span.events),
                        )

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
