"""What a soak's producers enqueue: every message follows from the seed and its number, so nobody has to write it down.

Messages come in groups that share their options, because `enqueue_many` takes one set of options for all.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from smsq.lanes import Lane
from tests.support.sandbox import ordinary
from worker.sandbox.recipients import BY_NAME

Way = Literal["one", "many", "async"]

GROUP: Final = 5
"""Messages in a group."""
BATCH: Final = 6
"""Groups that may share a batch."""

_LANES: Final[tuple[Lane, ...]] = ("urgent", "normal", "normal", "bulk", "bulk")
_WAYS: Final[tuple[Way, ...]] = ("one", "many", "async")

#: Accepted, and the answer is lost or says nothing: only asking tells.
_LOST: Final = (
    "closed-accepted",
    "reset-accepted",
    "half-status-line",
    "half-body",
    "hang-accepted",
    "slow",
    "500-accepted",
    "504-accepted",
    "code-3-accepted",
    "code-10-accepted",
    "code-999-accepted",
    "json-cut",
    "html-200",
    "id-null",
)
#: Refused for good.
_REFUSED: Final = ("no-route", "stop-listed", "code-11")
#: Never accepted, and nothing says so: called again and again until their time is over.
_VANISHING: Final = ("closed", "reset", "500", "code-3")
#: Accepted in the end.
_TROUBLED: Final = ("code-30-twice", "429-twice", "503-twice", "reset-twice", "moderated", "declined", "ids-numbers")

_TEXT: Final = re.compile(r"Soak ([0-9]+), message ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Group:
    """Messages with the same options.

    Attributes:
        numbers: The messages' numbers.
        way: How they are enqueued.
        lane: Their lane.
        batch: Their batch, or None.
        cancels_batch: Whether the whole batch is cancelled once these are enqueued.
        keyed: Whether each has an idempotency key.
        expires_in: Seconds, or None.
        delay: Seconds from now to their `send_at`, or None.
        on_unknown: As for `enqueue`.
        vanishing: Whether the gateway takes none of them and doesn't say so; they have a time to expire.
        repeat_after: Seconds after which those of them that are repeated are offered once more.
    """

    numbers: range
    way: Way
    lane: Lane
    batch: str | None
    cancels_batch: bool
    keyed: bool
    expires_in: float | None
    delay: float | None
    on_unknown: Literal["ask", "resend"]
    vanishing: bool
    repeat_after: float


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        number: Its number in the soak.
        recipient: A phone number; some bring a misbehaviour of the sandbox on.
        text: Unlike every other message's.
        key: Its idempotency key, or None.
        repeated: Whether it is offered once more after it was accepted.
        cancel_after: Seconds after which its producer tries to cancel it, or None.
        refused: Whether the gateway refuses its number for good.
        group: What it shares with others.
    """

    number: int
    recipient: str
    text: str
    key: str | None
    repeated: bool
    cancel_after: float | None
    refused: bool
    group: Group


class Traffic:
    """All messages of a soak.

    Args:
        seed: What they follow from.
        jobs: How many there are. Numbers from there on are ordinary messages, which keep the account busy.
    """

    def __init__(self, seed: int, jobs: int) -> None:
        self.seed = seed
        self.jobs = jobs
        self.group = cache(self._group)

    def groups(self, first: int, end: int) -> Iterator[Group]:
        """Yields the groups of the messages from `first` up to `end`; both begin a group, or end the soak."""
        for number in range(first, end, GROUP):
            yield self.group(number // GROUP)

    def message(self, number: int) -> Message:
        """Returns a message by its number."""
        group = self.group(number // GROUP) if number < self.jobs else self._ordinary_group(number)
        dice = random.Random(f"{self.seed}/message/{number}")  # noqa: S311 - reproducible, not secret
        recipient, refused = self._recipient(dice, number, vanishing=group.vanishing)
        return Message(
            number=number,
            recipient=recipient,
            text=f"Soak {self.seed}, message {number}",
            key=f"soak:{self.seed}:{number}" if group.keyed else None,
            repeated=group.keyed and dice.random() < 0.1,
            cancel_after=dice.choice((0.0, 0.1, 0.5)) if number < self.jobs and dice.random() < 0.04 else None,
            refused=refused,
            group=group,
        )

    def number_of(self, text: str) -> int | None:
        """Returns the number of the message with that text, or None if it is none of this soak's."""
        found = _TEXT.fullmatch(text)
        return int(found[2]) if found and int(found[1]) == self.seed else None

    def _group(self, index: int) -> Group:
        dice = random.Random(f"{self.seed}/group/{index}")  # noqa: S311
        batch_dice = random.Random(f"{self.seed}/batch/{index // BATCH}")  # noqa: S311
        batched, cancelled = batch_dice.random() < 0.3, batch_dice.random() < 0.1
        vanishing = dice.random() < 0.01
        expires_in = dice.choice((8.0, 15.0)) if vanishing else dice.choice((None, None, None, 5.0, 60.0, 600.0))
        return Group(
            numbers=range(index * GROUP, min((index + 1) * GROUP, self.jobs)),
            way=dice.choice(_WAYS),
            lane=dice.choice(_LANES),
            batch=f"batch-{index // BATCH}" if batched else None,
            cancels_batch=batched and cancelled and index % BATCH == BATCH // 2,
            keyed=dice.random() < 0.7,
            expires_in=expires_in,
            delay=dice.choice((1.0, 3.0, 8.0)) if dice.random() < 0.08 else None,
            on_unknown="resend" if dice.random() < 0.02 else "ask",
            vanishing=vanishing,
            repeat_after=dice.choice((0.0, 0.5, 3.0)),
        )

    @staticmethod
    def _ordinary_group(number: int) -> Group:
        return Group(
            numbers=range(number, number + 1),
            way="one",
            lane="normal",
            batch=None,
            cancels_batch=False,
            keyed=True,
            expires_in=None,
            delay=None,
            on_unknown="ask",
            vanishing=False,
            repeat_after=0.0,
        )

    def _recipient(self, dice: random.Random, number: int, *, vanishing: bool) -> tuple[str, bool]:
        """Returns a phone number, and whether the gateway refuses it."""
        chance = dice.random()
        if vanishing:
            return BY_NAME[dice.choice(_VANISHING)].recipient, False
        if number >= self.jobs or chance > 0.1:
            # Some share a number: what is found for it isn't one's own.
            return ordinary(dice.randrange(20) if dice.random() < 0.2 else 1000 + number), False
        if chance < 0.01:
            return BY_NAME[dice.choice(_REFUSED)].recipient, True
        names = _TROUBLED if chance < 0.03 else _LOST
        return BY_NAME[dice.choice(names)].recipient, False
