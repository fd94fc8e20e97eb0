"""How the tests of questions leave messages at the gateway and ask about them."""

import secrets
import string
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from smsq import Sms
from smsq.gateway.answers import Kind, Outcome
from smsq.gateway.client import Client
from smsq.gateway.form import Permit
from smsq.gateway.questions import Canary, Question, Reply, ask
from smsq.message import api_form, campaign_token
from tests.support.sandbox import Sandbox, ordinary

ZONE: Final = ZoneInfo("Asia/Almaty")
NUMBER: Final = ordinary(1)
CANARYS_NUMBER: Final = ordinary(9_999_999)
TEXT: Final = "Код: 4711. Никому не говорите"

_ID_CHARACTERS: Final = string.ascii_lowercase + "234567"


def question(recipient: str = NUMBER, text: str = TEXT, *, sender: str | None = None, tokens: bool = True) -> Question:
    """Makes a job of which a call was begun just now."""
    job_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(20))
    return Question(job_id, recipient, text, sender, campaign_token(job_id) if tokens else "", time.time())


async def call(client: Client, asked: Question, *, name: str | None = None, links: bool = False) -> Outcome:
    """Calls the gateway for a job, as a worker does."""
    sms = Sms(recipient=asked.recipient, text=asked.text, sender=asked.sender, name=name, shorten_links=links or None)
    return await client.send_sms(api_form(sms, zone=ZONE, token=asked.token), start_by=lambda: float("inf"))


async def send_canary(client: Client) -> Canary:
    """Sends another job's message, and returns what is known of it."""
    outcome = await call(client, question(CANARYS_NUMBER, "Всё в порядке"))
    assert outcome.message_id
    return Canary(outcome.message_id, CANARYS_NUMBER)


async def ask_one(
    client: Client, asked: Question, canary: Canary | None = None, *, zone: ZoneInfo = ZONE, later: float = 0.0
) -> Reply:
    """Asks about one job, some seconds later than now."""
    [reply] = await ask(client, [asked], canary, zone=zone, now=time.time() + later)
    assert reply.job_id == asked.job_id
    return reply


async def ask_all(
    client: Client,
    asked: Sequence[Question],
    canary: Canary | None = None,
    *,
    permit: Permit | None = None,
    within: float | None = None,
) -> list[Reply]:
    """Asks about jobs together."""
    replies = await ask(client, asked, canary, zone=ZONE, now=time.time(), permit=permit, within=within)
    assert [reply.job_id for reply in replies] == [each.job_id for each in asked]
    return replies


async def lost(client: Client, recipient: str, *, tokens: bool = True) -> Question:
    """Calls for a job whose answer doesn't come, or says nothing sure."""
    asked = question(recipient, tokens=tokens)
    assert (await call(client, asked)).kind is Kind.UNKNOWN
    return asked


def asking_calls(sandbox: Sandbox) -> list[str]:
    """Returns the methods by which the gateway was asked, in order."""
    return [each["method"] for each in sandbox.calls() if each["method"] != "message/sendsmsmessage"]


def with_token(asked: Question, token: str) -> Question:
    """Returns the question of a job that calls under another token."""
    return replace(asked, token=token)
