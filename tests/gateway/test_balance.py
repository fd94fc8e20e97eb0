"""The account's balance, and what stands in its place."""

from decimal import Decimal

import pytest

from smsq.gateway.answers import Kind, Outcome
from smsq.gateway.balance import Balance, own_balance
from tests.support.sandbox import Sandbox

from .calls import open_client
from .rawgateway import RawGateway, answering


async def test_the_balance_is_exact(sandbox: Sandbox) -> None:
    """Money isn't a float."""
    sandbox.post("/sandbox/flags", balance="-0.1000")
    async with open_client(sandbox.url) as client:
        assert await own_balance(client) == Balance(Decimal("-0.1000"), "KZT")


async def test_a_refused_key_is_the_accounts_trouble(sandbox: Sandbox) -> None:
    """So a check of the setup can say what to do."""
    sandbox.post("/sandbox/fail", next=1, method="user/getOwnBalance", **{"as": "code-8"})
    async with open_client(sandbox.url) as client:
        outcome = await own_balance(client)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.code) == (Kind.ACCOUNT, 8)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"balance": "1.0"}, {"balance": "NaN", "currency": "KZT"}, {"balance": "1", "currency": "tenge"}],
)
async def test_a_balance_that_cant_be_read_is_none(data: object) -> None:
    """Nothing is guessed."""
    async with RawGateway((answering({"code": 0, "data": data}),)) as gateway, open_client(gateway.url) as client:
        outcome = await own_balance(client)
    assert isinstance(outcome, Outcome)
    assert outcome.reason == "the balance can't be read"
