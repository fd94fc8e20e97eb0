"""Asks the gateway what became of calls, by the contract's "Settling an unknown outcome".

When a question may be put, and what follows from its answer, is the ledger's business. Here is only what the gateway's
list shows of a job, and whether that list can be trusted to show it: "absent" is said only where the same query is seen
to find a message that is known to exist, the canary.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from smsq.gateway.answers import Outcome
from smsq.gateway.client import Client
from smsq.gateway.form import Permit
from smsq.gateway.inquiry import Inquiry
from smsq.gateway.lists import Campaign, Item, Listing, dates, describe
from smsq.gateway.matching import Question, compare, has_token, needs_campaign

__all__ = ["Canary", "Match", "Question", "Reply", "ask"]


@dataclass(frozen=True, slots=True)
class Canary:
    """The account's newest message that is known to exist.

    Attributes:
        message_id: Its id.
        recipient: Its number in canonical form.
    """

    message_id: int
    recipient: str


@dataclass(frozen=True, slots=True)
class Match:
    """A message that is or may be the job's.

    Attributes:
        message_id: Its id.
        campaign_id: The id of its campaign.
        campaign_status: 1 if the campaign waits for moderation, was declined, or doesn't say; else 2.
    """

    message_id: int
    campaign_id: int
    campaign_status: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What the gateway's list says about a job.

    Attributes:
        job_id: The job.
        word: ``found``; ``absent``: all was seen, the canary too; ``near``: the same, but for messages that may be this
            one, changed by the provider; ``empty``: nothing was found, and no canary is known to prove that there is
            nothing; ``cant_tell``.
        matches: The messages found, or near; oldest first.
        reason: Why it isn't known, in a few fixed words.
        proved: Whether the job is absent if all of the matches turn out to be other jobs'.
        failure: What a call came to in place of an answer; by its kind the caller may slow down.
    """

    job_id: str
    word: Literal["found", "absent", "near", "empty", "cant_tell"]
    matches: tuple[Match, ...] = ()
    reason: str = ""
    proved: bool = False
    failure: Outcome | None = None


_HIDDEN: Final = "the list doesn't show a message that is known to exist"
_NEAR: Final = "the list shows a message that may be this one, changed"
_NAMELESS: Final = "a campaign in question can't be read"


async def ask(
    client: Client,
    questions: Sequence[Question],
    canary: Canary | None,
    *,
    zone: ZoneInfo,
    now: float,
    permit: Permit | None = None,
    within: float | None = None,
) -> list[Reply]:
    """Asks about jobs: many by one sweep through the list, few by their numbers, whichever takes fewer calls (F93).

    Args:
        client: The gateway's client.
        questions: The jobs, the most urgent first.
        canary: A message that must be seen beside them before "absent" is said.
        zone: The account's zone.
        now: The present, in Unix seconds.
        permit: Awaited before each call: the common pace.
        within: Seconds after which nothing more is asked; what is known by then is answered.

    Returns:
        A reply for each question, in their order, whatever the gateway or the network does.
    """
    if not questions:
        return []
    deadline = None if within is None else asyncio.get_running_loop().time() + within
    since = min(question.since for question in questions)
    inquiry = Inquiry(client, dates(since, now, zone), permit=permit, deadline=deadline)
    asking = _Round(inquiry, canary, zone, now)
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.recipient, []).append(question)
    replies: dict[str, Reply] = {}
    if len(groups) > 1:
        replies |= await asking.sweep(questions)
    for number, group in groups.items():
        if left := [question for question in group if question.job_id not in replies]:
            replies |= await asking.one_number(number, left)
    return [replies[question.job_id] for question in questions]


class _Look(NamedTuple):
    """Whether the canary was seen; if not, why, and what a call came to in place of an answer."""

    shown: bool
    problem: str = _HIDDEN
    failure: Outcome | None = None


