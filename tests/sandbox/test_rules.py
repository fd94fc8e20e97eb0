"""Every rule of sendSmsMessage's parameters, from both sides."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from tests.sandbox.calls import KEY, RECIPIENT, SEND, accepted, http, post, send
from tests.support.sandbox import Sandbox

ALMATY = timedelta(hours=5)  # one zone, UTC+5, since 2024-03-01
DAY = timedelta(days=1)
GOOD = {"recipient": RECIPIENT, "text": "Hello"}


def local(*, ahead: timedelta) -> str:
    """Writes a moment from now on as the account's local time."""
    return (datetime.now(UTC) + ALMATY + ahead).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipient", "+77010000001"),
        ("recipient", "4930123456"),
        ("recipient", "123456789012345"),
        ("recipient", "1234567"),
        ("text", " "),
        ("from", ""),
        ("params[name]", "ж" * 255),
        ("params[name]", ""),
        ("params[mclass]", "0"),
        ("params[mclass]", "1"),
        ("params[validity]", "60"),
        ("params[validity]", "1440"),
        ("params[shortenLinks]", "0"),
    ],
)
def test_what_keeps_the_rules_is_accepted(sandbox: Sandbox, name: str, value: str) -> None:
    """The last value on the good side of each rule."""
    assert post(sandbox, SEND, GOOD | {name: value})["code"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipient", ""),
        ("recipient", "++77010000001"),
        ("recipient", " 77010000001"),
        ("recipient", "7701 000 00 01"),
        ("recipient", "7701-0000001"),
        ("recipient", "0077010000001"),
        ("recipient", "87010000001"),
        ("recipient", "7701000000"),
        ("recipient", "770100000011"),
        ("recipient", "123456"),
        ("recipient", "1234567890123456"),
        ("recipient", "7701000000٣"),
        ("recipient", "77010000001\n"),
        ("text", ""),
        ("params[name]", "ж" * 256),
        ("params[mclass]", "2"),
        ("params[mclass]", "-1"),
        ("params[mclass]", "01"),
        ("params[mclass]", ""),
        ("params[mclass]", "true"),
        ("params[validity]", "59"),
        ("params[validity]", "1441"),
        ("params[validity]", "060"),
        ("params[validity]", " 60"),
        ("params[validity]", "60.0"),
        ("params[validity]", "6e1"),
        ("params[validity]", "٦٠"),
        ("params[validity]", ""),
        ("params[shortenLinks]", "2"),
        ("params[shortenLinks]", "True"),
        ("params[deferredToTs]", ""),
        ("params[deferredToTs]", "2026-13-01 10:00:00"),
        ("params[deferredToTs]", "tomorrow"),
    ],
)
def test_what_breaks_a_rule_is_code_1_and_names_the_field(sandbox: Sandbox, name: str, value: str) -> None:
    """Only the broken field is named, and nothing is accepted."""
    envelope = post(sandbox, SEND, GOOD | {name: value})
    assert (envelope["code"], list(envelope["data"])) == (1, [name])
    assert sandbox.messages() == []


def test_all_broken_fields_are_named_at_once(sandbox: Sandbox) -> None:
    """One answer has them all."""
    envelope = send(sandbox, "8701", "", mclass="5", validity="1", shortenLinks="x", deferredToTs="x", name="n" * 256)
    assert envelope["code"] == 1
    assert set(envelope["data"]) == {
        *("recipient", "text"),
        *(f"params[{name}]" for name in ("mclass", "validity", "shortenLinks", "deferredToTs", "name")),
    }


