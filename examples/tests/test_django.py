"""Django's own test client, and what would have been sent."""

import django
import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from smsq.testing import Outbox

# pytest-django does all this, if it is installed.
with pytest.MonkeyPatch.context() as environment:
    environment.setenv("EXAMPLE_DATABASE", ":memory:")
    environment.setenv("DJANGO_SETTINGS_MODULE", "examples.django_app.settings")
    django.setup()

from examples.django_app.models import Order


@pytest.fixture(scope="module")
def tables() -> None:
    """Makes the tables, in memory."""
    call_command("migrate", verbosity=0)


def ask_for_a_code(phone: str, key: str, path: str = "/codes") -> tuple[int, dict[str, object]]:
    """Makes the request, and returns the status and the answer."""
    headers = {"Idempotency-Key": key}
    answer = Client().post(path, {"phone": phone}, content_type="application/json", headers=headers)
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


@pytest.mark.usefixtures("tables")
def test_an_order_and_its_sms_are_both_there_or_neither(sms_outbox: Outbox) -> None:
    """Rolled back, nothing is sent; committed while Redis is away, the relay sends it; repeated, it is one order."""
    with transaction.atomic():
        assert ask_for_a_code("+77010000001", "1", "/orders")[0] == 202
        transaction.set_rollback(True)
    assert (Order.objects.count(), len(sms_outbox)) == (0, 0)
    with sms_outbox.unavailable():
        first = ask_for_a_code("+77010000001", "1", "/orders")
    assert first[0] == 202
    assert not sms_outbox
    call_command("smsq_relay")
    assert ask_for_a_code("+77010000001", "1", "/orders") == first
    [message] = sms_outbox
    assert (message.recipient, message.text) == ("77010000001", "We have your order.")
