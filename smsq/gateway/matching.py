"""Whether a message in the gateway's list is the one that a job's call may have left there.

A campaign's name that ends with the job's own token decides. Where names carry no token, number, text, sender and time
decide; the provider may have changed text and sender (F70), so what is merely near is told apart from what is ours and
from what surely isn't.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from smsq.gateway.lists import Item
from smsq.message import TOKEN_LENGTH, campaign_token


@dataclass(frozen=True, slots=True)
class Question:
    """A job whose message the gateway may have.

    Attributes:
        job_id: The job.
        recipient: Its number in canonical form, digits only.
        text: The text that was sent.
        sender: The signature that was asked for; None for the account's default.
        token: What the name of its campaign ends with (`campaign_token`); '' if names carry no tokens.
        since: The earliest moment of a call that isn't settled, in Unix seconds.
    """

    job_id: str
    recipient: str
    text: str
    sender: str | None
    token: str
    since: float


class Verdict(NamedTuple):
    """What a list shows of a job.

    Attributes:
        ours: Messages that are the job's; without a token: unless another job owns them.
        near: Messages that may be the job's, changed by the provider, and may be somebody else's.
    """

    ours: list[Item]
    near: list[Item]


_CLOCKS: Final = 900.0
"""Seconds by which the gateway's clock may differ from ours where the time decides."""

_QUOTES: Final = str.maketrans(dict.fromkeys("«»“”„‟″", '"') | dict.fromkeys("‘’‚‛‹›′`´ʼ", "'"))
_LINK: Final = re.compile(r"https?://\S+|(?:[\w-]+\.)+[^\W\d_]{2,}(?:/\S*)?", re.IGNORECASE)
_TOKEN: Final = re.compile(rf"(?:^| )#[a-z0-9]{{{TOKEN_LENGTH - 1}}}$", re.ASCII)


def has_token(name: str | None, token: str) -> bool:
    """Whether a campaign's name is the token alone, or ends with it as a word of its own, as `api_form` writes it.

    Args:
        name: The name; None if it isn't known.
        token: The token; '' is no token, and no name has it.
    """
    return bool(token) and name is not None and (name == token or name.endswith(f" {token}"))


def needs_campaign(question: Question, item: Item) -> bool:
    """Whether a list that leaves an item's campaign out leaves open whose the item is (the contract, "Settling", 3).

    Args:
        question: The job.
        item: A message to its number.

    Returns:
        True if campaign/get has to tell.
    """
    if question.token:
        return item.campaign.name is None
    return item.campaign.created is None and _may_be(question.text, item.text)


def compare(question: Question, items: Sequence[Item], *, zone: ZoneInfo, now: float) -> Verdict:
    """Sorts out the messages to a job's number.

    Args:
        question: The job.
        items: The messages to exactly this number, whose campaigns are known as far as `needs_campaign` asks for it.
        zone: The account's zone.
        now: The present, in Unix seconds.

    Returns:
        Those that are the job's, and those that may be; both oldest first.
    """
    own = question.token or campaign_token(question.job_id)  # an earlier call may have been made with tokens
    ours, near = [], []
    for item in sorted(items, key=lambda item: item.message_id):
        name = item.campaign.name or ""
        if has_token(name, own):
            ours.append(item)
        elif _TOKEN.search(name) or not _may_be(question.text, item.text):
            continue  # another job's, or another message
        elif not question.token and _is_same(question, item, zone, now):
            ours.append(item)
        else:
            near.append(item)
    return Verdict(ours, near)


def _is_same(question: Question, item: Item, zone: ZoneInfo, now: float) -> bool:
    """Whether text, sender and time are the job's. The sender counts only where one was asked for."""
    return (
        _normalise(item.text) == _normalise(question.text)
        and question.sender in (None, item.sender)
        and _within(item.campaign.created, question.since - _CLOCKS, now + _CLOCKS, zone)
    )


def _within(written: str | None, first: float, last: float, zone: ZoneInfo) -> bool:
    """Whether a time of the gateway lies in a span; of an hour that a clock change repeats, either one counts."""
    try:
        local = datetime.strptime(written or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
        return any(first <= local.replace(fold=fold).timestamp() <= last for fold in (0, 1))
    except (ValueError, OverflowError):
        return False


def _may_be(ours: str, theirs: str) -> bool:
    """Whether a stored text may be what became of ours.

    Providers trim, cut, shorten links, fold quotes, drop emoji, and replace letters by others. What they leave alone is
    the figures, and these are what tells two messages of one kind apart: codes, sums, times.
    """
    ours, theirs = _normalise(ours), _normalise(theirs)
    return ours.startswith(theirs) or theirs.startswith(ours) or _figures(ours) == _figures(theirs)


def _normalise(text: str) -> str:
    """Takes out what providers change in silence: composition, quotes, white space."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_QUOTES).split())


def _figures(text: str) -> list[int]:
    """Returns the digits of a text in their order, without those of links."""
    return [unicodedata.decimal(character) for character in _LINK.sub(" ", text) if character.isdecimal()]