@pytest.mark.parametrize(
    "form",
    [
        {"text": "Hello"},
        {"recipient": RECIPIENT},
        {},
        GOOD | {"params[Validity]": "60"},
        GOOD | {"validity": "60"},
        GOOD | {"params": "60"},
        GOOD | {"sender": "Brand"},
        {"recipient[]": RECIPIENT, "text": "Hello"},
        GOOD | {"params[name][]": "x"},
    ],
)
def test_a_missing_or_misnamed_parameter_is_code_11(sandbox: Sandbox, form: dict[str, str]) -> None:
    """With null, as live servers answer."""
    envelope = post(sandbox, SEND, form)
    assert (envelope["code"], envelope["data"]) == (11, None)
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    ("encoded", "fault"),
    [
        ("a b", "isn't URL-encoded"),
        ("a/b", "isn't URL-encoded"),
        ("a%", "isn't URL-encoded"),
        ("a%2", "isn't URL-encoded"),
        ("a%zz", "isn't URL-encoded"),
        ("Код", "isn't URL-encoded"),
        ("a=b", "isn't URL-encoded"),
        ("%D0", "isn't UTF-8"),
        ("%ED%A0%80", "isn't UTF-8"),
        ("%CA%EE%E4", "isn't UTF-8"),
        ("a&text=b", "is given more than once"),
    ],
)
def test_what_is_not_encoded_as_documented_is_refused(sandbox: Sandbox, encoded: str, fault: str) -> None:
    """Raw characters, broken escapes, bytes of another encoding (windows-1251) and repeated names are told apart."""
    body = f"apiKey={KEY}&recipient={RECIPIENT}&text={encoded}".encode()
    envelope = http(f"{sandbox.url}/service/{SEND}", body).envelope
    assert (envelope["code"], envelope["data"]) == (1, {"text": fault})


@pytest.mark.parametrize(
    "ahead", [timedelta(hours=1, minutes=1), 14 * DAY - timedelta(minutes=1)], ids=["an hour", "14 days"]
)
def test_a_deferred_message_starts_within_one_hour_and_14_days(sandbox: Sandbox, ahead: timedelta) -> None:
    """Both ends of the span, in the account's local time."""
    assert send(sandbox, deferredToTs=local(ahead=ahead))["code"] == 0


@pytest.mark.parametrize(
    "ahead",
    [timedelta(minutes=59), 14 * DAY + timedelta(minutes=1), -DAY, timedelta(hours=1) - ALMATY],
    ids=["too near", "too far", "past", "UTC by mistake"],
)
def test_outside_that_span_it_is_refused(sandbox: Sandbox, ahead: timedelta) -> None:
    """Also a time that would do in UTC but not in the account's zone."""
    envelope = send(sandbox, deferredToTs=local(ahead=ahead))
    assert envelope["data"] == {"params[deferredToTs]": "must be at least one hour and at most 14 days from now"}


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M:%SZ"])
def test_another_format_of_time_is_refused(sandbox: Sandbox, form: str) -> None:
    """ISO with a T, no seconds, a local date and an offset aren't the documented format."""
    moment = (datetime.now(UTC) + ALMATY + DAY).strftime(form)
    envelope = send(sandbox, deferredToTs=moment)
    assert envelope["data"] == {
        "params[deferredToTs]": "must be a time that exists, written YYYY-MM-DD HH:MM:SS",
    }


def test_the_sandbox_clock_governs_deferral(sandbox: Sandbox) -> None:
    """A day that was moved ahead is a day nearer: what was too far isn't any more."""
    too_far = local(ahead=14 * DAY + timedelta(hours=12))
    assert send(sandbox, deferredToTs=too_far)["code"] == 1
    sandbox.post("/sandbox/clock", advance=86_400)
    assert send(sandbox, deferredToTs=too_far)["code"] == 0
    assert len(accepted(sandbox, RECIPIENT)) == 1


def test_the_form_may_be_split_over_query_and_body(sandbox: Sandbox) -> None:
    """A parameter counts wherever it stands, but only once."""
    query = urlencode({"apiKey": KEY, "recipient": RECIPIENT})
    assert http(f"{sandbox.url}/service/{SEND}?{query}", b"text=Hello").envelope["code"] == 0
    repeated = http(f"{sandbox.url}/service/{SEND}?{query}", f"text=Hello&recipient={RECIPIENT}".encode()).envelope
    assert repeated["data"] == {"recipient": "is given more than once"}
