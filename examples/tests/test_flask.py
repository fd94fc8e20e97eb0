"""Flask's own test client, and what would have been sent."""

from examples.flask_app import app
from smsq.testing import Outbox

client = app.test_client()


def test_a_code_is_sent(sms_outbox: Outbox) -> None:
    """The same request twice is one message; it is looked up by its job."""
    for _ in range(2):
        answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "1"})
        assert answer.status_code == 202
    [message] = sms_outbox
    assert message.text.startswith("Код: ")
    assert (message.recipient, message.lane, message.expires_in) == ("77010000001", "urgent", 180)
    assert client.get(f"/codes/{answer.get_json()['job']}").get_json()["state"] == "sent"


def test_the_gateway_has_no_route(sms_outbox: Outbox) -> None:
    """What the user is told of it."""
    sms_outbox.fail_next("no route", code=1)
    answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "2"})
    job = client.get(f"/codes/{answer.get_json()['job']}").get_json()
    assert (job["state"], job["error"]) == ("failed", "code 1: no route")


def test_redis_away(sms_outbox: Outbox) -> None:
    """The client may try again, by the same key; if the first was accepted, it is the same job."""
    with sms_outbox.unavailable(accepted=True):
        answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "3"})
    assert answer.status_code == 503
    answer = client.post("/codes", json={"phone": "+77010000001"}, headers={"Idempotency-Key": "3"})
    assert answer.status_code == 202
    assert len(sms_outbox) == 1
