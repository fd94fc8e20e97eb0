"""Connections of redis-py with one deadline over everything: resolving, connecting, the handshake, each command."""

import socket
import threading
import time
from typing import Any

from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection


def _resolve(host: str, port: int, timeout: float) -> list[Any]:
    """Like getaddrinfo, but gives up in time: the C library's resolver can't be interrupted."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, name="smsq-resolver", daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        raise TimeoutError("name resolution timed out")
    if isinstance(found[0], OSError):
        raise found[0]
    return list(found[0])


class _Deadline(AbstractConnection):
    """One deadline over the handshake and each command: redis-py's own limit is for each read, and counts anew."""

    deadline = float("inf")

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left

    def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - a Redis reply
        """Reads an answer within what is left of the time."""
        if self._sock:
            self._sock.settimeout(self._left())
        return super().read_response(*args, **options)


class DeadlineConnection(_Deadline, Connection):
    """The same deadline over resolving and connecting."""

    def _connect(self) -> socket.socket:
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in _resolve(self.host, self.port, self._left()):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                sock.settimeout(self._left())
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure


class DeadlineSSLConnection(SSLConnection, DeadlineConnection):
    """The same with TLS: redis-py wraps the socket that `DeadlineConnection` connects."""


class DeadlineUnixConnection(_Deadline, UnixDomainSocketConnection):
    """The same through a Unix socket."""

    host = ""