class _Round:
    """Questions that are put together.

    Args:
        inquiry: The calls, all over the same window.
        canary: The message to be seen beside what is asked about.
        zone: The account's zone.
        now: The present, in Unix seconds.
    """

    def __init__(self, inquiry: Inquiry, canary: Canary | None, zone: ZoneInfo, now: float) -> None:
        self._inquiry = inquiry
        self._canary = canary
        self._zone = zone
        self._now = now
        self._canary_look: _Look | None = None

    async def sweep(self, questions: Sequence[Question]) -> dict[str, Reply]:
        """Looks for all of them in one list of all numbers, as long as that takes fewer calls than asking one by one.

        Args:
            questions: The jobs, with more than one number among them.

        Returns:
            A reply to each that the list was enough for; to all, if it can't be asked for.
        """

        def enough(listing: Listing) -> bool:
            missing = {question.recipient for question in questions if not _seen(question, listing)}
            return not missing or listing.pages_left > len(missing) + (self._canary is not None)

        listing = await self._read({}, {question.recipient for question in questions}, enough)
        look = _Look(self._shows_canary(listing))
        return {
            question.job_id: await self._reply(question, listing, look)
            for question in questions
            if listing.complete or listing.failure or _seen(question, listing)
        }

    async def one_number(self, number: str, questions: Sequence[Question]) -> dict[str, Reply]:
        """Looks for jobs in the list of their number, and for the canary, if need be, in that of its own.

        Args:
            number: The number.
            questions: The jobs, all of this number.

        Returns:
            A reply to each.
        """
        listing = await self._read(
            {"criteria[to]": number}, {number}, lambda listing: all(_seen(each, listing) for each in questions)
        )
        look = _Look(shown=True) if self._shows_canary(listing) else None
        return {question.job_id: await self._reply(question, listing, look) for question in questions}

    async def _read(self, criteria: Mapping[str, str], numbers: set[str], enough: Callable[[Listing], bool]) -> Listing:
        kept = numbers if self._canary is None else numbers | {self._canary.recipient}
        return await self._inquiry.read(criteria, kept, enough)

    def _shows_canary(self, listing: Listing) -> bool:
        canary = self._canary
        return canary is not None and any(item.message_id == canary.message_id for item in listing.to(canary.recipient))

    async def _look_for_canary(self) -> _Look:
        """Looks for the canary by its number, once a round.

        That comes after the question, whose list may have caught up in between. Who takes an absence for certain asks
        twice (`answer.lua`), and the second question comes after the canary was seen.
        """
        if self._canary is None:
            return _Look(shown=False)
        if self._canary_look is None:
            listing = await self._read({"criteria[to]": self._canary.recipient}, set(), self._shows_canary)
            look = _Look(self._shows_canary(listing), listing.problem or _HIDDEN, listing.failure)
            if look.failure:
                return look
            self._canary_look = look
        return self._canary_look

    async def _reply(self, question: Question, listing: Listing, look: _Look | None) -> Reply:
        """Says what a list shows of one job; without a look for the canary in the same list, it is looked up."""
        job_id = question.job_id
        items, problem, failure = await self._with_campaigns(question, listing.to(question.recipient))
        ours, near = compare(question, items, zone=self._zone, now=self._now)
        if ours and question.token:
            return Reply(job_id, "found", _matches(ours))
        if not listing.complete:
            return Reply(job_id, "cant_tell", reason=listing.problem, failure=listing.failure)
        if problem:
            return Reply(job_id, "cant_tell", reason=problem, failure=failure)
        look = look or await self._look_for_canary()
        if ours:
            return Reply(job_id, "found", _matches(ours), proved=look.shown and not near)
        if self._canary is None:
            return Reply(job_id, "cant_tell", reason=_NEAR) if near else Reply(job_id, "empty")
        if not look.shown:
            return Reply(job_id, "cant_tell", reason=look.problem, failure=look.failure)
        return Reply(job_id, "near", _matches(near), _NEAR, proved=True) if near else Reply(job_id, "absent")

    async def _with_campaigns(
        self, question: Question, items: Sequence[Item]
    ) -> tuple[list[Item], str, Outcome | None]:
        """Asks for the campaigns that the list left out, as far as they matter; says what couldn't be read, and why."""
        told: list[Item] = []
        problem, failure, found = "", None, False
        for given in items:
            item = given
            if not found and needs_campaign(question, item):  # once found, what is older isn't worth a call
                campaign = await self._inquiry.campaign(item.campaign_id)
                if not isinstance(campaign, Campaign):
                    problem, failure = (describe(campaign) if campaign else _NAMELESS), campaign
                    continue
                item = replace(item, campaign=campaign)
            told.append(item)
            found = found or has_token(item.campaign.name, question.token)
        return told, problem, failure


def _seen(question: Question, listing: Listing) -> bool:
    """Whether a list, read to its end or not, is enough for a question: only its token makes that sure."""
    return any(has_token(item.campaign.name, question.token) for item in listing.to(question.recipient))


def _matches(items: Sequence[Item]) -> tuple[Match, ...]:
    return tuple(Match(item.message_id, item.campaign_id, item.campaign.status) for item in items)
