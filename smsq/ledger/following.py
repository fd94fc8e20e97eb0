"""What became of messages after they were sent: a moderator's decision, and whether they were delivered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.job import JobError
from smsq.scripts import Call, script, text

FollowedWord = Literal["declined", "passed", "delivery", "later", "stale"]
FOLLOWED_WORDS: frozenset[str] = frozenset(get_args(FollowedWord))

#: Milliseconds until a message's delivery is asked about first, and the longest pause between two questions: each is
#: twice the one before.
FIRST_LOOK, LONGEST_PAUSE = 60_000, 3_600_000
#: Minutes for which an operator tries to deliver, if a message says nothing else; and milliseconds for which its status
#: is asked about after that.
LONGEST_VALIDITY, MARGIN = 1440, 7_200_000


class Following(NamedTuple):
    """When a message's delivery is asked about: ms until the first question, and after which nobody asks any more."""

    first: int
    until: int

    @classmethod
    def of(cls, validity: int | None, wait: float) -> "Following":
        """Plans the questions about a message that was just sent.

        Args:
            validity: Minutes for which the operator tries, as the message says.
            wait: Seconds for which the gateway keeps it back (its deferral); less than 0 for none.
        """
        held = round(max(0.0, wait) * 1000)
        return cls(held + FIRST_LOOK, held + (validity or LONGEST_VALIDITY) * 60_000 + MARGIN)

    def as_dict(self) -> dict[str, int]:
        """Returns what the scripts read beside a message's ids."""
        return {"follow": self.first, "follow_for": self.until}


class Moderated(NamedTuple):
    """A job whose campaign waits for a moderator, and the number that was called."""

    job_id: str
    campaign_id: int
    recipient: str


class Underway(NamedTuple):
    """A job whose message's delivery is open."""

    job_id: str
    message_id: int


class Followed(NamedTuple):
    """What is to be asked about: how many entries were looked at, and what they gave."""

    entries: int
    moderated: list[Moderated]
    underway: list[Underway]


def follow(entries: int, *, campaigns: int, messages: int, lease: int, delivery: bool, worker: str) -> Call[Followed]:
    """Takes messages whose moment has come to be asked about, each for ``lease`` ms.

    Args:
        entries: How many are looked at, at most.
        campaigns: Of how many a moderator's decision may be asked for.
        messages: Of how many the delivery may be asked for.
        lease: Milliseconds.
        delivery: Whether deliveries are wanted.
        worker: Who asks: its gate may be closed.
    """

    def parse(answer: list[Any]) -> Followed:
        looked, moderated, underway = answer[0], iter(answer[1]), iter(answer[2])
        return Followed(
            looked,
            [Moderated(text(job), int(each), text(number)) for job, each, number in zip(*[moderated] * 3, strict=True)],
            [Underway(text(job), int(each)) for job, each in zip(*[underway] * 2, strict=True)],
        )

    return Call(script("follow"), [entries, campaigns, messages, lease, int(delivery), worker], parse)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a moderator decided.

    Attributes:
        job_id: The job.
        campaign_id: The campaign that was asked about.
        word: ``waits``, ``passed`` or ``declined``.
        error: Why, with ``declined``.
    """

    job_id: str
    campaign_id: int
    word: Literal["waits", "passed", "declined"]
    error: JobError | None = None

    def to_json(self) -> str:
        """Returns what `followed.lua` reads."""
        given = {"id": self.job_id, "campaign": str(self.campaign_id), "word": self.word}
        if self.error:
            given["error"] = self.error.to_json()
        return json.dumps(given, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a message has come.

    Attributes:
        job_id: The job.
        message_id: The message that was asked about.
        status: The gateway's word; '' if it doesn't know the message.
        final: Whether it is the last word.
    """

    job_id: str
    message_id: int
    status: str
    final: bool

    def to_json(self) -> str:
        """Returns what `followed.lua` reads."""
        given = {"id": self.job_id, "message": str(self.message_id), "status": self.status, "final": self.final}
        return json.dumps(given, separators=(",", ":"))


def followed(told: Sequence[Decision | Delivery], *, retention: int, delivery: bool) -> Call[list[FollowedWord]]:
    """Writes down what the gateway said of messages; returns what became of each (see `followed.lua`).

    Args:
        told: What it said.
        retention: Milliseconds that a job which has failed by it is kept.
        delivery: Whether deliveries are wanted.
    """

    def parse(answers: list[bytes]) -> list[FollowedWord]:
        return [cast("FollowedWord", text(word)) for word in answers]

    args: list[str | bytes | int | float] = [
        retention, int(delivery), FIRST_LOOK, LONGEST_PAUSE, LONGEST_VALIDITY * 60_000 + MARGIN,
    ]  # fmt: skip
    # An end that isn't "sent" must stay (rule 23).
    ends = any(isinstance(each, Decision) and each.word == "declined" for each in told)
    return Call(script("followed"), [*args, *(each.to_json() for each in told)], parse, confirm=ends)


def ask_delivery(message_id: str) -> Call[bool]:
    """Has a message asked about sooner; False if nobody follows it."""
    return Call(script("ask_delivery"), [message_id], bool)
