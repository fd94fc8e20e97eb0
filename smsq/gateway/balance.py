"""The account's balance, which also tells whether the key is valid."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from smsq.gateway.answers import Kind, Outcome
from smsq.gateway.client import OWN_BALANCE, Client

_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,8})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account has.

    Attributes:
        amount: The money, below 0 for a debt.
        currency: Its code in ISO 4217.
    """

    amount: Decimal
    currency: str


async def own_balance(client: Client) -> Balance | Outcome:
    """Asks user/getOwnBalance once.

    Args:
        client: The gateway's client.

    Returns:
        The balance; or what the call came to in its place: `Kind.ACCOUNT` if the key or the account is refused.
    """
    answer = await client.ask(OWN_BALANCE, {})
    if isinstance(answer, Outcome):
        return answer
    data = answer.value if isinstance(answer.value, dict) else {}
    amount, currency = str(data.get("balance")), str(data.get("currency"))
    if not (_AMOUNT.fullmatch(amount) and _CURRENCY.fullmatch(currency)):
        return Outcome(kind=Kind.UNKNOWN, reason="the balance can't be read", code=0, http_status=200)
    return Balance(Decimal(amount), currency)
