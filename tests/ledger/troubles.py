"""The ways in which Redis can't be used, each provoked on a real server, and what a producer must hear of it."""

import re
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from smsq import QueueUnavailable
from tests.support.server import Server, free_port
from tests.support.wire import Wire

OwnServer = Callable[..., Server]


class Trouble(NamedTuple):
    """A Redis that can't be used: where it is, what a producer must hear, and how to make it well again."""

    url: str
    reason: str
    mend: Callable[[], object] | None = None


def refused(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """Nobody listens."""
    return Trouble(f"redis://127.0.0.1:{free_port()}/0", "connection refused")


def frozen(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server's process is stopped; the kernel still accepts for it."""
    server = own_server()
    server.signal(signal.SIGSTOP)
    return Trouble(server.url, "no answer in time", lambda: server.signal(signal.SIGCONT))


def black_hole(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """Connections stand, and nothing arrives any more."""
    wire = stack.enter_context(Wire(own_server().port))
    wire.black_hole()
    return Trouble(wire.redis_url, "no answer in time", wire.mend)


def deaf(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """Not even a connection comes about: nobody accepts, and the kernel's queue is full."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return Trouble(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", "no answer in time")


def unresolvable(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """There is no such host."""
    return Trouble("redis://cluster.invalid:6379/0", "the host name can't be resolved|no answer in time")


def too_many_clients(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server has as many clients as it takes."""
    server = own_server()
    client = stack.enter_context(server.client())
    client.config_set("maxclients", 1)
    reason = "it has reached its number of clients"
    return Trouble(server.url, reason, lambda: client.config_set("maxclients", 100))


def memory_full(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server takes nothing more."""
    server = own_server()
    client = stack.enter_context(server.client())
    client.config_set("maxmemory", 1)
    return Trouble(server.url, "its memory is full", lambda: client.config_set("maxmemory", 0))


def replica(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The address leads to a replica."""
    server = own_server("--replicaof", "127.0.0.1", str(free_port()))
    client = stack.enter_context(server.client())
    return Trouble(server.url, "it is a read-only replica", lambda: client.replicaof("NO", "ONE"))


def wrong_password(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server wants another password."""
    server = own_server()
    client = stack.enter_context(server.client())
    client.config_set("requirepass", "right")
    url = f"redis://:wrong-secret@127.0.0.1:{server.port}/0"
    return Trouble(url, "access refused", lambda: client.config_set("requirepass", "wrong-secret"))


def no_password(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server wants a password, and the address has none."""
    server = own_server()
    client = stack.enter_context(server.client())
    client.config_set("requirepass", "right")
    return Trouble(server.url, "access refused", lambda: client.config_set("requirepass", ""))


def not_permitted(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The user may connect and run no script."""
    server = own_server()
    client = stack.enter_context(server.client())
    client.acl_setuser("web", enabled=True, passwords=["+secret"], commands=["+ping", "+client", "+select"])
    url = f"redis://web:secret@127.0.0.1:{server.port}/0"
    allow = ("ACL", "SETUSER", "web", "~*", "+@all")
    return Trouble(url, "access refused", lambda: client.execute_command(*allow))


def cluster(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server is part of a cluster."""
    server = own_server("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    return Trouble(server.url, "it is a cluster, which is not supported")


def no_such_database(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """The server has fewer databases."""
    return Trouble(own_server("--databases", "2").url.removesuffix("0") + "9", "DB index is out of range")


def not_redis(stack: ExitStack, own_server: OwnServer) -> Trouble:
    """A web server listens there."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join)
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    return Trouble(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", "it doesn't answer as Redis does")


QUICK = [
    refused, unresolvable, too_many_clients, memory_full, replica, wrong_password, no_password, not_permitted, cluster,
    no_such_database, not_redis,
]  # fmt: skip
SLOW = [frozen, black_hole, deaf]
Provokes = Callable[[ExitStack, OwnServer], Trouble]


def heard(error: QueueUnavailable, trouble: Trouble) -> None:
    """Checks that an error names the reason and the address, and no secret."""
    where = trouble.url.split("@")[-1].split("//")[-1]
    text = str(error)
    assert re.fullmatch(rf"Redis at rediss?://{re.escape(where)}: (?:{trouble.reason})[^\n]*", text), text
    assert "secret" not in text
    assert error.__cause__ is None
    assert error.__suppress_context__
