"""Asks the gateway what became of messages (provisional)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from smsq.gateway.client import Client

Permit = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Question:
    job_id: str
    recipient: str
    text: str
    sender: str | None
    token: str
    since: float


@dataclass(frozen=True, slots=True)
class Canary:
    message_id: int
    recipient: str


@dataclass(frozen=True, slots=True)
class Match:
    message_id: int
    campaign_id: int
    campaign_status: int


@dataclass(frozen=True, slots=True)
class Reply:
    job_id: str
    word: Literal["found", "absent", "cant_tell"]
    matches: tuple[Match, ...] = ()
    reason: str = ""


async def ask(
    client: Client,
    questions: Sequence[Question],
    canary: Canary | None,
    *,
    zone: ZoneInfo,
    now: float,
    permit: Permit | None = None,
) -> list[Reply]:
    import json

    since = min(q.since for q in questions)

    def wire(moment: float, hours: int) -> str:
        return (
            (datetime.fromtimestamp(moment, UTC) + timedelta(hours=hours))
            .astimezone(zone)
            .strftime("%Y-%m-%d %H:%M:%S")
        )

    items: list[dict[str, Any]] = []
    page = 0
    while True:
        if permit:
            await permit()
        form = {
            "criteria[campaignCreateTsFrom]": wire(since, -26),
            "criteria[campaignCreateTsTo]": wire(now, 26),
            "pagination[pageSize]": "100",
            "pagination[currentPage]": str(page),
            "sort[campaignId]": "DESC",
        }
        from yarl import URL

        url = URL(str(client._send_sms_url).replace("sendsmsmessage", "list"))
        try:
            async with client._session.post(
                url,
                data=client._encode(form),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                allow_redirects=False,
            ) as response:
                answer = json.loads(await response.read())
            data = answer["data"]
            items += data["items"]
            total = int(data["totalItemCount"])
        except Exception as error:
            return [Reply(q.job_id, "cant_tell", reason=type(error).__name__) for q in questions]
        page += 1
        if page * 100 >= total:
            break
    seen = canary is not None and any(int(i["id"]) == canary.message_id for i in items)
    replies = []
    for q in questions:
        found = []
        for i in items:
            campaign = i.get("campaign") or {}
            name = campaign.get("name") or ""
            if str(i["to"]) == q.recipient and (name == q.token or name.endswith(" " + q.token)):
                found.append(Match(int(i["id"]), int(i["campaignId"]), 2))
        if found:
            replies.append(Reply(q.job_id, "found", tuple(found[::-1])))
        elif seen:
            replies.append(Reply(q.job_id, "absent"))
        else:
            replies.append(Reply(q.job_id, "cant_tell" if canary else "absent", reason="no canary"))
    return replies
