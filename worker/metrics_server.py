"""`/metrics`, `/healthz` and `/readyz` over HTTP, in threads of their own: a slow reader holds up no job."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from config.settings import WorkerSettings
from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.probe import LATE, Health
from smsq.queue import DEADLINE
from tasks import identity
from tasks.runtime import runtime
from tasks.tally import tally
from worker.lifecycle import stopping
from worker.metrics import Watched
from worker.refusals import EXIT_USAGE

#: Seconds that the loop of calls may take for a turn, and a client for its request.
_TURN: Final = 5.0
_CLIENT: Final = 10.0
_TEXT: Final = "text/plain; charset=utf-8"


class Pages:
    """The server; without `SMSQ_METRICS_PORT` there is none.

    Args:
        settings: The worker's settings.
        state: What the worker says of itself (`worker.app`).
    """

    def __init__(self, settings: WorkerSettings, state: Callable[[], Mapping[str, Any]]) -> None:
        self._where = settings.metrics_host, settings.metrics_port
        self._state = state
        self._runner = SyncRunner(settings.address)
        self._one_at_a_time = threading.Lock()  # many scrapers must not make many looks at the ledger
        self._registry = CollectorRegistry()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Starts to answer. A port that can't be had ends the worker, with exit code 2 and a line that says why."""
        host, port = self._where
        if port is None:
            return
        if self._server is None:
            ProcessCollector(registry=self._registry)
            self._registry.register(Watched(self._runner, self._state, tally))
        try:
            self._server = ThreadingHTTPServer((host, port), self._handler())
        except OSError as error:
            sys.stderr.write(f"SMSQ_METRICS_HOST, SMSQ_METRICS_PORT: can't listen on {host}:{port}: {error.strerror}\n")
            raise SystemExit(EXIT_USAGE) from None
        threading.Thread(target=self._server.serve_forever, name="smsq-metrics", daemon=True).start()

    def stop(self) -> None:
        """Stops to answer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._runner.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _CLIENT

            def do_GET(self) -> None:
                status, kind, body = pages.answer(self.path.partition("?")[0], self.headers.get("Accept") or "")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401
                """Says nothing: a scrape each few seconds is no news."""

        return Handler

    def answer(self, path: str, accept: str = "") -> tuple[HTTPStatus, str, bytes]:
        """Returns the status, the type and the body of a page.

        Args:
            path: Which.
            accept: The formats that a scraper takes, as HTTP has it.
        """
        match path:
            case "/metrics":
                encode, kind = choose_encoder(accept)
                with self._one_at_a_time:
                    return HTTPStatus.OK, kind, encode(self._registry)
            case "/healthz":
                complaint = None if stopping.is_set() else _stuck()  # on its way out it does what it should
            case "/readyz":
                with self._one_at_a_time:
                    complaint = self._not_ready()
            case _:
                return HTTPStatus.NOT_FOUND, _TEXT, b"/metrics, /healthz, /readyz\n"
        status = HTTPStatus.SERVICE_UNAVAILABLE if complaint else HTTPStatus.OK
        return status, _TEXT, f"{complaint or 'ok'}\n".encode()

    def _not_ready(self) -> str | None:
        """Why the worker doesn't consume, judged as `smsq probe` does; None if it does."""
        if stopping.is_set():
            return "it stops"
        try:
            health = Health.read(self._runner.run(ledger.health(LATE), DEADLINE))
        except QueueUnavailable:
            return "Redis can't be reached"
        for each in health.workers:
            if each.name == identity.name() and each.said.get("pid") == os.getpid():
                return health.complaint(each)
        return "it was never heard of"


def _stuck() -> str | None:
    """Why the process is of no use any more; None if it lives. That Redis is away is no such reason: it comes back."""
    turn = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), runtime().thread.loop)
    try:
        turn.result(_TURN)
    except TimeoutError:
        turn.cancel()
        return "the loop that makes the calls stands still"
    return None
