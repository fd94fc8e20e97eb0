"""A gateway that is fast enough to measure others by: ``python -m bench.gateway PORT [--latency MS] [--hang PREFIX]``.

It answers each send with success after the latency, and never if the number begins with the prefix. ``GET /stats``
tells how many sends came and when the first and the last did, ``GET /arrivals`` when each number was first seen. All
times are the machine's monotonic clock, in seconds, which its processes share.

The sandbox (`worker.sandbox`) is the gateway that behaves like the real one; this one is only quick.
"""

import argparse
import asyncio
import json
import re
import time
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_RECIPIENT = re.compile(rb"recipient=(?:%2B)?(\d+)")
_SEND = re.compile(rb"POST \S*/sendsmsmessage", re.IGNORECASE)
#: The answer to every other call: no messages, and some money.
_OTHER = '{"code":0,"data":{"items":[],"totalItemCount":"0","balance":"1000.00","currency":"KZT"},"message":""}'


class Book:
    """What was seen.

    Args:
        latency: Seconds before an answer.
        hang: Numbers that begin with this are never answered; empty for none.
    """

    def __init__(self, latency: float, hang: bytes) -> None:
        self.latency = latency
        self.hang = hang
        self.calls = self.hung = 0
        self.first = self.last = 0.0
        self.arrivals: dict[bytes, float] = {}

    def note(self, recipient: bytes) -> bool:
        """Notes a send; returns whether it is answered."""
        now = time.monotonic()
        self.calls += 1
        self.first = self.first or now
        self.last = now
        self.arrivals.setdefault(recipient, now)
        if self.hang and recipient.startswith(self.hang):
            self.hung += 1
            return False
        return True

    def stats(self) -> str:
        """Returns the counts and times as JSON."""
        counts = {"calls": self.calls, "distinct": len(self.arrivals), "hung": self.hung}
        return json.dumps({**counts, "first": self.first, "last": self.last})

    def seen(self) -> str:
        """Returns when each number was first seen, as JSON."""
        return json.dumps({number.decode(): moment for number, moment in self.arrivals.items()})


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learns where answers go."""
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Handles each request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + len(_HEAD_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + len(_HEAD_END) : whole], self._buffer[whole:]
            self._handle(head, body)

    def _handle(self, head: bytes, body: bytes) -> None:
        book = self._book
        if head.startswith(b"GET /stats"):
            self._answer(book.stats())
        elif head.startswith(b"GET /arrivals"):
            self._answer(book.seen())
        elif _SEND.match(head):
            found = _RECIPIENT.search(body)
            if not book.note(found[1] if found else b"?"):
                return
            ids = f'"campaignId":"{book.calls}","messageId":"{book.calls}"'
            out = f'{{"code":0,"data":{{{ids},"status":2}},"message":""}}'
            if book.latency:
                self._loop.call_later(book.latency, self._answer, out)
            else:
                self._answer(out)
        else:
            self._answer(_OTHER)

    def _answer(self, body: str) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write((head + body).encode())


async def _serve(port: int, book: Book) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(book), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__.partition(":")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before an answer")
    parser.add_argument("--hang", default="", help="numbers that begin with this are never answered")
    given = parser.parse_args()
    uvloop.run(_serve(given.port, Book(given.latency / 1000, given.hang.encode())))


if __name__ == "__main__":
    main()
