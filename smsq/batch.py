"""A batch: jobs that were enqueued under one name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from smsq.states import State

_WAITING = (State.SCHEDULED, State.QUEUED, State.RETRYING)
_DELIVERY = "delivery:"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's counts, as they were when it was looked up.

    Attributes:
        id: The batch's name.
        counts: Jobs by state; every state is there.
        first: When its first job was accepted.
        last: When one of its jobs last changed.
        cancelled: Whether it was cancelled as a whole.
        moderation: How many of the sent ones wait for a moderator.
        declined: How many of the failed ones a moderator declined.
        deliveries: Sent messages by the gateway's status, those that are known (`SMSQ_DELIVERY`).
    """

    id: str
    counts: Mapping[State, int]
    first: datetime
    last: datetime
    cancelled: bool
    moderation: int = 0
    declined: int = 0
    deliveries: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())

    def as_dict(self) -> dict[str, Any]:
        """Returns the batch as JSON types."""
        return {
            "id": self.id,
            "total": self.total,
            **{str(state): number for state, number in self.counts.items()},
            "cancelled_as_a_whole": self.cancelled,
            "first": self.first.isoformat(timespec="milliseconds"),
            "last": self.last.isoformat(timespec="milliseconds"),
            "moderation": self.moderation,
            "declined": self.declined,
            "deliveries": dict(self.deliveries),
        }


def read_batch(batch_id: str, record: Mapping[str, int]) -> Batch | None:
    """Makes a Batch of its record; None if there is none.

    The waiting jobs of a cancelled batch count as cancelled, before any worker has written it.
    """
    if "first" not in record:
        return None
    counts = {state: max(0, record.get(state, 0)) for state in State}
    cancelled = "stopped" in record
    if cancelled:
        for state in _WAITING:
            counts[State.CANCELLED] += counts[state]
            counts[state] = 0
    first, last = (datetime.fromtimestamp(record[name] / 1000, UTC) for name in ("first", "last"))
    moderation, declined = (max(0, record.get(name, 0)) for name in ("moderation", "declined"))
    return Batch(batch_id, counts, first, last, cancelled, moderation, declined, _deliveries(record))


def _deliveries(record: Mapping[str, int]) -> dict[str, int]:
    counts = {name.removeprefix(_DELIVERY): number for name, number in record.items() if name.startswith(_DELIVERY)}
    return {status: counts[status] for status in sorted(counts) if counts[status] > 0}
