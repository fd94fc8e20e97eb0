"""A gateway on a raw socket: it keeps every byte it got, and misbehaves exactly as a test says.

The sandbox gateway is a well-behaved HTTP server around its misbehaviours; here even the HTTP is wrong.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

ACCEPTED = {"code": 0, "data": {"campaignId": "7", "messageId": "12", "status": 2}, "message": ""}
PACE_SECONDS = 0.01
"""Between two bytes of what drips: far below the time limit of a call in these tests."""


@dataclass(repr=False)
class Exchange:
    """One request that came in, and the connection to answer it on."""

    head: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def request_line(self) -> str:
        """The request's first line."""
        return self.head.split("\r\n", 1)[0]

    @property
    def form(self) -> dict[str, str]:
        """The form as a server decodes it."""
        return dict(parse_qsl(self.body.decode("ascii"), strict_parsing=True, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        """Returns a header's value, or None."""
        found = re.search(rf"^{re.escape(name)}: *(.*?)\r?$", self.head, re.IGNORECASE | re.MULTILINE)
        return found[1] if found else None


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass(repr=False)
class RawGateway:
    """Answers each request with the next behaviour, the last one again and again.

    Attributes:
        url: Where it listens, while it is entered.
        exchanges: Every whole request, in order.
        fragments: What connections sent that never became a whole request.
        endings: How each connection ended that the client ended: ``closed`` or ``reset``.
        connections: How many were accepted (with TLS: after the handshake).
    """

    behaviours: tuple[Behaviour, ...]
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        """Starts to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://{self.host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops, and hangs up on everyone."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                exchange = await _read_request(reader, writer)
                self.exchanges.append(exchange)
                await self.behaviours[min(len(self.exchanges), len(self.behaviours)) - 1](exchange)
        except asyncio.IncompleteReadError as error:
            self.endings.append("closed")
            self.fragments.append(error.partial)
        except ConnectionError:
            self.endings.append("reset")
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    """Reads one request, or raises for a connection that ends before it is whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    exchange = Exchange(head, b"", reader, writer)
    exchange.body = await reader.readexactly(int(exchange.header("Content-Length") or 0))
    return exchange


def _write(exchange: Exchange, words: bytes) -> None:
    """Writes, and reports a client that is gone in the same way on both loops: uvloop says RuntimeError."""
    if exchange.writer.is_closing():
        raise ConnectionResetError
    exchange.writer.write(words)


def answering(answer: object = ACCEPTED, *, status: int = 200, headers: str = "") -> Behaviour:
    """Answers properly, with JSON or with the bytes given."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def behave(exchange: Exchange) -> None:
        """Does it."""
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        exchange.writer.write(head.encode() + body)
        await exchange.writer.drain()

    return behave


def saying(words: bytes) -> Behaviour:
    """Writes some bytes, then closes."""

    async def behave(exchange: Exchange) -> None:
        """Does it."""
        exchange.writer.write(words)
        exchange.writer.close()

    return behave


def dripping(start: bytes, drop: bytes) -> Behaviour:
    """Writes the start, then a drop every moment for as long as the client listens."""

    async def behave(exchange: Exchange) -> None:
        """Does it."""
        exchange.writer.write(start)
        while True:
            with contextlib.suppress(TimeoutError):
                # Nothing more is sent by the client, so this ends when it hangs up.
                async with asyncio.timeout(PACE_SECONDS):
                    await exchange.reader.readexactly(1)
            _write(exchange, drop)

    return behave


def flooding(start: bytes) -> Behaviour:
    """Writes without an end, as fast as the client reads."""

    async def behave(exchange: Exchange) -> None:
        """Does it."""
        exchange.writer.write(start)
        while True:
            _write(exchange, b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            await exchange.writer.drain()

    return behave


async def hanging_up(exchange: Exchange) -> None:
    """Closes without a byte."""
    exchange.writer.close()


async def resetting(exchange: Exchange) -> None:
    """Resets the connection."""
    connection: socket.socket = exchange.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


async def hanging(exchange: Exchange) -> None:
    """Says nothing until the client hangs up."""
    await exchange.reader.readexactly(1)


def waiting_for(moment: asyncio.Event, then: Behaviour) -> Behaviour:
    """Answers when the test says so."""

    async def behave(exchange: Exchange) -> None:
        """Does it."""
        await moment.wait()
        await then(exchange)

    return behave
