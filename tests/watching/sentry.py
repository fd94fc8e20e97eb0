"""A Sentry: its endpoint for events, on loopback."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import wait_until

Event = dict[str, Any]


class Sentry:
    """Takes in events, as Sentry does.

    Attributes:
        bodies: All that was sent to it, unpacked.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def dsn(self) -> str:
        """What `SENTRY_DSN` takes."""
        return f"http://public@127.0.0.1:{self._server.server_port}/1"

    def events(self) -> list[Event]:
        """Returns the events that have arrived: each envelope's lines are its head, its item's head, and the item."""
        return [json.loads(body.split(b"\n")[2]) for body in list(self.bodies)]

    def of(self, name: str) -> list[Event]:
        """Returns those of an event of ours."""
        return [each for each in self.events() if each.get("tags", {}).get("event") == name]

    def wait_for(self, name: str) -> Event:
        """Waits for an event of ours."""
        return wait_until(lambda: self.of(name), what=f"{name} arrives")[0]

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
