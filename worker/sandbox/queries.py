"""What the lists are asked for: criteria, pages and order, for message/list and campaign/list.

A parameter that a list doesn't know is code 11; a value that breaks a restriction is code 12.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo

from worker.sandbox import times
from worker.sandbox.envelope import MISNAMED, RESTRICTED, ApiError
from worker.sandbox.form import Form
from worker.sandbox.rules import ENVELOPE_PARAMETERS

MOST_IDS: Final = 100
MASS: Final = "2"

_PAGE_SIZES: Final = frozenset({"25", "50", "100"})
_PAGING: Final = frozenset({"pagination[pageSize]", "pagination[currentPage]"})
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")

_OF_MESSAGES: Final = frozenset(
    f"criteria[{name}]"
    for name in (
        *("campaignIds", "to", "from", "text", "status"),
        *("campaignCreateTsFrom", "campaignCreateTsTo", "startSendTsFrom", "startSendTsTo"),
    )
)
_OF_CAMPAIGNS: Final = frozenset(
    f"criteria[{name}]"
    for name in ("id", "ids", "type", "recipient", "from", "text", "status", "createTsFrom", "createTsTo")
)


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, both ends included and either one open (seconds since 1970)."""

    start: float | None
    end: float | None

    @property
    def closed(self) -> bool:
        """Whether both ends are given."""
        return self.start is not None and self.end is not None

    def __contains__(self, moment: float) -> bool:
        """Whether a moment, cut to its second as the wire has it, lies within."""
        second = int(moment)
        return (self.start is None or self.start <= second) and (self.end is None or second <= self.end)


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a list.

    Attributes:
        created: When the campaign was created.
        started: When sending began; None asks for nothing.
        campaign_ids: The campaigns to look at, or None for all.
        recipient: A number or a part of one; empty for all.
        sender: The signature it left under, or None for all.
        text: The whole text as stored, or None for all.
        status: The item's status, or None for all: of the delivery in message/list, the common one in campaign/list.
        kind: The wanted `criteria[type]` of campaign/list, or None.
        page_size: Items a page.
        page: Which page, from 0.
        newest_first: Whether the order is descending.
    """

    created: Span
    started: Span | None
    campaign_ids: frozenset[int] | None
    recipient: str
    sender: str | None
    text: str | None
    status: str | None
    kind: str | None
    page_size: int
    page: int
    newest_first: bool

    @property
    def dated(self) -> bool:
        """Whether the question says from when to when; other lists are cut to since 00:00 yesterday."""
        return self.created.closed or (self.started is not None and self.started.closed)


def of_messages(form: Form, zone: ZoneInfo) -> Query:
    """Reads the parameters of message/list.

    Args:
        form: What was sent.
        zone: The account's time zone.

    Returns:
        The question.

    Raises:
        ApiError: Code 11 for an unknown parameter, 12 for a value that can't be.
    """
    reader = _Reader(form, zone, {*_OF_MESSAGES, *_PAGING, "sort[campaignId]"}, lists={"criteria[campaignIds]"})
    started = reader.span("criteria[startSendTsFrom]", "criteria[startSendTsTo]")
    return Query(
        created=reader.span("criteria[campaignCreateTsFrom]", "criteria[campaignCreateTsTo]"),
        started=None if started == Span(None, None) else started,
        campaign_ids=reader.ids("criteria[campaignIds]"),
        recipient=reader.text("criteria[to]") or "",
        sender=reader.text("criteria[from]"),
        text=reader.text("criteria[text]"),
        status=reader.text("criteria[status]"),
        kind=None,
        page_size=reader.page_size(),
        page=reader.number("pagination[currentPage]", default=0),
        newest_first=reader.order("sort[campaignId]") == "DESC",
    )


def of_campaigns(form: Form, zone: ZoneInfo) -> Query:
    """Reads the parameters of campaign/list.

    Args:
        form: What was sent.
        zone: The account's time zone.

    Returns:
        The question.

    Raises:
        ApiError: Code 11 for an unknown parameter, 12 for a value that can't be.
    """
    reader = _Reader(form, zone, {*_OF_CAMPAIGNS, *_PAGING, "sort[id]", "sort[createTs]"}, lists={"criteria[ids]"})
    one, many = reader.ids("criteria[id]"), reader.ids("criteria[ids]")
    kind = reader.text("criteria[type]")
    if kind not in {None, "1", MASS, "3"}:
        raise ApiError(RESTRICTED)
    return Query(
        created=reader.span("criteria[createTsFrom]", "criteria[createTsTo]"),
        started=None,
        campaign_ids=one if many is None else many if one is None else one & many,
        recipient=reader.text("criteria[recipient]") or "",
        sender=reader.text("criteria[from]"),
        text=reader.text("criteria[text]"),
        status=reader.text("criteria[status]"),
        kind=kind,
        page_size=reader.page_size(),
        page=reader.number("pagination[currentPage]", default=0),
        newest_first="DESC" in {reader.order("sort[id]"), reader.order("sort[createTs]")},
    )


def whole_number(value: str) -> int:
    """Reads an id or a count.

    Raises:
        ApiError: Code 12 for anything but ASCII digits without leading zeros.
    """
    if not _NUMBER.fullmatch(value):
        raise ApiError(RESTRICTED)
    return int(value)


class _Reader:
    """Takes values out of a form, each checked."""

    def __init__(self, form: Form, zone: ZoneInfo, known: Iterable[str], *, lists: set[str]) -> None:
        if set(form.names) - ENVELOPE_PARAMETERS - set(known) or set(form.lists) - lists:
            raise ApiError(MISNAMED)
        if form.faults:
            raise ApiError(RESTRICTED)
        self._form = form
        self._zone = zone

    def text(self, name: str) -> str | None:
        """An empty criterion is no criterion."""
        return self._form.values.get(name) or None

    def number(self, name: str, *, default: int) -> int:
        value = self._form.values.get(name)
        return default if value is None else whole_number(value)

    def ids(self, name: str) -> frozenset[int] | None:
        """Of a longer list the first hundred count, as the provider documents for its lists."""
        values = self._form.ids(name)
        return frozenset(whole_number(value) for value in values[:MOST_IDS]) if values else None

    def span(self, start: str, end: str) -> Span:
        return Span(self._moment(start), self._moment(end))

    def page_size(self) -> int:
        size = self._form.values.get("pagination[pageSize]", "25")
        if size not in _PAGE_SIZES:
            raise ApiError(RESTRICTED)
        return int(size)

    def order(self, name: str) -> Literal["ASC", "DESC"]:
        match self._form.values.get(name, "ASC"):
            case "DESC":
                return "DESC"
            case "ASC":
                return "ASC"
            case _:
                raise ApiError(RESTRICTED)

    def _moment(self, name: str) -> float | None:
        value = self.text(name)
        if value is None:
            return None
        moment = times.read(value, self._zone)
        if moment is None:
            raise ApiError(RESTRICTED)
        return moment
