"""What became of messages after the gateway accepted them: a moderator's decision, and how far they have come."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from smsq.gateway.answers import Kind, Outcome
from smsq.gateway.client import CAMPAIGN_GET, SMS_STATUS, Client
from smsq.gateway.envelope import read_detail, whole_number
from smsq.job import LAST_STATUSES
from smsq.privacy import redact

MOST_MESSAGES: Final = 100
"""So many messages' statuses are given by one call."""

FINAL_STATUSES: Final = LAST_STATUSES
"""The last words about a message. Any other, also one that nobody documented, may be followed by another."""

_STATUS: Final = re.compile(r"[A-Z_]{1,16}")
_MODERATION: Final = "MODERATION"
_DECLINED: Final = "DECLINED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a moderator decided about a campaign.

    Attributes:
        word: ``waits`` also where the gateway doesn't say, or contradicts itself.
        comment: With ``declined``: the moderator's words, redacted, printable, of bounded length; '' if there are none.
    """

    word: Literal["waits", "passed", "declined"]
    comment: str = ""


async def verdict(client: Client, campaign_id: int, recipient: str) -> Verdict | Outcome:
    """Asks campaign/get once.

    Args:
        client: The gateway's client.
        campaign_id: The campaign.
        recipient: Its message's number, which the moderator may have quoted.

    Returns:
        The decision; or what the call came to in its place. A campaign that the gateway doesn't know waits.
    """
    answer = await client.ask(CAMPAIGN_GET, {"id": str(campaign_id)})
    if isinstance(answer, Outcome):
        return Verdict("waits") if answer.kind is Kind.REFUSED else answer
    data = answer.value
    if not isinstance(data, dict) or whole_number(data.get("id")) != campaign_id:
        return Outcome(kind=Kind.UNKNOWN, reason="the campaign can't be read", code=0, http_status=200)
    common, moderation = data.get("commonStatus"), data.get("moderationStatus")
    said = {each for each in (common, moderation) if isinstance(each, str)}
    if said == {_DECLINED}:
        text = data.get("text")
        clean = partial(redact, recipient=recipient, text=text if isinstance(text, str) else "")
        words = read_detail({"data": data.get("globalComment")}, clean)
        return Verdict("declined", words if isinstance(words, str) else "")
    return Verdict("passed" if said and not said & {_DECLINED, _MODERATION} else "waits")


async def statuses(client: Client, message_ids: Sequence[int]) -> dict[int, str] | Outcome:
    """Asks message/getSMSStatus once.

    Args:
        client: The gateway's client.
        message_ids: The messages, `MOST_MESSAGES` at most.

    Returns:
        The status of each that the gateway knows; or what the call came to in their place.
    """
    answer = await client.ask(SMS_STATUS, {"ids": ",".join(map(str, message_ids))})
    if isinstance(answer, Outcome):
        return {} if answer.kind is Kind.REFUSED else answer
    if not isinstance(answer.value, list):
        return Outcome(kind=Kind.UNKNOWN, reason="the statuses can't be read", code=0, http_status=200)
    wanted = set(message_ids)
    found: dict[int, str] = {}
    for item in answer.value:
        given = item if isinstance(item, dict) else {}
        message_id, status = whole_number(given.get("id")), given.get("status")
        if message_id in wanted and message_id and isinstance(status, str) and _STATUS.fullmatch(status):
            found[message_id] = status
    return found
