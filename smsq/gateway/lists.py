"""Reads the gateway's list of messages: all pages of one query, or the reason why they prove nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from smsq.gateway.answers import whole_number
from smsq.gateway.client import CAMPAIGN_GET, MESSAGE_LIST, Client
from smsq.gateway.form import Permit

#: Hours on either side of what is asked about: whatever zone the gateway's times are in, the message is inside (F63).
MARGIN: Final = timedelta(hours=26)
PAGE: Final = 100
#: Pages of one query at most: a hundred thousand messages. Beyond, single questions cost less.
MOST_PAGES: Final = 1000

_MODERATED: Final = "MODERATION"


@dataclass(frozen=True, slots=True)
class Campaign:
    """What tells whose a message is: the campaign's name, None where the list doesn't say; and 1 or 2 as when sent."""

    name: str | None
    status: int


@dataclass(frozen=True, slots=True)
class Item:
    """A message of the list."""

    message_id: int
    campaign_id: int
    to: str
    text: str
    sender: str
    campaign: Campaign


@dataclass(slots=True)
class Listed:
    """What a query found.

    Attributes:
        items: By messageId, newest first.
        total: How many the gateway says there are.
        problem: Why what isn't among them may be there all the same; '' if all were seen.
    """

    items: dict[int, Item] = field(default_factory=dict)
    total: int = 0
    problem: str = ""


def window(since: float, now: float, zone: ZoneInfo) -> dict[str, str]:
    """Returns the dates of a query. Never without both: lists without dates are cut (the contract, "Neighbours").

    Args:
        since: Unix seconds of the earliest call that is asked about.
        now: Unix seconds.
        zone: The account's zone.
    """

    def wire(moment: float, margin: timedelta) -> str:
        local = (datetime.fromtimestamp(moment, UTC) + margin).astimezone(zone)
        return local.strftime("%Y-%m-%d %H:%M:%S")

    return {
        "criteria[campaignCreateTsFrom]": wire(since, -MARGIN),
        "criteria[campaignCreateTsTo]": wire(now, MARGIN),
    }


async def read_list(
    client: Client,
    criteria: dict[str, str],
    *,
    enough: Callable[[Listed], bool],
    permit: Permit | None = None,
) -> Listed:
    """Reads a list page by page, newest first, until it is enough or there are no more.

    Messages that are sent meanwhile push others to later pages: some come twice, none is missed. A list that shrinks,
    repeats itself or doesn't add up may have hidden something.

    Args:
        client: The gateway's client.
        criteria: What is asked for.
        enough: Looks after each page whether the rest matters.
        permit: Awaited before each call.

    Returns:
        What was found. It has a problem, or all of it was seen, or it was enough.
    """
    listed = Listed()
    first_total = None
    for page in range(MOST_PAGES):
        if permit:
            await permit()
        data = await client.ask(MESSAGE_LIST, criteria | _paging(page))
        problem, total, seen = _read_page(data.value, listed) if not data.problem else (data.problem, 0, 0)
        if problem:
            listed.problem = problem
            return listed
        first_total = total if first_total is None else first_total
        if total < listed.total:
            listed.problem = "the list shrank while it was read"
            return listed
        listed.total = total
        if enough(listed):
            return listed
        if (page + 1) * PAGE >= total:
            if len(listed.items) < first_total:
                listed.problem = "the list's pages don't add up"
            return listed
        if not seen:
            listed.problem = "the list ended before its end"
            return listed
    listed.problem = "the list is too long"
    return listed


def _paging(page: int) -> dict[str, str]:
    return {"pagination[pageSize]": str(PAGE), "pagination[currentPage]": str(page), "sort[campaignId]": "DESC"}


def _read_page(data: Any, listed: Listed) -> tuple[str, int, int]:  # noqa: ANN401 - JSON
    """Adds a page's items; returns what is wrong with it, the total, and how many items it had."""
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        return "the list can't be read", 0, 0
    total = whole_number(data.get("totalItemCount"))
    if total is None:
        return "the list doesn't say how long it is", 0, 0
    for each in data["items"]:
        item = _read_item(each)
        if item is None:
            return "a message of the list can't be read", 0, 0
        listed.items.setdefault(item.message_id, item)
    return "", total, len(data["items"])


def _read_item(given: Any) -> Item | None:  # noqa: ANN401
    if not isinstance(given, dict):
        return None
    message_id, campaign_id = whole_number(given.get("id")), whole_number(given.get("campaignId"))
    to = given.get("to")
    to = str(to) if type(to) is int else to
    if not message_id or not campaign_id or not isinstance(to, str):
        return None
    text, sender = given.get("text"), given.get("from")
    campaign = read_campaign(given.get("campaign"))
    return Item(
        message_id,
        campaign_id,
        to.removeprefix("+"),
        text if isinstance(text, str) else "",
        sender if isinstance(sender, str) else "",
        campaign,
    )


def read_campaign(given: Any) -> Campaign:  # noqa: ANN401
    """Reads a campaign, of which any part may be missing (undocumented in lists)."""
    if not isinstance(given, dict):
        return Campaign(None, 2)
    name = given.get("name")
    waits = _MODERATED in (given.get("commonStatus"), given.get("moderationStatus"))
    return Campaign(name if isinstance(name, str) else None, 1 if waits else 2)


async def get_campaign(client: Client, campaign_id: int, permit: Permit | None) -> Campaign | None:
    """Asks for a campaign by its id; None if that can't be read."""
    if permit:
        await permit()
    data = await client.ask(CAMPAIGN_GET, {"id": str(campaign_id)})
    return None if data.problem else read_campaign(data.value)
