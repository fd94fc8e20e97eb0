"""The calls of one round of questions: one at a time, at the common pace, and none in vain."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

from smsq.gateway.answers import Data, Kind, Outcome
from smsq.gateway.client import CAMPAIGN_GET, MESSAGE_LIST, Client
from smsq.gateway.envelope import whole_number
from smsq.gateway.form import Permit
from smsq.gateway.lists import Campaign, Listing, paging, read_campaign

MOST_CAMPAIGNS: Final = 100
"""So many campaigns are looked at in a round, where the list doesn't say what they are called."""

_NO_TIME: Final = Outcome(kind=Kind.NOT_CALLED, reason="there was no time left to ask")
_CONCERNS_ALL: Final = frozenset({Kind.ACCOUNT, Kind.TRY_AGAIN, Kind.NOT_CALLED})
_FAILURES_IN_A_ROW: Final = 2


class Inquiry:
    """Calls that ask, all over the same window of time.

    After a failure that concerns every call, and after two others in a row, nobody calls any more: a gateway in trouble
    isn't helped by hundreds of questions. Each further call comes to the same failure.

    Args:
        client: The gateway's client.
        window: The criteria of the window (`dates`).
        permit: Awaited before each call.
        deadline: When it must be over, on the event loop's clock; None for no limit.
    """

    def __init__(
        self, client: Client, window: Mapping[str, str], *, permit: Permit | None, deadline: float | None
    ) -> None:
        self._client = client
        self._window = window
        self._permit = permit
        self._deadline = deadline
        self._campaigns: dict[int, Campaign] = {}
        self._failures = 0
        self._stopped: Outcome | None = None

    async def read(
        self, criteria: Mapping[str, str], numbers: Collection[str], enough: Callable[[Listing], bool]
    ) -> Listing:
        """Reads message/list page by page.

        Args:
            criteria: What is asked for, besides the window.
            numbers: Whose messages are kept.
            enough: Says after a page whether the rest doesn't matter.

        Returns:
            The list: complete, with a problem, or broken off when it was enough.
        """
        listing = Listing(numbers)
        while not listing.over:
            answer = await self._call(MESSAGE_LIST, {**criteria, **self._window, **paging(listing.pages)})
            if isinstance(answer, Outcome):
                listing.fail(answer)
            else:
                listing.add(answer.value)
                if enough(listing):
                    break
        return listing

    async def campaign(self, campaign_id: int) -> Campaign | Outcome | None:
        """Asks for a campaign; for each only once, and for so many at most (`MOST_CAMPAIGNS`).

        Args:
            campaign_id: Its id.

        Returns:
            The campaign; or what the call came to in its place; or None if it can't be read or would be one too many.
        """
        if campaign_id in self._campaigns:
            return self._campaigns[campaign_id]
        if len(self._campaigns) == MOST_CAMPAIGNS:
            return None
        answer = await self._call(CAMPAIGN_GET, {"id": str(campaign_id)})
        if isinstance(answer, Outcome):
            return answer
        data = answer.value
        if not isinstance(data, dict) or whole_number(data.get("id")) != campaign_id:
            return None
        return self._campaigns.setdefault(campaign_id, read_campaign(data))

    async def _call(self, method: str, form: Mapping[str, str]) -> Data | Outcome:
        if self._stopped:
            return self._stopped
        answer: Data | Outcome = _NO_TIME
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                if self._permit is not None:
                    await self._permit()
                answer = await self._client.ask(method, form)
        except TimeoutError:
            if not limit.expired():
                raise  # a bug of the permit's
        if isinstance(answer, Data):
            self._failures = 0
        elif answer.kind is not Kind.REFUSED:  # which concerns nothing but this call
            self._failures += 1
            if answer.kind in _CONCERNS_ALL or self._failures == _FAILURES_IN_A_ROW:
                self._stopped = answer
        return answer
