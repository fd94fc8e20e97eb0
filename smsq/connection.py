"""Runs the ledger's scripts from threads: few connections, one deadline over everything, no library's own retries."""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from smsq.address import Address
from smsq.deadlines import DeadlineConnection, DeadlineSSLConnection, DeadlineUnixConnection
from smsq.durability import Command, Durability, check_confirmed, commands, packed, unavailable
from smsq.scripts import Call, Known, ago, boot_time
from smsq.sentinels import ASKING, Master

T = TypeVar("T")

#: Connections a process holds at most for commands. A command takes well under a millisecond: few serve many threads.
CONNECTIONS = 16
#: Connections at most for those who block on a job's end, one each.
WAITERS = 64
#: Seconds between looks for the new master during a failover.
PAUSE = 0.1
#: Arguments of every connection. RESP2: nothing here needs RESP3. No retries: `run` alone decides what is repeated.
OPTIONS: dict[str, Any] = {"protocol": 2, "client_name": "smsq", "health_check_interval": 0}

_FAILURES = (redis_errors.RedisError, OSError)
_Connection = DeadlineConnection | DeadlineUnixConnection


class SyncRunner:
    """Runs calls on a small pool of connections. Thread-safe, fork-safe; connects when first used."""

    def __init__(
        self, address: Address, durability: Durability = Durability.MEMORY, known: Known | None = None
    ) -> None:
        """Keeps the address; nothing is connected yet. Runners of one ledger may share what they know of it."""
        self.address = address
        self.durability = durability
        self.known = known or Known()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._loaded: set[str] = set()  # scripts that Redis has, for all we know
        self._idle: list[_Connection] = []
        self._sentinels_say = Master()
        self._free = threading.Semaphore(CONNECTIONS)
        self._waiters = threading.Semaphore(WAITERS)

    def run(self, call: Call[T], timeout: float) -> T:
        """Runs a script and returns what its call makes of the answer.

        A connection that broke is replaced and the script sent again within the time: every script answers a repeat
        as it answered the first time.

        Args:
            call: The script's run.
            timeout: Seconds for everything: a free connection, resolving, connecting, the script, its confirmation.

        Raises:
            QueueUnavailable: There was no answer in time, or Redis refused; the text names the reason.
        """
        deadline = time.monotonic() + timeout
        failover = None
        handed_over, first_sent = False, 0.0
        while True:
            fresh = False
            try:
                with self._connection(self._free, deadline) as connection:
                    fresh = not connection.is_connected
                    self._connect(connection, deadline)
                    sent, handed_over = boot_time(), True
                    tried, first_sent = (ago(first_sent), first_sent) if first_sent else (0, sent)
                    answers = self._exchange(connection, call, deadline, tried)
                epoch, now, answer = answers[0]
                self.known.learn(epoch, now, sent)
                check_confirmed(answers)
                return call.parse(answer)
            except (redis_errors.ReadOnlyError, MasterNotFoundError) as error:
                # A failover: the connection led to the old master, or there is none just now. Ask the sentinels again.
                failover = unavailable(error, self.address, handed_over=handed_over)
                if self.address.scheme != "sentinel" or time.monotonic() + PAUSE >= deadline:
                    raise failover from None
                time.sleep(PAUSE)
            except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
                if fresh or isinstance(error, redis_errors.AuthenticationError) or time.monotonic() >= deadline:
                    raise failover or unavailable(error, self.address, handed_over=handed_over) from None
            except redis_errors.RedisError as error:
                raise unavailable(error, self.address) from None  # it answered: refused, and nothing was done

    def _exchange(self, connection: _Connection, call: Call[Any], deadline: float, tried: int) -> list[Any]:
        def send(*, whole: bool) -> list[Any]:
            left = deadline - time.monotonic()
            to_send = commands(call, self.durability, left, epoch=self.known.epoch, tried=tried, whole=whole)
            return self._converse(connection, to_send)

        answers = send(whole=call.script.sha not in self._loaded)
        if isinstance(answers[0], redis_errors.NoScriptError):
            answers = send(whole=True)
        if isinstance(answers[0], redis_errors.ResponseError):
            raise answers[0]
        self._loaded.add(call.script.sha)
        return answers

    @staticmethod
    def _connect(connection: _Connection, deadline: float) -> None:
        connection.deadline = deadline
        left = max(0.001, deadline - time.monotonic())
        if connection.is_connected:
            sock: socket.socket | None = connection._sock  # noqa: SLF001 - redis-py has no timeout for one write
            if sock:
                sock.settimeout(left)
        else:
            connection.socket_timeout = left
            connection.socket_connect_timeout = left
            connection.connect()

    @classmethod
    def _send(cls, connection: _Connection, to_send: list[Command], deadline: float) -> list[Any]:
        cls._connect(connection, deadline)
        return cls._converse(connection, to_send)

    @staticmethod
    def _converse(connection: _Connection, to_send: list[Command]) -> list[Any]:
        """Sends commands and reads an answer to each, on a connection with a deadline."""
        connection.send_packed_command(packed(connection, to_send), check_health=False)
        return [_answer(connection) for _ in to_send]

    def block(self, key: str, timeout: float) -> bool:
        """Waits until something is pushed to a list, and takes it.

        Args:
            key: The list's key.
            timeout: Seconds to wait at most.

        Returns:
            Whether something came. False at once when too many others wait already, or the connection broke.

        Raises:
            QueueUnavailable: Redis can't be reached.
        """
        deadline = time.monotonic() + timeout + 2.0
        if not self._waiters.acquire(timeout=min(0.2, timeout)):
            return False
        self._waiters.release()
        try:
            with self._connection(self._waiters, deadline) as connection:
                answer = self._send(connection, [("BLPOP", key, max(0.01, timeout))], deadline)[0]
        except redis_errors.MaxConnectionsError:
            return False
        except _FAILURES as error:
            raise unavailable(error, self.address) from None
        return bool(answer)

    @contextmanager
    def _connection(self, slots: threading.Semaphore, deadline: float) -> Iterator[_Connection]:
        if self._pid != os.getpid():
            self._reset()  # a fork: the parent's sockets are the parent's
            slots = self._free if slots is not self._waiters else self._waiters
        if not slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise redis_errors.MaxConnectionsError
        try:
            if self.address.scheme == "sentinel" and self._idle:
                self._follow(deadline)
            connection = self._take_idle() or self._new(deadline)
            try:
                yield connection
            except BaseException:
                connection.disconnect()
                raise
            self._idle.append(connection)
        finally:
            slots.release()

    def _take_idle(self) -> _Connection | None:
        """Returns an idle connection that the server hasn't closed meanwhile."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            sock = connection._sock  # noqa: SLF001 - can_read() would cost a select and may raise
            if sock is not None and not _readable(sock) and self._sentinels_say.has(connection):
                return connection
            connection.disconnect()
        return None

    def _follow(self, deadline: float) -> None:
        """Asks the sentinels again who is master, now and then."""
        now = time.monotonic()
        if self._sentinels_say.must_ask(now):
            with contextlib.suppress(MasterNotFoundError):
                self._master(min(deadline, now + ASKING))

    def _new(self, deadline: float) -> _Connection:
        address = self.address
        options = OPTIONS | {"username": address.username, "password": address.password, "db": address.db}
        options["retry"] = Retry(NoBackoff(), 0)
        if address.scheme == "unix":
            return DeadlineUnixConnection(path=address.path, **options)
        host, port = address.hosts[0] if address.scheme != "sentinel" else self._master(deadline)
        kind = DeadlineSSLConnection if address.tls else DeadlineConnection
        return kind(host=host, port=port, **options, **address.tls)

    def _master(self, deadline: float) -> tuple[str, int]:
        """Asks the sentinels in turn; the time is shared, so that one that is frozen doesn't use it up."""
        for number, (host, port) in enumerate(self.address.hosts):
            share = (deadline - time.monotonic()) / (len(self.address.hosts) - number + 1)
            sentinel = DeadlineConnection(
                host=host, port=port, **OPTIONS, **self.address.sentinel_auth, retry=Retry(NoBackoff(), 0)
            )
            try:
                question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.address.master_name)
                found = self._send(sentinel, [question], time.monotonic() + share)[0]
            except _FAILURES:
                continue
            finally:
                sentinel.disconnect()
            if isinstance(found, list):
                master = found[0].decode(), int(found[1])
                self._sentinels_say.learn(master, time.monotonic())
                return master
        raise MasterNotFoundError(f"no sentinel knows the master {self.address.master_name!r}")

    def close(self) -> None:
        """Closes idle connections. The runner can be used again afterwards."""
        while self._idle:
            self._idle.pop().disconnect()


def _answer(connection: _Connection) -> Any:  # noqa: ANN401 - a Redis reply
    try:
        return connection.read_response(disconnect_on_error=True)
    except redis_errors.ResponseError as error:
        if isinstance(error, redis_errors.AuthenticationError):
            raise
        return error


def _readable(sock: socket.socket) -> bool:
    """Whether an idle socket has something to read, which can only be its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
