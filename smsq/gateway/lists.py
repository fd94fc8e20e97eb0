"""What message/list shows: the question's dates, its items, and whether all pages together can be trusted.

A list proves that a message isn't there only if nothing was overlooked. So everything that doesn't add up is a problem
here, and never an empty answer.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from smsq.deferral import wire_time
from smsq.gateway.answers import Outcome
from smsq.gateway.envelope import whole_number

PAGE_SIZE: Final = 100
"""The largest that the API allows."""

_MARGIN: Final = timedelta(hours=26)
"""Around the window: nobody knows for sure in which zone the gateway compares, and no two are further apart (F63)."""

_MORE_PAGES: Final = 5
"""By so many pages a list may grow while it is read; one that grows on and on never ends."""

_WAITING: Final = frozenset({"MODERATION", "DECLINED"})
_PUNCTUATION: Final = re.compile(r"[\s()+.\-]")


def dates(since: float, now: float, zone: ZoneInfo) -> dict[str, str]:
    """Writes the window of a query, always with both ends: a list without is cut to yesterday and today.

    Args:
        since: The earliest moment that matters, in Unix seconds.
        now: The present, in Unix seconds.
        zone: The account's zone.

    Returns:
        The two criteria, 26 hours wider on either side (the contract, "Settling", 2; F63).
    """
    return {
        "criteria[campaignCreateTsFrom]": wire_time(datetime.fromtimestamp(since, UTC) - _MARGIN, zone),
        "criteria[campaignCreateTsTo]": wire_time(datetime.fromtimestamp(now, UTC) + _MARGIN, zone),
    }


def paging(page: int) -> dict[str, str]:
    """Writes which page is wanted (from 0), newest first: what is sent meanwhile then pushes nothing out of sight."""
    return {
        "pagination[pageSize]": str(PAGE_SIZE),
        "pagination[currentPage]": str(page),
        "sort[campaignId]": "DESC",
    }


@dataclass(frozen=True, slots=True)
class Campaign:
    """What tells whose a message is.

    Attributes:
        name: Its name; None if it has none, or the gateway didn't say.
        created: When it was created, as the gateway wrote it; None if it didn't say.
        status: 1 if it waits for moderation, was declined, or doesn't say; 2 if it is or was sent. As in the answer of
            sendSmsMessage.
    """

    name: str | None = None
    created: str | None = None
    status: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """A message in the list.

    Attributes:
        message_id: Its id.
        campaign_id: The id of its campaign.
        text: As stored, which may not be as it was sent; '' if the gateway didn't say.
        sender: The signature under which it left, which may not be the one asked for; '' if the gateway didn't say.
        campaign: What the list says about its campaign, which is undocumented: all of it may be missing.
    """

    message_id: int
    campaign_id: int
    text: str
    sender: str
    campaign: Campaign


def read_campaign(given: object) -> Campaign:
    """Reads a campaign from campaign/get, or from an item of a list.

    Args:
        given: The JSON.

    Returns:
        What it says. Any part may be missing.
    """
    if not isinstance(given, dict):
        return Campaign()
    name, created = given.get("name"), given.get("createTs")
    statuses = {status for key in ("commonStatus", "moderationStatus") if isinstance(status := given.get(key), str)}
    return Campaign(
        name=name if isinstance(name, str) else None,
        created=created if isinstance(created, str) else None,
        status=2 if statuses and not statuses & _WAITING else 1,
    )


class Listing:
    """The pages of one query, as they come in.

    Args:
        numbers: Whose messages are kept. `criteria[to]` matches parts of numbers, so they are compared here (F64).

    Attributes:
        pages: How many were read.
        complete: Whether all of the list was seen, and nothing in it left room for doubt.
        problem: Why it won't be complete, in words for people; '' while it may be.
        failure: What a call came to in place of a page.
    """

    def __init__(self, numbers: Collection[str]) -> None:
        self.pages = 0
        self.complete = False
        self.problem = ""
        self.failure: Outcome | None = None
        self._found: dict[str, list[Item]] = {number: [] for number in numbers}
        self._seen: set[int] = set()
        self._total = 0
        self._first_total: int | None = None
        self._unreadable = False

    @property
    def over(self) -> bool:
        """Whether there is nothing more to be read."""
        return self.complete or bool(self.problem)

    @property
    def pages_left(self) -> int:
        """How many pages are still to be read, as far as is known."""
        return 0 if self.over else max(0, -(-self._total // PAGE_SIZE) - self.pages)

    def to(self, number: str) -> Sequence[Item]:
        """Returns the messages to one of the numbers, in the list's order: newest first."""
        return self._found[number]

    def fail(self, failure: Outcome) -> None:
        """Takes note that no page came."""
        self.failure = failure
        self.problem = describe(failure)

    def add(self, data: object) -> None:
        """Takes the next page.

        Args:
            data: The answer's `data`, whatever it is.
        """
        items = data.get("items") if isinstance(data, dict) else None
        total = whole_number(data.get("totalItemCount")) if isinstance(data, dict) else None
        if not isinstance(items, list) or total is None or len(items) > PAGE_SIZE:
            self.problem = "the list can't be read"
            return
        before = len(self._seen)
        for item in items:
            self._add(item)
        self.pages += 1
        shrank, self._total = total < self._total, total
        if self._first_total is None:
            self._first_total = total
        last = self.pages * PAGE_SIZE >= total
        if shrank or len(self._seen) > total:
            self.problem = "the list changed its mind"
        elif last and self._unreadable:
            self.problem = "a message in the list can't be read"
        elif last and len(self._seen) < self._first_total:
            self.problem = "the list shows fewer messages than it says"
        elif last:
            self.complete = True
        elif len(self._seen) == before:
            self.problem = "the list repeats a page"
        elif self.pages * PAGE_SIZE >= self._first_total + _MORE_PAGES * PAGE_SIZE:
            self.problem = "the list doesn't end"

    def _add(self, given: Any) -> None:  # noqa: ANN401 - JSON
        """Keeps an item that is new and to one of the numbers."""
        message_id = whole_number(given.get("id")) if isinstance(given, dict) else None
        number = _number(given.get("to")) if isinstance(given, dict) else ""
        if not message_id or not number:
            self._unreadable = True
            return
        if message_id in self._seen:
            return
        self._seen.add(message_id)
        if number not in self._found:
            return
        campaign_id = whole_number(given.get("campaignId"))
        if not campaign_id:
            self._unreadable = True
            return
        text, sender = given.get("text"), given.get("from")
        self._found[number].append(
            Item(
                message_id=message_id,
                campaign_id=campaign_id,
                text=text if isinstance(text, str) else "",
                sender=sender if isinstance(sender, str) else "",
                campaign=read_campaign(given.get("campaign")),
            )
        )


def describe(failure: Outcome) -> str:
    """Says in a few fixed words why there is no answer to a question."""
    return failure.reason if failure.code is None else f"code {failure.code}: {failure.reason}"


def _number(value: object) -> str:
    """Reads a phone number, whether it is written as digits, as a JSON number or for people; '' if it is none."""
    digits = _PUNCTUATION.sub("", str(value)) if type(value) in (str, int) else ""
    return digits if digits.isascii() and digits.isdigit() else ""
