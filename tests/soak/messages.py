"""What is sent in a soak: each message follows from the seed and its number, so that a re-offer is the same again."""

import random
import re
from dataclasses import dataclass
from typing import Final

from smsq import Sms
from smsq.lanes import LANES, Lane
from tests.support.sandbox import ordinary
from worker.sandbox.recipients import BY_NAME

#: Numbers from here on are those of the trickle, which isn't counted among the jobs.
TRICKLE: Final = 1_000_000

#: Recipients whose message is accepted while the answer gets lost, or says nothing.
_ANSWER_LOST: Final = (
    "closed-accepted", "reset-accepted", "hang-accepted", "half-status-line", "half-body", "drip-body", "endless",
    "code-3-accepted", "code-10-accepted", "code-15-accepted", "code-77-accepted", "code-999-accepted",
    "500-accepted", "503-accepted", "504-accepted", "late", "slow", "moderated",
)  # fmt: skip
#: Recipients whose message is never accepted, without the gateway's saying so: they end by their time to live.
_SILENT: Final = ("hang", "closed", "reset", "code-3", "code-999", "502")
#: Recipients that are refused for good.
_REFUSED: Final = ("no-route", "stop-listed", "code-1", "code-11", "code-12")

_NUMBER: Final = re.compile(r"soak (\d+)")
_WORDS: Final = ("Код", "заказ", "готов", "сәлем", "order", "is ready", "€5", "№", "💬", "{ok}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to offer, and how.

    Attributes:
        number: Its number, which its text begins with.
        sms: The message.
        lane: The lane.
        key: Its idempotency key, or None.
        expires_in: Seconds, or None.
        send_in: Seconds until it is to be sent, or None.
        refused: Whether the gateway refuses it.
        offer_again: Whether it is offered a second time after it was accepted.
        to_cancel: Whether it is cancelled right after it was accepted.
    """

    number: int
    sms: Sms
    lane: Lane
    key: str | None
    expires_in: float | None
    send_in: float | None
    refused: bool
    offer_again: bool
    to_cancel: bool


def draft(seed: int, number: int) -> Draft:
    """Returns the message of a number."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311 - a schedule, not a secret
    text = f"soak {number} " + " ".join(rng.choices(_WORDS, k=rng.randint(0, 6)))
    kind = rng.random()
    recipient = ordinary(rng.randrange(100_000))
    if kind < 0.10:
        recipient = BY_NAME[rng.choice(_ANSWER_LOST)].recipient
    silent = 0.10 <= kind < 0.11
    if silent:
        recipient = BY_NAME[rng.choice(_SILENT)].recipient
    refused = 0.11 <= kind < 0.14
    if refused:
        recipient = BY_NAME[rng.choice(_REFUSED)].recipient
    key = f"soak:{seed}:{number}" if rng.random() < 0.8 else None
    return Draft(
        number=number,
        sms=Sms(recipient=recipient, text=text.strip(), name=rng.choice((None, "осень"))),
        lane=rng.choice(LANES),
        key=key,
        expires_in=20.0 if silent else rng.choice((None,) * 9 + (rng.uniform(3, 60),)),
        send_in=rng.choice((None,) * 19 + (rng.uniform(1, 15),)),
        refused=refused,
        offer_again=key is not None and rng.random() < 0.1,
        to_cancel=rng.random() < 0.05,
    )


def trickle(number: int) -> Sms:
    """Returns an ordinary message of the trickle: settling an unknown outcome needs newer messages of the account."""
    return Sms(recipient=ordinary(9_000_000), text=f"soak {TRICKLE + number}")


def number_of(text: str) -> int:
    """Returns the number of the message that a text is; -1 for a text that is none of a soak."""
    found = _NUMBER.match(text)
    return int(found[1]) if found else -1
