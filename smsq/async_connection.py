"""Runs the ledger's scripts from an event loop: the same promises as `smsq.connection`, without blocking the loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis import exceptions as redis_errors
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.sentinel import MasterNotFoundError

from smsq.address import Address
from smsq.connection import CONNECTIONS, OPTIONS, PAUSE, WAITERS
from smsq.durability import Command, Durability, check_confirmed, commands, packed, unavailable
from smsq.scripts import Call, Known, ago, boot_time
from smsq.sentinels import ASKING, Master

T = TypeVar("T")
_Connection = Connection | UnixDomainSocketConnection
_FAILURES = (redis_errors.RedisError, OSError)


class AsyncRunner:
    """Runs calls on a small pool of connections of one event loop. Connects when first used."""

    def __init__(
        self, address: Address, durability: Durability = Durability.MEMORY, known: Known | None = None
    ) -> None:
        """Keeps the address; nothing is connected yet. Runners of one ledger may share what they know of it."""
        self.address = address
        self.durability = durability
        self.known = known or Known()
        self._idle: list[_Connection] = []
        self._loaded: set[str] = set()  # scripts that Redis has, for all we know
        self._sentinels_say = Master()
        self._guard: AsyncGenerator[None, None] | None = None
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._waiters = asyncio.Semaphore(WAITERS)

    async def run(self, call: Call[T], timeout: float) -> T:  # noqa: ASYNC109 - the deadline is part of the promise
        """Runs a script and returns what its call makes of the answer.

        A connection that broke is replaced and the script sent again within the time: every script answers a repeat
        as it answered the first time.

        Args:
            call: The script's run.
            timeout: Seconds for everything: a free connection, resolving, connecting, the script, its confirmation.

        Raises:
            QueueUnavailable: There was no answer in time, or Redis refused; the text names the reason.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        failover = None
        handed_over, first_sent = False, 0.0
        while True:
            fresh = False
            try:
                async with self._connection(self._free, deadline) as connection:
                    fresh = not connection.is_connected
                    if fresh:
                        await connection.connect()
                    sent, handed_over = boot_time(), True
                    tried, first_sent = (ago(first_sent), first_sent) if first_sent else (0, sent)
                    answers = await self._exchange(connection, call, deadline, tried)
                epoch, now, answer = answers[0]
                self.known.learn(epoch, now, sent)
                check_confirmed(answers)
                return call.parse(answer)
            except (redis_errors.ReadOnlyError, MasterNotFoundError) as error:
                # A failover: the connection led to the old master, or there is none just now. Ask the sentinels again.
                failover = unavailable(error, self.address, handed_over=handed_over)
                if self.address.scheme != "sentinel" or loop.time() + PAUSE >= deadline:
                    raise failover from None
                await asyncio.sleep(PAUSE)
            except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
                if fresh or isinstance(error, redis_errors.AuthenticationError) or loop.time() >= deadline:
                    raise failover or unavailable(error, self.address, handed_over=handed_over) from None
            except redis_errors.RedisError as error:
                raise unavailable(error, self.address) from None  # it answered: refused, and nothing was done

    async def _exchange(self, connection: _Connection, call: Call[Any], deadline: float, tried: int) -> list[Any]:
        loop = asyncio.get_running_loop()

        async def send(*, whole: bool) -> list[Any]:
            left = deadline - loop.time()
            to_send = commands(call, self.durability, left, epoch=self.known.epoch, tried=tried, whole=whole)
            return await self._send(connection, to_send)

        answers = await send(whole=call.script.sha not in self._loaded)
        if isinstance(answers[0], redis_errors.NoScriptError):
            answers = await send(whole=True)
        if isinstance(answers[0], redis_errors.ResponseError):
            raise answers[0]
        self._loaded.add(call.script.sha)
        return answers

    @staticmethod
    async def _send(connection: _Connection, to_send: list[Command]) -> list[Any]:
        if not connection.is_connected:
            await connection.connect()
        await connection.send_packed_command(packed(connection, to_send), check_health=False)
        return [await _answer(connection) for _ in to_send]

    async def block(self, key: str, timeout: float) -> bool:  # noqa: ASYNC109 - as in `run`
        """Waits until something is pushed to a list, and takes it.

        Args:
            key: The list's key.
            timeout: Seconds to wait at most.

        Returns:
            Whether something came. False also when too many others wait already.

        Raises:
            QueueUnavailable: Redis can't be reached.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            async with self._connection(self._waiters, deadline, margin=2.0) as connection:
                left = deadline - asyncio.get_running_loop().time()
                answer = await self._send(connection, [("BLPOP", key, max(0.01, left))])
        except redis_errors.MaxConnectionsError:
            return False
        except _FAILURES as error:
            raise unavailable(error, self.address) from None
        return bool(answer[0])

    @asynccontextmanager
    async def _connection(
        self, slots: asyncio.Semaphore, deadline: float, *, margin: float = 0.0
    ) -> AsyncIterator[_Connection]:
        """Lends a connection until the deadline, by the loop's clock, and a margin after it."""
        await _acquire(slots, deadline)
        try:
            async with asyncio.timeout_at(deadline + margin):
                if self.address.scheme == "sentinel" and self._idle:
                    await self._follow()
                connection = await self._take_idle() or await self._new()
                # redis-py's own limits too: it may swallow the one cancellation that a time-out is.
                left = deadline + margin - asyncio.get_running_loop().time()
                connection.socket_timeout = connection.socket_connect_timeout = max(0.001, left)
                try:
                    yield connection
                except RuntimeError as error:
                    # uvloop's word for a transport that it has closed, of which the reader hears a turn later.
                    await _drop(connection)
                    raise redis_errors.ConnectionError("the connection was closed") from error
                except BaseException:
                    await _drop(connection)
                    raise
                self._idle.append(connection)
        finally:
            slots.release()

    async def _take_idle(self) -> _Connection | None:
        """Returns an idle connection that the server hasn't closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            reader = connection._reader  # noqa: SLF001 - can_read() would raise and cost a turn of the loop
            alive = reader is not None and not reader.at_eof() and reader.exception() is None
            if alive and self._sentinels_say.has(connection):
                return connection
            await _drop(connection)
        return None

    async def _follow(self) -> None:
        """Asks the sentinels again who is master, now and then."""
        if self._sentinels_say.must_ask(asyncio.get_running_loop().time()):
            with contextlib.suppress(MasterNotFoundError):
                await self._master(ASKING)

    async def _new(self) -> _Connection:
        if self._guard is None:
            self._guard = self._until_the_loop_ends()
            await anext(self._guard)
        address = self.address
        options = OPTIONS | {"username": address.username, "password": address.password, "db": address.db}
        options["retry"] = Retry(NoBackoff(), 0)
        if address.scheme == "unix":
            return UnixDomainSocketConnection(path=address.path, **options)
        host, port = address.hosts[0] if address.scheme != "sentinel" else await self._master()
        kind = SSLConnection if address.tls else Connection
        return kind(host=host, port=port, **options, **address.tls)

    async def _master(self, within: float = 1.0) -> tuple[str, int]:
        """Asks the sentinels in turn; each gets a share of the time, so that one that is frozen doesn't use it up."""
        for host, port in self.address.hosts:
            options: dict[str, Any] = {**OPTIONS, **self.address.sentinel_auth, "retry": Retry(NoBackoff(), 0)}
            sentinel = Connection(host=host, port=port, **options)
            question: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.address.master_name)
            try:
                async with asyncio.timeout(within / len(self.address.hosts)):
                    found = (await self._send(sentinel, [question]))[0]
            except (*_FAILURES, RuntimeError):  # as in `_connection`
                continue
            finally:
                await _drop(sentinel)
            if isinstance(found, list):
                master = found[0].decode(), int(found[1])
                self._sentinels_say.learn(master, asyncio.get_running_loop().time())
                return master
        raise MasterNotFoundError(f"no sentinel knows the master {self.address.master_name!r}")

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """Closes the connections of a loop whose user doesn't: `asyncio.run` finishes generators before it ends."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Closes idle connections. The runner can be used again afterwards."""
        while self._idle:
            await _drop(self._idle.pop())
        await asyncio.sleep(0)  # the loop closes sockets in its next turn, and this may be its last one

    def abandon(self) -> None:
        """Drops the connections of a loop that was closed in no order at all."""
        while self._idle:
            connection = self._idle.pop()
            writer = connection._writer  # noqa: SLF001 - nothing public closes without a loop
            with contextlib.suppress(RuntimeError, OSError):
                if writer and (sock := writer.get_extra_info("socket")):
                    with socket.socket(fileno=os.dup(sock.fileno())) as same:
                        same.shutdown(socket.SHUT_RDWR)
                connection._close()  # noqa: SLF001


async def _drop(connection: _Connection) -> None:
    """Closes a connection at once: TLS would wait for a farewell, from a server that may be frozen."""
    if writer := connection._writer:  # noqa: SLF001 - redis-py has no such way
        writer.transport.abort()
    await connection.disconnect(nowait=True)


async def _acquire(slots: asyncio.Semaphore, deadline: float) -> None:
    if not slots.locked():
        await slots.acquire()
        return
    try:
        async with asyncio.timeout_at(deadline):
            await slots.acquire()
    except TimeoutError:
        raise redis_errors.MaxConnectionsError from None


async def _answer(connection: _Connection) -> Any:  # noqa: ANN401 - a Redis reply
    try:
        return await connection.read_response()
    except redis_errors.ResponseError as error:
        if isinstance(error, redis_errors.AuthenticationError):
            raise
        return error
