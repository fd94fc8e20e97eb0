"""What the ledger stores, what is read again, and what the gateway is sent."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsq.errors import InvalidSms
from smsq.message import RULES_VERSION, TOKEN_LENGTH, Sms, api_form, content_hash, dump, load, prepare
from smsq.rules import LONGEST_NAME

ALMATY: Final = ZoneInfo("Asia/Almaty")
NOW: Final = datetime(2026, 11, 30, tzinfo=UTC).timestamp()

FULL: Final = prepare(
    Sms(
        recipient="+7 701 000-00-01",
        text="Код: 4711\n😀",
        sender="Brand",
        name="otp",
        deferred_to=datetime(2026, 12, 1, 10),  # noqa: DTZ001 - in the account's zone
        mclass=0,
        validity=60,
        shorten_links=False,
    ),
    zone=ALMATY,
    now=NOW,
    max_segments=1,
)
STORED: Final = (
    '{"recipient":"77010000001","text":"Код: 4711\\n😀","from":"Brand","name":"otp","deferredToTs":1796101200,'
    '"mclass":0,"validity":60,"shortenLinks":0}'
)

TEXTS: Final = st.text(min_size=1).filter(
    lambda text: text.strip() and not re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", text) and not _holds_none(text)
)


def _holds_none(text: str) -> bool:
    """Tells whether a Unicode noncharacter is in the text."""
    return any(ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in text)


@st.composite
def messages(draw: st.DrawFn) -> Sms:
    """Any message that obeys the rules, prepared."""
    sms = Sms(
        recipient="7" + draw(st.from_regex(r"[1-79][0-9]{9}", fullmatch=True)),
        text=draw(TEXTS),
        sender=draw(st.none() | st.from_regex(r"[A-Za-z][A-Za-z0-9.&_-]{0,10}", fullmatch=True)),
        name=draw(st.none() | st.text("aя#😀 ", min_size=1, max_size=LONGEST_NAME).filter(str.strip)),
        deferred_to=draw(
            st.none() | st.datetimes(datetime(2026, 11, 30, 6), datetime(2026, 12, 14))  # noqa: DTZ001 - in the account's zone
        ),
        mclass=draw(st.sampled_from([None, 0, 1])),
        validity=draw(st.none() | st.integers(60, 1440)),
        shorten_links=draw(st.sampled_from([None, False, True])),
    )
    return prepare(sms, zone=ALMATY, now=NOW, max_segments=1_000)


def refused(raw: str | bytes, *, trusted: bool = False) -> dict[str, str]:
    """Returns what is wrong with a record."""
    with pytest.raises(InvalidSms) as caught:
        load(raw, trusted=trusted)
    assert caught.value.__cause__ is None
    return caught.value.errors


def record(**fields: object) -> str:
    """Makes a record that is right but for the given fields."""
    return json.dumps({"recipient": "77010000001", "text": "a"} | fields)


def test_a_record_is_compact_json_of_what_was_given() -> None:
    """API names, a fixed order, no escapes of letters, nothing that wasn't given."""
    assert dump(FULL) == STORED
    assert dump(Sms(recipient="77010000001", text="a")) == '{"recipient":"77010000001","text":"a"}'


@given(messages())
def test_what_is_stored_is_read_again(sms: Sms) -> None:
    """Whatever the message, its record gives it back, judged again or not."""
    raw = dump(sms)
    assert load(raw) == sms
    assert load(raw.encode()) == sms
    assert load(raw, trusted=True) == sms
    assert dump(load(raw)) == dump(load(raw, trusted=True)) == raw
    assert json.loads(raw)["text"] == sms.text


@given(messages(), messages())
def test_the_hash_tells_messages_apart(one: Sms, other: Sms) -> None:
    """Equal messages have equal hashes, others don't, and it is 32 hexadecimal digits."""
    assert re.fullmatch("[0-9a-f]{32}", content_hash(one))
    assert content_hash(one) == content_hash(load(dump(one)))
    assert (content_hash(one) == content_hash(other)) == (one == other)


def test_the_hash_stays_the_same_from_release_to_release() -> None:
    """Idempotency keys outlive an upgrade, so a stored hash must still match."""
    assert content_hash(FULL) == hashlib.blake2b(STORED.encode(), digest_size=16).hexdigest()
    assert content_hash(FULL) == "a3811758243f1244368754c55f090c2a"


