"""Which calls of a webhook are the gateway's, and what is read of them."""

import hashlib
import json
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from smsq.errors import WebhookRefused
from smsq.webhook import reported_message

SECRET: Final = "a secret"
NOW: Final = 1_796_212_800.0  # 2026-12-02 12:00:00 UTC
WRITTEN: Final = "2026-12-02 17:00:00"
ALMATY: Final = ZoneInfo("Asia/Almaty")


def report(secret: str = SECRET, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A signed report, with these fields in place of the usual."""
    event: dict[str, Any] = {
        "eventId": 17, "eventType": "sms-delivery-report", "eventCreateTs": WRITTEN, "webhookId": "3", "attempt": 1,
        "data": {"campaignId": 2, "messageId": 12345, "status": "DELIVRD", "to": "77010000001", "segNum": 1},
    } | changes  # fmt: skip
    signed = f"{event['eventId']}|{event['attempt']}|{event['eventCreateTs']}|{secret}"
    return {"sign": hashlib.sha1(signed.encode()).hexdigest()} | event  # noqa: S324 - the gateway's


def read(event: object, *, now: float = NOW) -> int | None:
    """Reads a call."""
    return reported_message(json.dumps(event).encode(), SECRET, zone=ALMATY, now=now)


@pytest.mark.parametrize("written", [WRITTEN, int(NOW), str(int(NOW))])
@pytest.mark.parametrize("number", [str, int])
def test_a_genuine_report_names_its_message(written: object, number: type) -> None:
    """Numbers and ids may be strings; the time is the account's."""
    data = {"messageId": number(12345)}
    assert read(report(eventCreateTs=written, eventId=number(17), attempt=number(2), data=data)) == 12345


def test_the_known_signature() -> None:
    """As the provider's document has it, by hand."""
    assert report()["sign"] == "d8b3dd6d358bf4f297b303d7d182fc9654f0afc8"


@pytest.mark.parametrize(
    "event",
    [
        report("another secret"),
        report("") | {"sign": None},
        {name: value for name, value in report().items() if name != "sign"},
        report() | {"attempt": 2},
        report() | {"eventCreateTs": "2026-12-02 17:00:01"},
        report() | {"sign": "é\ud800"},
        report(eventCreateTs="yesterday"),
        report(eventCreateTs="2026-11-30 16:59:59"),
        report(eventCreateTs="2026-12-04 17:00:00"),
        report(eventCreateTs=True),
        report(attempt=1.0),
        [],
        None,
        "x" * 70_000,
    ],
)
def test_what_isn_t_the_gateway_s_or_is_old_is_refused(event: object) -> None:
    """With a reason that repeats nothing of it."""
    with pytest.raises(WebhookRefused) as refused:
        read(event)
    assert "77010000001" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 10_000, b"a=1&b=2"])
def test_a_body_that_isn_t_json_is_refused(body: bytes) -> None:
    """A form, half a call, anything."""
    with pytest.raises(WebhookRefused, match="JSON"):
        reported_message(body, SECRET)


@pytest.mark.parametrize(
    "event",
    [
        report(eventType="incoming-sms"),
        report(data=None),
        report(data={"messageId": "12; DROP"}),
        report(data={"messageId": 0}),
        report(data={}),
    ],
)
def test_other_events_are_none_of_ours(event: object) -> None:
    """They are answered as if they were, or they would come again."""
    assert read(event) is None


@pytest.mark.parametrize("secret", ["", " "])
def test_without_a_secret_nothing_is_read(secret: str) -> None:
    """Anybody could sign with none."""
    with pytest.raises(ValueError, match="secret"):
        reported_message(json.dumps(report(secret)).encode(), secret, now=NOW)
