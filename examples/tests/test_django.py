"""Django's own test client, and what would have been sent."""

import os

import django
from django.test import Client

from smsq.testing import Outbox

# pytest-django does this, if it is installed.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_app.settings")
django.setup()


def ask_for_a_code(phone: str, key: str) -> tuple[int, dict[str, object]]:
    """Makes the request, and returns the status and the answer."""
    headers = {"Idempotency-Key": key}
    answer = Client().post("/codes", {"phone": phone}, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


def test_a_code_is_sent(sms_outbox: Outbox) -> None:
    """The same request twice is one message; it is looked up by its job."""
    first, again = ask_for_a_code("+77010000001", "1"), ask_for_a_code("+77010000001", "1")
    assert first == again
    assert first[0] == 202
    [message] = sms_outbox
    assert message.text.startswith("Код: ")
    assert (message.recipient, message.lane, message.expires_in) == ("77010000001", "urgent", 180)
    assert Client().get(f"/codes/{first[1]['job']}").json()["state"] == "sent"


def test_a_bad_number_is_refused(sms_outbox: Outbox) -> None:
    """By the field's name; nothing is sent."""
    status, answer = ask_for_a_code("12", "2")
    assert status == 422
    assert "recipient" in str(answer)
    assert not sms_outbox


def test_redis_away(sms_outbox: Outbox) -> None:
    """The client may try again."""
    with sms_outbox.unavailable():
        assert ask_for_a_code("+77010000001", "3") == (503, {"error": "try again"})
