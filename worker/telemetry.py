"""OpenTelemetry's SDK in a worker, set up from its own variables: `OTEL_EXPORTER_OTLP_ENDPOINT` switches it on.

Started by `opentelemetry-instrument`, or by any other program that sets up a provider, the worker uses what is there.
Spans leave by a thread of the SDK's, from a queue that is bounded: a collector that is slow or away holds nothing up.
"""

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery import signals
from structlog.typing import FilteringBoundLogger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log: FilteringBoundLogger = structlog.get_logger()

_SWITCHES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"
_SERVICE: Final = "smsq-worker"
#: Seconds that a process that ends gives the spans that haven't left.
_FLUSH: Final = 2.0

_provider: "TracerProvider | None" = None


def start(**_: Any) -> None:  # noqa: ANN401 - a Celery signal's arguments
    """Sets the SDK up, if the environment asks for it and nobody has done it yet."""
    if not any(map(os.environ.get, _SWITCHES)) or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), _PROTOCOL)
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("tracing.off", reason="OTEL_EXPORTER_OTLP_ENDPOINT is set: pip install 'smsq[otel]'")
        return
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    if protocol != _PROTOCOL:
        log.warning("tracing.off", reason=f"OTEL_EXPORTER_OTLP_PROTOCOL: must be {_PROTOCOL}, or unset")
        return
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        os.environ.setdefault("OTEL_SERVICE_NAME", _SERVICE)
    global _provider  # noqa: PLW0603 - one for each process, as OpenTelemetry has it
    _provider = TracerProvider(shutdown_on_exit=False)  # its own way at the exit waits for a collector that hangs
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(_provider)
    log.info("tracing.on")


def stop(**_: Any) -> None:  # noqa: ANN401
    """Sends what hasn't left yet, for at most two seconds."""
    if _provider is not None:
        flushing = threading.Thread(target=_shut_down, args=(_provider,), name="smsq-flush-spans", daemon=True)
        flushing.start()
        flushing.join(_FLUSH)


def _shut_down(provider: "TracerProvider") -> None:
    with suppress(Exception):
        provider.shutdown()


def connect() -> None:
    """Has a worker, or the child of one, start and stop it."""
    signals.worker_init.connect(start)
    signals.worker_shutdown.connect(stop)
    signals.worker_process_shutdown.connect(stop)
