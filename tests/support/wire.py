"""A proxy on the wire between a client and a server (Redis or gateway) that misbehaves as a test says.

It runs an event loop in a thread of its own, so that tests with and without a loop can use it::

    with Wire(server.port) as wire:
        queue = SmsQueue(wire.redis_url)
        wire.black_hole()
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_CHUNK = 1 << 16


@dataclass
class _Link:
    """One client's connection and ours to the server.

    Attributes:
        flows: Set while this connection isn't in a black hole.
        to_cut: Whether the next bytes of the server are an answer that the client must not get.
        answered: Bytes that the client got.
    """

    flows: asyncio.Event
    to_cut: bool = False
    answered: int = 0


class Wire:
    """Forwards what it gets, until told otherwise. Thread-safe.

    Args:
        port: The server's, on this machine.
        tls: Makes it speak TLS to clients, and plain to the server.

    Attributes:
        port: Where clients connect.
        connections: How many clients have connected.
        cuts: How many connections it has cut.
    """

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self.cuts = 0
        self._target = port
        self._tls = tls
        self._delay = 0.0
        self._limit: int | None = None
        self._matching = b""
        self._armed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)

    @property
    def redis_url(self) -> str:
        """What `SMSQ_REDIS_URL` takes, for a Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        """Starts to listen."""
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hangs up on everyone."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- misbehaviour

    def delay(self, seconds: float) -> None:
        """Holds each piece of an answer back for a while, from now on; 0 for no longer."""
        self._delay = seconds

    def black_hole(self) -> None:
        """Forwards nothing any more, in neither direction, and closes nothing. New connections are accepted."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def mend(self) -> None:
        """Ends the black hole: what was held back goes on."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def strand(self) -> None:
        """Leaves the open connections in the black hole for good, while new ones work: half-open, as TCP calls it."""
        self._loop.call_soon_threadsafe(self._strand)

    def _strand(self) -> None:
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()

    def cut_before_answer(self, matching: bytes = b"", *, times: int = 1) -> None:
        """Forwards the next requests, waits for the answer and closes the connection instead of passing it on.

        Args:
            matching: Only requests with these bytes in them (in one piece: requests of less than 64 KiB).
            times: How many requests.
        """
        self._matching, self._armed = matching, times

    def cut_after(self, count: int | None) -> None:
        """Closes each connection once the client has got so many bytes on it; None for no longer."""
        self._limit = count

    # -- the loop's side

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            with contextlib.suppress(OSError):
                await self._writers.pop().wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        flows = self._flows
        try:
            await flows.wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(there_writer)
            writers.append(there_writer)
            link = _Link(flows)
            async with asyncio.TaskGroup() as pumps:
                up = pumps.create_task(self._up(link, reader, there_writer))
                down = pumps.create_task(self._down(link, there_reader, writer))
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                up.cancel()
                down.cancel()
        except* OSError:
            pass
        finally:
            for each in writers:
                each.close()

    async def _up(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(_CHUNK):
            await link.flows.wait()
            if self._armed and self._matching in request:
                self._armed -= 1
                link.to_cut = True
            writer.write(request)
            await writer.drain()

    async def _down(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await reader.read(_CHUNK):
            await asyncio.sleep(self._delay)
            await link.flows.wait()
            if link.to_cut:
                self.cuts += 1
                return
            if self._limit is not None:
                answer = answer[: self._limit - link.answered]
            writer.write(answer)
            await writer.drain()
            link.answered += len(answer)
            if self._limit is not None and link.answered >= self._limit:
                self.cuts += 1
                return
