"""What "accepted" waits for (`SMSQ_DURABILITY`), and what a failure of Redis is called."""

import os
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from redis import exceptions as redis_errors

from smsq.errors import QueueUnavailable
from smsq.scripts import Call

Command = tuple[str | bytes | int | float, ...]

_pack: Callable[[Any], bytes] | None = None
try:
    import hiredis
except ImportError:  # an application may do without it
    pass
else:
    _pack = hiredis.pack_command


class Durability(StrEnum):
    """What must have happened to a write before the caller hears of success."""

    MEMORY = "memory"
    """Redis has it in memory."""
    DISK = "disk"
    """Redis's append-only file is synced to disk (WAITAOF)."""
    REPLICA = "replica"
    """One replica has it (WAIT)."""


def commands(
    call: Call[Any], durability: Durability, timeout: float, *, epoch: int, tried: int, whole: bool = False
) -> list[Command]:
    """Returns what to send for a call in one write: the script, and what confirms it on the same connection.

    Args:
        call: The script's run.
        durability: What a confirmed call waits for.
        timeout: Seconds that are left for all of it. The confirmation gets most of them: its "not in time" must arrive
            before ours, or nobody could tell that the write itself was done.
        epoch: The newest epoch that the caller knows.
        tried: Milliseconds since the call was sent first, 0 if it is sent now.
        whole: Whether to send the script's text, because Redis doesn't have it. It runs and is kept in one step: one
            that is loaded first may be forgotten before it runs.
    """
    run: Command = (
        *(("EVAL", call.script.text) if whole else ("EVALSHA", call.script.sha)),
        0,
        epoch,
        tried,
        *call.args,
    )
    if not call.confirm or durability is Durability.MEMORY:
        return [run]
    milliseconds = max(1, int(timeout * 900))
    if durability is Durability.DISK:
        return [run, ("WAITAOF", 1, 0, milliseconds)]
    return [run, ("WAIT", 1, milliseconds)]


def packed(connection: Any, to_send: Sequence[Command]) -> list[bytes]:  # noqa: ANN401 - of either kind
    """Returns commands as they are sent on one of redis-py's connections.

    With hiredis at hand, without redis-py's own way there, which looks at each argument of a script several times more.
    """
    if _pack is None:
        return list(connection.pack_commands(to_send))
    return [_pack(command) for command in to_send]


def check_confirmed(answers: Sequence[Any]) -> None:
    """Checks the confirmation's answer, if one was asked for.

    Raises:
        QueueUnavailable: Redis has the write but could not confirm it in time. It isn't taken back: the job may be
            sent. Calling again with the same idempotency key asks for the confirmation again and can't send twice.
    """
    if len(answers) == 1:
        return
    confirmed = answers[1]
    if isinstance(confirmed, redis_errors.ResponseError):
        reason = f"Redis can't confirm writes: {confirmed}"
        raise QueueUnavailable(reason, handed_over=True)
    local = confirmed[0] if isinstance(confirmed, list) else confirmed
    if local < 1:
        where = "disk" if isinstance(confirmed, list) else "a replica"
        raise QueueUnavailable(f"the write was not confirmed by {where} in time", handed_over=True)


def unavailable(error: Exception, address: object, *, handed_over: bool = False) -> QueueUnavailable:
    """Names the reason for which Redis could not be used.

    Args:
        error: What redis-py or the network raised.
        address: Where Redis is, without credentials.
        handed_over: Whether Redis may have got what was to be written.
    """
    return QueueUnavailable(f"Redis at {address}: {_reason(error)}", handed_over=handed_over)


def _reason(error: Exception) -> str:
    for kind, reason in _KINDS:
        if isinstance(error, kind):
            return _lacking(str(error)) if reason is _LACKING else reason
    text = str(error)
    lowered = text.lower()
    for sign, reason in _SIGNS:
        if sign in lowered:
            return _lacking(text) if reason is _LACKING else reason
    # redis-py and asyncio make texts of the network's errors, each its own, and both with the number.
    if found := _NUMBER.search(text):
        return os.strerror(int(found[1])).lower()
    return text[:200] or type(error).__name__


def _lacking(text: str) -> str:
    named = _LACKED.search(text)
    return f"{_LACKING}: {named[1]}" if named else f"{_LACKING}; the server's ACL LOG says which"


#: The server doesn't say which key was refused; `_lenient.lua` does.
_LACKING = "access refused: a right is missing in the user's ACL"
_LACKED = re.compile(r"\(([A-Z]+ [\w:.]+)\)")

_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.AuthenticationError, "access refused: check the user name, the password and the ACL"),
    (redis_errors.NoPermissionError, _LACKING),
    (redis_errors.OutOfMemoryError, "its memory is full"),
    (redis_errors.ReadOnlyError, "it is a read-only replica"),
    (redis_errors.BusyLoadingError, "it is loading its data"),
    (redis_errors.MaxConnectionsError, "every connection of this process is in use"),
    (redis_errors.InvalidResponse, "it doesn't answer as Redis does"),
    (redis_errors.TimeoutError, "no answer in time"),
    (TimeoutError, "no answer in time"),
)
_NUMBER = re.compile(r"\bErr(?:no|or) (\d+)")

#: Parts of messages that can't be parts of a host's name, which is in some of them.
_SIGNS = (
    ("can't write against a read only", "it is a read-only replica"),
    ("oom command not allowed", "its memory is full"),
    ("max number of clients", "it has reached its number of clients"),
    ("can not run script on cluster", "it is a cluster, which is not supported"),
    ("acl failure in script", _LACKING),
    ("misconf", "it can't write its snapshot and refuses writes (MISCONF)"),
    ("name or service not known", "the host name can't be resolved"),
    ("name resolution", "the host name can't be resolved"),
    ("no address associated", "the host name can't be resolved"),
    ("hostname mismatch", "the server's certificate is for another name"),
    ("ip address mismatch", "the server's certificate is for another name"),
    ("certificate verify failed", "the server's certificate can't be verified"),
    ("connection closed by server", "the connection was closed"),
    ("reset by peer", "the connection was closed"),
    ("connection lost", "the connection was closed"),
)
