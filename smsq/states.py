"""The states of a job, and which may follow which.

The Lua scripts are the only ones that change a state; the tests hold them to this table, and the README's diagram is
drawn from it.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a job is in its life. The five last ones are final."""

    SCHEDULED = "scheduled"
    """Waits for its moment (``send_at``, or a deferral that came due in the queue)."""
    QUEUED = "queued"
    """On its lane, or taken off it by a worker that has not begun."""
    SENDING = "sending"
    """A worker has begun, or the gateway is being asked: it may have the message."""
    RETRYING = "retrying"
    """The gateway certainly doesn't have it; waits for the next try."""
    SENT = "sent"
    """The gateway accepted it; the ids are stored. It may still become `FAILED`, if a moderator declines it."""
    FAILED = "failed"
    """It will never be sent as it stands, or a moderator declined it; the error says why."""
    UNKNOWN = "unknown"
    """The gateway may have it and can't be asked."""
    EXPIRED = "expired"
    """Its time ran out before the gateway was called."""
    CANCELLED = "cancelled"
    """It was stopped before the gateway was called."""

    @property
    def final(self) -> bool:
        """Whether the job has ended: nobody will call for it any more."""
        return self in FINAL


FINAL = frozenset({State.SENT, State.FAILED, State.UNKNOWN, State.EXPIRED, State.CANCELLED})

_ENDED_BEFORE_A_CALL = frozenset({State.EXPIRED, State.CANCELLED, State.FAILED})

#: From each state to those that may follow it. ``SENT`` follows every state, also a final one: "sent, with these ids"
#: is the truth, whoever says it and however late (rule 11). A waiting job that may have been called before, though the
#: ledger doesn't know it, is asked about first, as one that is being sent. An operator's retry leads out of an end.
#: What was sent and then declined by a moderator has failed after all.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.QUEUED, State.SENDING, State.SENT}) | _ENDED_BEFORE_A_CALL,
    State.QUEUED: frozenset({State.SENDING, State.SENT}) | _ENDED_BEFORE_A_CALL,
    State.SENDING: frozenset(set(State) - {State.SENDING}),
    State.RETRYING: frozenset({State.QUEUED, State.SENDING, State.SENT}) | _ENDED_BEFORE_A_CALL,
    State.SENT: frozenset({State.FAILED}),
    State.FAILED: frozenset({State.SENT, State.QUEUED, State.SENDING}),
    State.UNKNOWN: frozenset({State.SENT, State.QUEUED, State.SENDING}),
    State.EXPIRED: frozenset({State.SENT}),
    State.CANCELLED: frozenset({State.SENT}),
}
