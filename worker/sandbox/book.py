"""What the gateway accepted, and how it is found again."""

import heapq
import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from worker.sandbox import segments, times
from worker.sandbox.alterations import alter, shorten_links
from worker.sandbox.clock import Clock
from worker.sandbox.flags import Flags
from worker.sandbox.message import Fate, Message
from worker.sandbox.queries import Query
from worker.sandbox.rules import DAY, Order

SHARED_SIGNATURE: Final = "SharedName"
"""What a message leaves under when the given signature isn't the account's own."""

_LONGEST_LOOK_BACK: Final = 90 * DAY
_CAMPAIGNS_FROM: Final = 7_000_000_000_000


class Ids:
    """Gives out ids that no sandbox gave out before, so that a ledger that outlives one never sees an id twice.

    They begin at the time in units of 0.1 ms: a sandbox would have to accept ten thousand messages a second all its
    life to catch up with the next one. Campaigns are counted apart from messages, so that mixing the two up shows.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(int(time.time() * 10_000))

    def next(self) -> tuple[int, int]:
        """Returns a message's id and its campaign's."""
        number = next(self._numbers)
        return number, number + _CAMPAIGNS_FROM


class Book:
    """The messages of an account.

    Args:
        clock: What time it is.
        ids: Where ids come from.
        senders: The account's signatures, at least one, the default one first.
    """

    def __init__(self, clock: Clock, ids: Ids, senders: Sequence[str]) -> None:
        self._clock = clock
        self._ids = ids
        self._senders = senders
        self._messages: list[Message] = []  # in order of `accepted_at`, and so of the ids
        self._by_message: dict[int, Message] = {}
        self._by_campaign: dict[int, Message] = {}
        self._late: list[tuple[float, int, partial[Message]]] = []
        self._order = itertools.count()

    def accept(self, order: Order, parameters: Mapping[str, str], flags: Flags, fate: Fate) -> Message:
        """Takes a message now."""
        self._take_late()
        return self._accept(order, parameters, flags, fate, self._clock.now())

    def accept_late(self, order: Order, parameters: Mapping[str, str], flags: Flags, fate: Fate) -> None:
        """Takes a message when `late_seconds` of the sandbox's clock have gone by."""
        due = self._clock.now() + flags.late_seconds
        heapq.heappush(self._late, (due, next(self._order), partial(self._accept, order, parameters, flags, fate)))

    def messages(self) -> Sequence[Message]:
        """Returns all, oldest first."""
        self._take_late()
        return self._messages

    @property
    def pending(self) -> int:
        """How many messages will be taken late."""
        self._take_late()
        return len(self._late)

    def message(self, message_id: int) -> Message | None:
        """Returns a message by its id."""
        self._take_late()
        return self._by_message.get(message_id)

    def campaign(self, campaign_id: int) -> Message | None:
        """Returns a message by its campaign's id."""
        self._take_late()
        return self._by_campaign.get(campaign_id)

    def find(
        self, query: Query, flags: Flags, zone: ZoneInfo, status: Callable[[Message], str]
    ) -> tuple[list[Message], int]:
        """Answers a list's question.

        Args:
            query: The question.
            flags: What holds at present.
            zone: The account's time zone, which says when yesterday began.
            status: What `Query.status` is compared with.

        Returns:
            The wanted page, and how many there are on all pages.
        """
        self._take_late()
        now = self._clock.now()
        earliest = now - _LONGEST_LOOK_BACK if query.dated else times.start_of_yesterday(now, zone)
        latest = now - flags.list_delay_seconds
        first = bisect_left(self._messages, earliest, key=attrgetter("accepted_at"))
        found = [
            message
            for message in itertools.islice(self._messages, first, None)
            if message.accepted_at <= latest
            and query.recipient in message.order.recipient
            and message.accepted_at in query.created
            and (query.campaign_ids is None or message.campaign_id in query.campaign_ids)
            and (query.sender is None or message.sender == query.sender)
            and (query.text is None or message.text == query.text)
            and (query.status is None or status(message) == query.status)
            and _started_within(message, query, now)
        ]
        if query.newest_first:
            found.reverse()
        begin = query.page * query.page_size
        return found[begin : begin + query.page_size], len(found)

    def _take_late(self) -> None:
        while self._late and self._late[0][0] <= self._clock.now():
            due, _, take = heapq.heappop(self._late)
            take(due)

    def _accept(
        self, order: Order, parameters: Mapping[str, str], flags: Flags, fate: Fate, accepted_at: float
    ) -> Message:
        message_id, campaign_id = self._ids.next()
        text = shorten_links(order.text, message_id) if order.shorten_links else order.text
        text = alter(text, flags.text_changes)
        message = Message(
            message_id=message_id,
            campaign_id=campaign_id,
            order=order,
            sender=self._signature(order.sender),
            text=text,
            segments=segments.billed(text),
            accepted_at=accepted_at,
            fate=fate,
            parameters=parameters,
        )
        self._messages.append(message)
        self._by_message[message_id] = message
        self._by_campaign[campaign_id] = message
        return message

    def _signature(self, wanted: str | None) -> str:
        if wanted is None:
            return self._senders[0]
        return wanted if wanted in self._senders else SHARED_SIGNATURE


def _started_within(message: Message, query: Query, now: float) -> bool:
    if query.started is None:
        return True
    start = message.started_at(now)
    return start is not None and start in query.started
