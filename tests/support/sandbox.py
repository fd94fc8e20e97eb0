"""The sandbox gateway as a process of its own, and what it saw."""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.server import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def ordinary(number: int) -> str:
    """Returns one of ten million phone numbers that the sandbox simply accepts."""
    return f"7701{number:07}"


class Sandbox:
    """A running sandbox gateway.

    Args:
        arguments: Options for its command line.
    """

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.arguments = arguments
        self._recipients: dict[str, str] = {}
        self.start()

    @property
    def url(self) -> str:
        """What `MOBIZON_API_URL` takes."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker.sandbox", "--port", str(self.port), *self.arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, what="the sandbox answers")

    def _answers(self) -> bool:
        try:
            self.get("/sandbox/health")
        except OSError:
            assert self.process.poll() is None, "the sandbox ended at once"
            return False
        return True

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """GETs one of its own pages."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - our own server
            return json.loads(answer.read())

    def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """POSTs JSON to one of its own pages."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def recipient(self, name: str) -> str:
        """Returns the number that brings a misbehaviour on, by its name in `python -m worker.sandbox --recipients`."""
        if not self._recipients:
            self._recipients = {row["name"]: row["recipient"] for row in self.get("/sandbox/recipients")}
        return self._recipients[name]

    def messages(self) -> list[dict[str, Any]]:
        """Returns what it accepted, oldest first."""
        return list(self.get("/sandbox/messages")["messages"])

    def calls(self) -> list[dict[str, Any]]:
        """Returns the calls it received, oldest first."""
        return list(self.get("/sandbox/calls")["calls"])

    def called(self, recipient: str) -> int:
        """Returns how often sendSmsMessage was called for a number, whatever came of it."""
        return sum(call["recipient"] == recipient for call in self.calls())

    def at_once(self, latency: float) -> int:
        """Returns how many calls were out at the same time at most, if each took as long as that (seconds)."""
        starts: list[float] = [call["monotonic"] for call in self.calls()]
        return max(sum(start <= moment < start + latency for start in starts) for moment in starts)

    def counts(self) -> Counter[str]:
        """Returns how many messages it accepted for each recipient."""
        return Counter(str(message["recipient"]) for message in self.messages())

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(20)
