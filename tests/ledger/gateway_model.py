"""The gateway as the state machine has it: what it has accepted, or will, and what its list shows of it."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

#: What a call can come to, and how many units later the gateway accepts the message, or None: never. Those that are
#: lost look alike to us: no answer came.
OUTCOMES: dict[str, int | None] = {
    "accepted": 0,
    "refused": None,
    "try_again": None,
    "lost": None,
    "lost_accepted": 0,
    "lost_later": 1,
    "lost_latest": 2,
}


class Message(NamedTuple):
    """A message that the gateway has, or will have.

    Attributes:
        id: messageId.
        accepted: When it is accepted.
        shown: When its list shows it.
    """

    id: int
    accepted: int
    shown: int


@dataclass
class Gateway:
    """What the gateway has, whatever the ledger thinks. Moments are in units.

    Attributes:
        messages: By job.
        stuck: Since when its list has not become any newer, or None.
    """

    messages: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    stuck: int | None = None
    next_id: int = 98  # across the border between two keys of the ledger's index

    def call(self, job_id: str, outcome: str, delay: int, now: int) -> int:
        """Takes a call; returns the messageId, 0 if it never accepts it.

        Args:
            job_id: For which job.
            outcome: One of `OUTCOMES`.
            delay: Units until its list shows the message.
            now: The moment of the call.
        """
        late = OUTCOMES[outcome]
        if late is None:
            return 0
        self.next_id += 1
        self.messages[job_id].append(Message(self.next_id, now + late, now + late + delay))
        return self.next_id

    def has(self, job_id: str) -> int:
        """Returns how many messages of a job it has, or will have without another call."""
        return len(self.messages[job_id])

    def shows(self, message: Message, now: int) -> bool:
        """Returns whether its list shows a message."""
        return message.shown <= now and (self.stuck is None or message.accepted < self.stuck)

    def listed(self, job_id: str, now: int) -> list[Message]:
        """Returns the messages of a job that its list shows."""
        return [message for message in self.messages[job_id] if self.shows(message, now)]