@pytest.mark.parametrize(
    "raw", ["", "{", "null", "[]", '"text"', "1", b"\xff\xfe", "[" * 100_000, '{"a":1' + "0" * 5_000 + "}"]
)
@pytest.mark.parametrize("trusted", [False, True])
def test_what_is_no_json_object_is_refused(raw: str | bytes, trusted: bool) -> None:
    """A damaged record fails the job with a reason, whatever the record claims, and doesn't stop the worker."""
    errors = refused(raw, trusted=trusted)
    assert errors == {"sms": "isn't a JSON object"} or {"recipient", "text"} <= set(errors)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("{}", {"recipient", "text"}),
        (record(recipient="87010000001", text=""), {"recipient", "text"}),
        (record(recipient=77010000001), {"recipient"}),
        (record(sender="Brand"), {"sender"}),
        (record(params={"mclass": 1}), {"params"}),
        (record(**{"params[mclass]": "1"}), {"params[mclass]"}),
        (record(to="1", mclass=2, deferredToTs="2026-12-01 10:00:00"), {"to", "mclass", "deferredToTs"}),
        (record(deferredToTs=None), {"deferredToTs"}),
        (record(deferredToTs=True), {"deferredToTs"}),
        (record(deferredToTs=1796101200.0), {"deferredToTs"}),
        (record(deferredToTs="1796101200"), {"deferredToTs"}),
        (record(deferredToTs=10**18), {"deferredToTs"}),
        (record(deferredToTs=10**30), {"deferredToTs"}),
        (record(deferred_to=1796101200), {"deferred_to"}),
        (record(validity=60.0, name=["a"]), {"validity", "name"}),
        (record(text={"a": 1}), {"text"}),
        ('{"recipient":"77010000001","text":"a","mclass":NaN}', {"mclass"}),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused_by_field(raw: str, fields: set[str]) -> None:
    """A job written by hand or by an older version gets the same rules, all broken fields at once."""
    assert set(refused(raw)) == fields


def test_a_record_without_what_a_call_needs_is_refused_even_if_trusted() -> None:
    """Trust spares a second judgement, not the fields."""
    assert set(refused('{"recipient":5}', trusted=True)) == {"recipient", "text"}
    assert set(refused(record(deferredToTs="soon"), trusted=True)) == {"deferredToTs"}


def test_an_accepted_message_is_not_judged_again() -> None:
    """A rule or a table that has changed since can't fail a job whose record says that it passed."""
    raw = record(recipient="123", validity=30, **{"from": "An older rule's sender"})
    assert set(refused(raw)) == {"recipient", "from", "validity"}
    assert api_form(load(raw, trusted=True), zone=ALMATY, token="#1") == {
        "recipient": "123",
        "text": "a",
        "from": "An older rule's sender",
        "params[name]": "#1",
        "params[validity]": "30",
    }
    assert isinstance(RULES_VERSION, int)


def test_a_deferred_message_must_be_prepared_first() -> None:
    """A moment as users write it has no zone yet, and must not be read in the machine's own."""
    naive = Sms(recipient="77010000001", text="a", deferred_to=datetime(2026, 12, 1, 10))  # noqa: DTZ001
    uses: list[Any] = [dump, content_hash, lambda sms: api_form(sms, zone=ALMATY, token="#1")]
    for use in uses:
        with pytest.raises(ValueError, match="must be prepared"):
            use(naive)


def test_the_form_has_every_parameter_that_was_given() -> None:
    """Names and values are those of sendSmsMessage; the text is exactly the given one."""
    assert api_form(FULL, zone=ALMATY, token="#abc") == {
        "recipient": "77010000001",
        "text": "Код: 4711\n😀",
        "from": "Brand",
        "params[name]": "otp #abc",
        "params[deferredToTs]": "2026-12-01 10:00:00",
        "params[mclass]": "0",
        "params[validity]": "60",
        "params[shortenLinks]": "0",
    }


def test_the_form_leaves_out_what_was_not_given() -> None:
    """The gateway's own defaults stay in force, but for the name that finds the campaign again."""
    assert api_form(Sms(recipient="77010000001", text="a"), zone=ALMATY, token="#abc") == {
        "recipient": "77010000001",
        "text": "a",
        "params[name]": "#abc",
    }


def test_the_longest_name_and_the_longest_token_fit_the_gateway_s_limit() -> None:
    """The campaign's name has 255 characters, and a job's mark is 20 characters behind a ``#``."""
    sms = Sms(recipient="77010000001", text="a", name="я" * LONGEST_NAME)
    form = api_form(sms, zone=ALMATY, token="#" + "a" * 20)
    assert TOKEN_LENGTH == 21
    assert len(form["params[name]"]) == 255
