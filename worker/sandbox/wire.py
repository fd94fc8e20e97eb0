"""Answers that aren't answers: what a broken gateway, or what stands before it, does to a connection.

They are responses for aiohttp's server that write to the connection by themselves. When the client hangs up, the server
cancels them, which is what ends each of the waits here.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

DRIP_SECONDS: Final = 0.4
"""The pause between two bytes of what drips: shorter than any time limit between two reads, never finished in time."""

HUGE_BYTES: Final = 200 * 1024 * 1024
_CHUNK: Final = b" " * 65_536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: the kernel sends RST in place of FIN


class Broken(web.StreamResponse):
    """Writes bytes as they are, and ends the connection.

    Args:
        sent: What is written, HTTP or not.
        drip: Whether a byte at a time, with a pause after each.
        reset: Whether the connection ends with a reset.
    """

    def __init__(self, sent: bytes = b"", *, drip: bool = False, reset: bool = False) -> None:
        super().__init__()
        self._sent = sent
        self._drip = drip
        self._reset = reset

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Does it, where aiohttp would write the headers."""
        transport = request.transport
        if transport is None:  # the client was faster
            return None
        if self._drip:
            for byte in self._sent:
                transport.write(bytes([byte]))
                await asyncio.sleep(DRIP_SECONDS)
        else:
            transport.write(self._sent)
        if self._reset:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.close()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes nothing more."""


class Silence(web.StreamResponse):
    """Writes nothing, and keeps the connection until the client hangs up."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 - aiohttp's
        """Waits where aiohttp would write the headers."""
        await asyncio.Event().wait()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes nothing."""


class Streamed(web.StreamResponse):
    """Well-formed headers, then a body in pieces.

    Args:
        pieces: Makes the body.
        length: What Content-Length says, in bytes; None for a chunked body.
    """

    def __init__(self, pieces: Callable[[], AsyncIterator[bytes]], *, length: int | None = None) -> None:
        super().__init__(headers={"Content-Type": "application/json"})
        if length is None:
            self.enable_chunked_encoding()
        else:
            self.content_length = length
        self._pieces = pieces

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes the pieces, as fast as the client takes them."""
        async for piece in self._pieces():
            await self.write(piece)
        await super().write_eof(data)


def dripped(body: bytes) -> Streamed:
    """Makes an answer whose body comes a byte at a time."""

    async def pieces() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])
            await asyncio.sleep(DRIP_SECONDS)

    return Streamed(pieces, length=len(body))


def endless(body: bytes) -> Streamed:
    """Makes an answer that goes on with spaces after its body, for ever."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body
        while True:
            yield _CHUNK

    return Streamed(pieces)


def huge(body: bytes) -> Streamed:
    """Makes an answer of 200 MB: spaces, which JSON allows, and then the body."""

    async def pieces() -> AsyncIterator[bytes]:
        left = HUGE_BYTES - len(body)
        while left:
            piece = _CHUNK[:left]
            left -= len(piece)
            yield piece
        yield body

    return Streamed(pieces, length=HUGE_BYTES)
