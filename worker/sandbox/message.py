"""An accepted message, and what becomes of it as the sandbox's clock goes on.

Nothing happens to a message by itself: what its status is follows from when it was accepted, from its fate and from
what time it is now. Names of statuses are the API's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from worker.sandbox.rules import Order

MODERATION_SECONDS: Final = 15 * 60.0
"""By hand, up to 15 minutes, says the provider; here always as long as that."""

_TO_OPERATOR_SECONDS: Final = 1.0
_TO_PHONE_SECONDS: Final = 5.0


class Fate(Enum):
    """How a message ends."""

    DELIVERED = auto()
    UNDELIVERED = auto()
    EXPIRED = auto()
    REJECTED = auto()
    APPROVED = auto()
    """Moderated first, then delivered."""
    DECLINED = auto()
    """Moderated, and never sent."""


_FINAL_STATUS: Final = {
    Fate.DELIVERED: "DELIVRD",
    Fate.APPROVED: "DELIVRD",
    Fate.UNDELIVERED: "UNDELIV",
    Fate.EXPIRED: "EXPIRED",
    Fate.REJECTED: "REJECTD",
}
_MODERATED: Final = frozenset({Fate.APPROVED, Fate.DECLINED})


class Delivery(NamedTuple):
    """A message's delivery status and since when it has it (seconds since 1970)."""

    status: str
    since: float


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message that the gateway has.

    Attributes:
        message_id: Its id.
        campaign_id: The id of its campaign; each message has one of its own.
        order: What was wanted.
        sender: The signature it leaves under.
        text: As stored.
        segments: As billed.
        accepted_at: When the gateway took it, in seconds since 1970 on the sandbox's clock.
        fate: How it ends.
        parameters: The request's parameters as received, without the key.
    """

    message_id: int
    campaign_id: int
    order: Order
    sender: str
    text: str
    segments: int
    accepted_at: float
    fate: Fate
    parameters: Mapping[str, str]

    @property
    def sending_status(self) -> int:
        """What sendSmsMessage answers as `status`: 1 if the campaign waits for moderation, else 2."""
        return 1 if self.fate in _MODERATED else 2

    def started_at(self, now: float) -> float | None:
        """Returns when sending began (seconds since 1970); None if it hasn't."""
        released = self.accepted_at + (MODERATION_SECONDS if self.fate in _MODERATED else 0.0)
        start = max(released, self.order.deferred_to or 0.0)
        return None if self.fate is Fate.DECLINED or start > now else start

    def delivery(self, now: float) -> Delivery:
        """Returns the delivery status at a time (seconds since 1970)."""
        start = self.started_at(now)
        if start is None or now < start + _TO_OPERATOR_SECONDS:
            return Delivery("NEW", self.accepted_at)
        # A phone that can't be reached is given up only when the message's validity is over.
        wait = self.order.validity * 60.0 if self.fate is Fate.EXPIRED else _TO_PHONE_SECONDS
        if now < start + wait:
            return Delivery("ACCEPTD", start + _TO_OPERATOR_SECONDS)
        return Delivery(_FINAL_STATUS[self.fate], start + wait)

    def moderation_status(self, now: float) -> str:
        """Returns the campaign's `moderationStatus` at a time (seconds since 1970)."""
        if self.fate not in _MODERATED:
            return "AUTO_READY_FOR_SEND"
        if now < self.accepted_at + MODERATION_SECONDS:
            return "MODERATION"
        return "DECLINED" if self.fate is Fate.DECLINED else "READY_FOR_SEND"

    def common_status(self, now: float) -> str:
        """Returns the campaign's `commonStatus` at a time (seconds since 1970)."""
        moderation = self.moderation_status(now)
        if moderation in {"MODERATION", "DECLINED"}:
            return moderation
        return {"NEW": "READY_FOR_SEND", "ACCEPTD": "SENT"}.get(self.delivery(now).status, "DONE")
