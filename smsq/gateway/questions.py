"""Asks the gateway what became of calls, by the contract's "Settling an unknown outcome".

Nothing here knows when a question may be put, or what follows from its answer: that is the ledger's. Here is only what
the gateway's list shows, and whether it can be trusted to show it: "absent" is said only where the same query has found
a message that is known to exist, the canary.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final, Literal
from zoneinfo import ZoneInfo

from smsq.gateway.client import Client
from smsq.gateway.form import Permit
from smsq.gateway.lists import PAGE, Campaign, Item, Listed, get_campaign, read_list, window


@dataclass(frozen=True, slots=True)
class Question:
    """A job that is asked about.

    Attributes:
        job_id: The job.
        recipient: Its number, digits only.
        text: Its text.
        sender: The signature that was asked for, or None.
        token: What its campaign's name ends with; '' if names carry none.
        since: Unix seconds of the earliest call that isn't settled.
    """

    job_id: str
    recipient: str
    text: str
    sender: str | None
    token: str
    since: float


@dataclass(frozen=True, slots=True)
class Canary:
    """The account's newest message that is known to exist."""

    message_id: int
    recipient: str


@dataclass(frozen=True, slots=True)
class Match:
    """A message that may be the job's: its ids, and 1 if it waits for moderation, else 2."""

    message_id: int
    campaign_id: int
    campaign_status: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What the gateway's list says about a job.

    Attributes:
        job_id: The job.
        word: ``found``; ``absent``: all was seen, the canary too; ``near``: the same, but for messages that may be this
            one, altered by the gateway (only without tokens); ``empty``: nothing was found, and no canary is known to
            prove that there is nothing; ``cant_tell``.
        matches: Those found, or near; oldest first.
        reason: Why it can't tell, in a few words.
        proved: Whether all was seen, and the canary too: if the matches turn out to be other jobs', this one is absent.
    """

    job_id: str
    word: Literal["found", "absent", "near", "empty", "cant_tell"]
    matches: tuple[Match, ...] = ()
    reason: str = ""
    proved: bool = False


#: How alike two texts are, from 0 to 1, of which one may be the other as the gateway has altered it (F70).
_NEAR: Final = 0.6
_QUOTES: Final = str.maketrans({"«": '"', "»": '"', "“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "`": "'"})


async def ask(
    client: Client,
    questions: Sequence[Question],
    canary: Canary | None,
    *,
    zone: ZoneInfo,
    now: float,
    permit: Permit | None = None,
) -> list[Reply]:
    """Asks about jobs: many by one sweep through the list, few by their numbers.

    Args:
        client: The gateway's client.
        questions: The jobs.
        canary: A message that must be found beside them for "absent" to mean anything.
        zone: The account's zone.
        now: Unix seconds.
        permit: Awaited before each call: the common pace.

    Returns:
        A reply for each question, in their order.
    """
    asked = _Asked(client, canary, window(min(each.since for each in questions), now, zone), permit)
    if len(questions) > 1 and (replies := await asked.sweep(questions)) is not None:
        return replies
    return [await asked.one(each) for each in questions]


class _Asked:
    """One round of questions, over one window."""

    def __init__(self, client: Client, canary: Canary | None, dates: dict[str, str], permit: Permit | None) -> None:
        self._client = client
        self._canary = canary
        self._dates = dates
        self._permit = permit
        self._campaigns: dict[int, Campaign | None] = {}
        self._canary_seen: bool | None = None

    async def sweep(self, questions: Sequence[Question]) -> list[Reply] | None:
        """Reads the whole list for all of them (F93); None if single questions cost less."""
        by_number: dict[str, list[Question]] = {}
        for each in questions:
            by_number.setdefault(each.recipient, []).append(each)
        worth = (len(questions) + 1) * PAGE
        tokens = all(each.token for each in questions)

        def enough(listed: Listed) -> bool:
            if listed.total > worth:
                return True
            return tokens and all(any(_has_token(item, each) for item in listed.items.values()) for each in questions)

        listed = await read_list(self._client, self._dates, enough=enough, permit=self._permit)
        if listed.total > worth and not listed.problem:
            return None
        seen = self._canary is not None and self._canary.message_id in listed.items
        return [await self._reply(each, listed, seen=seen) for each in questions]

    async def one(self, question: Question) -> Reply:
        """Asks by the number, and for the canary by its own, with the same dates."""
        listed = await self._read(question.recipient, enough=lambda _: False)
        reply = await self._reply(question, listed, seen=True)
        if not reply.proved or (reply.word == "found" and question.token):
            return reply
        return await self._reply(question, listed, seen=await self._sees_canary())

    async def _read(self, recipient: str, *, enough: Callable[[Listed], bool]) -> Listed:
        criteria = self._dates | {"criteria[to]": recipient}
        return await read_list(self._client, criteria, enough=enough, permit=self._permit)

    async def _sees_canary(self) -> bool:
        if self._canary is None:
            return False
        if self._canary_seen is None:
            wanted = self._canary.message_id
            listed = await self._read(self._canary.recipient, enough=lambda found: wanted in found.items)
            self._canary_seen = wanted in listed.items
        return self._canary_seen

    async def _reply(self, question: Question, listed: Listed, *, seen: bool) -> Reply:
        """Says what a list shows of one job. `criteria[to]` matches parts of numbers: compared exactly here (F64)."""
        own = [item for item in listed.items.values() if item.to == question.recipient]
        if question.token:
            own, problem = await self._name(own)
            found, near = [item for item in own if _has_token(item, question)], []
        else:
            problem = ""
            found = [item for item in own if _is_same(item, question)]
            near = [item for item in own if item not in found and _is_near(item, question)]
        problem = listed.problem or problem
        if not problem and not seen and self._canary:
            problem = "the list doesn't show a message that is known to exist"
        if found:
            return Reply(question.job_id, "found", _matches(found), proved=not problem and seen)
        if problem:
            return Reply(question.job_id, "cant_tell", reason=problem)
        if not seen:
            return Reply(question.job_id, "empty")
        return Reply(question.job_id, "near" if near else "absent", _matches(near), proved=True)

    async def _name(self, items: Sequence[Item]) -> tuple[list[Item], str]:
        """Asks for the campaigns of which the list gave no name."""
        named: list[Item] = []
        for item in items:
            campaign: Campaign | None = item.campaign
            if item.campaign.name is None:
                if item.campaign_id not in self._campaigns:
                    self._campaigns[item.campaign_id] = await get_campaign(self._client, item.campaign_id, self._permit)
                campaign = self._campaigns[item.campaign_id]
            if campaign is None or campaign.name is None:
                return named, "a campaign's name can't be read"
            named.append(replace(item, campaign=campaign))
        return named, ""


def _matches(items: Sequence[Item]) -> tuple[Match, ...]:
    ordered = sorted(items, key=lambda item: item.message_id)
    return tuple(Match(item.message_id, item.campaign_id, item.campaign.status) for item in ordered)


def _has_token(item: Item, question: Question) -> bool:
    """The token is the whole name, or its last word (`api_form`)."""
    name = item.campaign.name or ""
    return item.to == question.recipient and (name == question.token or name.endswith(f" {question.token}"))


def _is_same(item: Item, question: Question) -> bool:
    """The same text under the signature that was asked for, or any if none was."""
    same = _normalised(item.text) == _normalised(question.text)
    return same and (question.sender is None or item.sender == question.sender)


def _is_near(item: Item, question: Question) -> bool:
    """May be ours all the same: the gateway replaces signatures, shortens links, trims and drops characters."""
    return SequenceMatcher(None, _normalised(item.text), _normalised(question.text)).ratio() >= _NEAR


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).translate(_QUOTES).split())
