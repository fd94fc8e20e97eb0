"""FastAPI's own test client, and what would have been sent."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from examples.fastapi_app import app
from smsq.testing import Outbox


@pytest.fixture
def client() -> Iterator[TestClient]:
    """The application, started and stopped as a server does it."""
    with TestClient(app) as client:
        yield client


def test_a_code_is_sent(client: TestClient, sms_outbox: Outbox) -> None:
    """The same request twice is one message; it is looked up by its job."""
    for _ in range(2):
        answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "1"})
        assert answer.status_code == 202
    [message] = sms_outbox
    assert message.text.startswith("Код: ")
    assert (message.recipient, message.lane, message.expires_in) == ("77010000001", "urgent", 180)
    assert client.get(f"/codes/{answer.json()['job']}").json()["state"] == "sent"


def test_a_bad_number_is_refused(client: TestClient, sms_outbox: Outbox) -> None:
    """By the field's name; nothing is sent."""
    answer = client.post("/codes", json={"phone": "12"}, headers={"Idempotency-Key": "2"})
    assert (answer.status_code, [*answer.json()["errors"]]) == (422, ["recipient"])
    assert not sms_outbox


def test_redis_away(client: TestClient, sms_outbox: Outbox) -> None:
    """The client may try again."""
    with sms_outbox.unavailable():
        answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "3"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
