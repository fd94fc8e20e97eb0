"""Whether a Redis server can hold the ledger: what it says of itself, judged (for a worker's start).

`read_server` asks it; `check_server` judges, and needs no server. A server that forbids CONFIG, as managed ones do, is
judged by INFO alone.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import exceptions as redis_errors

from smsq.address import Address
from smsq.connection import SyncRunner
from smsq.durability import Durability, unavailable

Verdict = Literal["ok", "warn", "fail"]

#: Scripts that state what they do when memory is full, and WAITAOF, are no older.
OLDEST: Final = (7, 2)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        name: The check: ``server``, ``version``, ``mode``, ``eviction``, ``persistence`` or ``replicas``.
        verdict: ``ok``; ``warn``: a promise is weaker than it could be; ``fail``: a promise can't be kept.
        text: What is the case, and unless all is well what to do, in one line.
    """

    name: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself.

    Attributes:
        info: The fields of INFO; empty where the user may not ask for it.
        config: `appendfsync`, as CONFIG has it; empty where CONFIG is forbidden.
    """

    info: Mapping[str, str]
    config: Mapping[str, str]


def read_server(address: Address, timeout: float) -> ServerState:
    """Asks a server, or the master that the sentinels name.

    Args:
        address: Where it is.
        timeout: Seconds for everything.

    Raises:
        QueueUnavailable: It can't be reached; the text says why.
    """
    reader = _Reader(address)
    try:
        return reader.read(timeout)
    finally:
        reader.close()


class _Reader(SyncRunner):
    """The ledger's connections, for two questions that no script may ask."""

    def read(self, timeout: float) -> ServerState:
        deadline = time.monotonic() + timeout
        try:
            with self._connection(self._free, deadline) as connection:
                info, config = self._send(connection, [("INFO",), ("CONFIG", "GET", "appendfsync")], deadline)
        except (redis_errors.RedisError, OSError) as error:
            raise unavailable(error, self.address) from None
        return ServerState(_info_fields(info), _config_fields(config))


def _info_fields(reply: Any) -> dict[str, str]:  # noqa: ANN401 - a Redis reply
    if not isinstance(reply, bytes):
        return {}
    lines = reply.decode(errors="replace").splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _config_fields(reply: Any) -> dict[str, str]:  # noqa: ANN401 - a Redis reply
    if not isinstance(reply, list):
        return {}
    words = [str(each, errors="replace") for each in reply]
    return dict(zip(words[::2], words[1::2], strict=True))


def check_server(state: ServerState, *, durability: Durability, allow_eviction: bool) -> list[Finding]:
    """Judges what a server says of itself (faults F02, F20 and F21 of `docs/faults.md`).

    Args:
        state: What `read_server` returned.
        durability: What "accepted" is to mean.
        allow_eviction: `SMSQ_ALLOW_EVICTION`.

    Returns:
        A finding for each check, in the order in which they matter.
    """
    if not state.info:
        return [
            Finding(
                "server",
                "warn",
                "its INFO is forbidden, so nothing of it can be checked: allow the command to the user",
            )
        ]
    return [
        _mode(state.info),
        _version(state.info),
        _eviction(state.info, allowed=allow_eviction),
        _persistence(state, durability),
        _replicas(state.info, durability),
    ]


def _mode(info: Mapping[str, str]) -> Finding:
    if info.get("cluster_enabled") == "1":
        return Finding("mode", "fail", "cluster mode isn't supported: use a single server, or one with Sentinel")
    if info.get("role") == "slave":
        return Finding("mode", "fail", "it is a read-only replica: name the master, or the sentinels (sentinel://)")
    return Finding("mode", "ok", "a master, not a cluster")


def _version(info: Mapping[str, str]) -> Finding:
    version = info.get("redis_version", "")
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    parts = version.split(".")[:2]
    if not all(each.isdigit() for each in parts):
        return Finding("version", "warn", "the server doesn't say its version; it must be 7.2 or later")
    if tuple(map(int, parts)) < OLDEST:
        return Finding("version", "fail", f"{name} is too old: 7.2 or later is needed")
    return Finding("version", "ok", name)


def _eviction(info: Mapping[str, str], *, allowed: bool) -> Finding:
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return Finding("eviction", "ok", "maxmemory-policy is noeviction")
    what = f"maxmemory-policy is {policy}: when memory is full the server may forget jobs, or that they were sent"
    if allowed:
        return Finding("eviction", "warn", f"{what} (SMSQ_ALLOW_EVICTION is set)")
    return Finding("eviction", "fail", f"{what}; set noeviction, or SMSQ_ALLOW_EVICTION=true to live with that")


def _persistence(state: ServerState, durability: Durability) -> Finding:
    append_only = state.info.get("aof_enabled") == "1"
    if durability is Durability.DISK and not append_only:
        return Finding(
            "persistence",
            "fail",
            "SMSQ_DURABILITY=disk, but appendonly is no: nothing can be confirmed; set appendonly yes",
        )
    if durability is Durability.DISK and state.config.get("appendfsync") == "no":
        return Finding(
            "persistence",
            "fail",
            "SMSQ_DURABILITY=disk, but appendfsync is no: confirmations take half a minute; set everysec or always",
        )
    if not append_only:
        return Finding(
            "persistence",
            "warn",
            "appendonly is no: a server that restarts loses jobs, or takes sent ones for waiting; set appendonly yes",
        )
    if state.info.get("aof_last_write_status", "ok") != "ok":
        return Finding("persistence", "warn", "the append-only file can't be written: look at the server's disk")
    return Finding("persistence", "ok", "an append-only file")


def _replicas(info: Mapping[str, str], durability: Durability) -> Finding:
    count = info.get("connected_slaves", "0")
    if durability is Durability.REPLICA and count == "0":
        return Finding(
            "replicas", "warn", "SMSQ_DURABILITY=replica, but none is connected: nothing is accepted until one is"
        )
    return Finding("replicas", "ok", f"{count} connected")
