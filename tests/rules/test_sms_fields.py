"""The rules of each field, and how a broken one is reported."""

import pickle
from enum import IntEnum, StrEnum

import pytest

from smsq.errors import InvalidSms
from smsq.rules import LONGEST_NAME
from smsq.sms import Sms


class Minutes(IntEnum):
    """An application's own constant for an integer."""

    LONG = 1440


class Sender(StrEnum):
    """An application's own constant for a string."""

    SHOP = "Shop"


def message(**fields: object) -> Sms:
    """Makes a message that is valid but for the given fields."""
    return Sms(**{"recipient": "+77010000001", "text": "Hello"} | fields)


def problems(**fields: object) -> dict[str, str]:
    """Returns what is wrong with the given fields."""
    with pytest.raises(InvalidSms) as refused:
        message(**fields)
    return refused.value.errors


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "Код: 4711",
        "қазақша",
        "+ & % ? / \\ #",
        "line\nline\r\nline\ttab\fpage",
        " leading and trailing ",
        "e\u0301 stays decomposed",
        "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}",
        "\u200f\u0633\u0644\u0627\u0645",
        "private \uf8ff, unassigned \u0378, replaced \ufffd, marked \ufeff",
        "x" * 100_000,
    ],
)
def test_any_text_is_kept_as_it_is(text: str) -> None:
    """Not a character is trimmed, normalised or replaced; how long it may be is a setting of the account."""
    assert message(text=text).text == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is empty"),
        (" \t\r\n\u00a0\u3000", "is empty"),
        ("a\0", "holds a control character (U+0000)"),
        ("a\x1b", "holds a control character (U+001B)"),
        ("a\x0b", "holds a control character (U+000B)"),
        ("a\x7f", "holds a control character (U+007F)"),
        ("it\x92s", "holds a control character (U+0092)"),
        ("a\nb\x85", "holds a control character (U+0085)"),
        ("a\ud83d", "holds half a surrogate pair (U+D83D)"),
        ("\ude00a", "holds half a surrogate pair (U+DE00)"),
        ("a\ufdd0", "holds U+FDD0"),
        ("a\uffff", "holds U+FFFF"),
        ("a\U0010fffe", "holds U+10FFFE"),
        (b"bytes", "must be a string"),
        (4711, "must be a string"),
        (None, "must be a string"),
    ],
)
def test_a_text_with_nothing_to_read_or_with_what_is_no_character_is_refused(text: object, rule: str) -> None:
    """Such a text was cut, decoded or filled in wrongly on its way here."""
    assert rule in problems(text=text)["text"]


@pytest.mark.parametrize(
    "sender",
    ["Brand", "a", "My Shop 24", "A-B_C.D&E", "12-34", "Elevenchars", "123456789012345", "+77010000001", Sender.SHOP],
)
def test_a_sender_that_can_be_a_signature_is_kept(sender: str) -> None:
    """Up to 11 characters, or up to 15 digits; whether it is registered only the gateway knows."""
    kept = message(sender=sender).sender
    assert kept == str(sender)
    assert type(kept) is str


@pytest.mark.parametrize(
    ("sender", "rule"),
    [
        ("Twelve chars", "must be at most 11 characters"),
        ("12345678901a", "must be at most 11 characters"),
        ("1234567890123456", "must be at most 11 characters, or 15 digits"),
        ("", "is empty: leave it out"),
        (" Brand", "must not start or end with a space"),
        ("Brand ", "must not start or end with a space"),
        ("...", "must hold a letter or a digit"),
        ("   ", "must not start or end with a space"),
        ("Бренд", "must be Latin letters"),
        ("Café", "must be Latin letters"),
        ("[Brand]", "must be Latin letters"),
        ("١٢٣", "must be Latin letters"),
        ("Brand\n", "must be Latin letters"),
        ("Bra\0nd", "must be Latin letters"),
        ("Bra\ud83dnd", "must be Latin letters"),
        (4711, "must be a string"),
        (True, "must be a string"),
    ],
)
def test_a_sender_that_can_be_no_signature_is_refused(sender: object, rule: str) -> None:
    """The gateway would replace it in silence, so it is refused here."""
    assert rule in problems(sender=sender)["from"]


@pytest.mark.parametrize("name", ["otp", "Осенняя рассылка 🍁", "a" * LONGEST_NAME, " spaced ", "#1"])
def test_a_name_is_kept(name: str) -> None:
    """Any single line that leaves room for the job's mark."""
    assert message(name=name).name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a" * (LONGEST_NAME + 1), "must be at most 233 characters"),
        ("", "is empty: leave it out"),
        (" \u00a0", "is empty: leave it out"),
        ("a\nb", "holds U+000A: it must be a single line"),
        ("a\tb", "holds U+0009: it must be a single line"),
        ("a\u2028b", "holds U+2028: it must be a single line"),
        ("a\0b", "holds a control character (U+0000)"),
        ("a\udfffb", "holds half a surrogate pair"),
        ("a\ufffeb", "holds U+FFFE"),
        (7, "must be a string"),
    ],
)
def test_a_name_that_the_gateway_could_not_store_as_it_is_is_refused(name: object, rule: str) -> None:
    """Our own jobs are found again by the campaign's name, so it must come back unchanged."""
    assert rule in problems(name=name)["name"]


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (1, 1), ("0", 0), ("1", 1), (None, None)])
def test_mclass_is_0_or_1(given: object, kept: int | None) -> None:
    """An integer, or its digit since forms carry strings."""
    assert message(mclass=given).mclass == kept


@pytest.mark.parametrize(
    ("given", "kept"), [(60, 60), (1440, 1440), ("60", 60), ("1440", 1440), (Minutes.LONG, 1440), (None, None)]
)
def test_validity_is_60_to_1440(given: object, kept: int | None) -> None:
    """Whole minutes, both ends allowed, kept as a plain int."""
    validity = message(validity=given).validity
    assert validity == kept
    assert type(validity) is type(kept)


@pytest.mark.parametrize(
    ("given", "kept"), [(True, True), (False, False), (1, True), (0, False), ("1", True), ("0", False), (None, None)]
)
def test_shorten_links_is_a_truth_value(given: object, kept: bool | None) -> None:
    """A bool, or the API's 0 and 1."""
    assert message(shorten_links=given).shorten_links is kept


NO_WHOLE_NUMBERS = [
    1.0,
    60.0,
    1.5,
    float("nan"),
    float("inf"),
    "",
    " 60",
    "60 ",
    "60\n",
    "+60",
    "-1",
    "060",
    "6_0",
    "60.0",
    "1e2",
    "0x3C",
    "٦٠",
    "６０",
    "60\0",
    -1,
    2,
    10**30,
    "9" * 5000,
    b"60",
    [60],
    {"a": 1},
]


@pytest.mark.parametrize("value", [*NO_WHOLE_NUMBERS, True, False, 60])
def test_what_is_not_0_or_1_is_refused_as_mclass(value: object) -> None:
    """``True`` is no class of messages, and nothing is rounded, trimmed or read as a number."""
    assert problems(mclass=value) == {"mclass": "must be 0 (flash: shown, stored nowhere) or 1 (stored in the inbox)"}


@pytest.mark.parametrize("value", [*NO_WHOLE_NUMBERS, True, 0, 59, 1441, "59", "1441"])
def test_what_is_not_60_to_1440_is_refused_as_validity(value: object) -> None:
    """Nothing is rounded, trimmed or brought into the range."""
    assert problems(validity=value) == {"validity": "must be a whole number of minutes from 60 to 1440"}


@pytest.mark.parametrize("value", [*NO_WHOLE_NUMBERS, "true", "on", "yes", 60])
def test_what_is_no_truth_value_is_refused_as_shorten_links(value: object) -> None:
    """Words are not guessed at."""
    assert problems(shorten_links=value) == {"shortenLinks": "must be true or false (1 or 0 in the API's form)"}


def test_every_broken_field_is_reported_at_once_by_its_api_name() -> None:
    """The user mends everything in one go."""
    found = problems(
        recipient="87010000001",
        text="",
        sender="Twelve chars",
        name="",
        deferred_to="tomorrow",
        mclass=True,
        validity=1.5,
        shorten_links="yes",
        foo=1,
    )
    fields = {"recipient", "text", "from", "name", "deferredToTs", "mclass", "validity", "shortenLinks", "foo"}
    assert set(found) == fields
    assert found["foo"] == "isn't a parameter of sendSmsMessage"


def test_a_string_of_a_class_of_its_own_becomes_a_plain_one() -> None:
    """Template engines mark strings by a subclass, which must not travel on into records and comparisons."""

    class Markup(str):
        """What a template engine returns."""

        __slots__ = ()

    sms = message(recipient=Markup("77010000001"), text=Markup("a"), sender=Markup("b"), name=Markup("c"))
    assert {type(value) for value in (sms.recipient, sms.text, sms.sender, sms.name)} == {str}


def test_missing_fields_are_reported() -> None:
    """Recipient and text are required."""
    with pytest.raises(InvalidSms) as refused:
        Sms.model_validate({})
    assert refused.value.errors == {"recipient": "is required", "text": "is required"}


def test_the_error_never_repeats_what_was_given() -> None:
    """Neither its text nor its chain of exceptions nor its pickled form holds a value that the user gave."""
    secret = "s3cret"
    with pytest.raises(InvalidSms) as refused:
        Sms.model_validate(
            {
                "recipient": f"+7701{secret}",
                "text": f"{secret}\0",
                "from": f"{secret} too long",
                "name": f"{secret}\n",
                "params": {"deferredToTs": secret, "mclass": secret, "validity": secret, "shortenLinks": secret},
            }
        )
    error = refused.value
    assert len(error.errors) == 8
    assert error.__cause__ is None
    assert error.__context__ is None
    assert secret not in f"{error} {error!r} {error.errors} {pickle.dumps(error)!r}"
    assert "7701" not in str(error)


def test_a_message_shows_neither_number_nor_text() -> None:
    """What gets into a log or a traceback by ``repr`` or ``str`` identifies nobody."""
    sms = message(text="Код: 4711", sender="Brand", name="call 77010000001", validity=60)
    shown = "recipient='7701*****01' {0}text='<9 characters>' {0}sender='Brand' {0}name='call [number]' {0}validity=60"
    assert str(sms) == shown.format("")
    assert repr(sms) == f"Sms({shown.replace(' {0}', ', ')})"
    assert f"{sms}" == str(sms)


def test_a_message_cannot_be_changed() -> None:
    """A change is refused without showing the new value, and without a loophole."""
    sms = message()
    with pytest.raises(AttributeError, match=r"text can't be changed: use model_copy") as refused:
        sms.text = "secret"  # type: ignore[misc] # what the type checker refuses too
    assert "secret" not in str(refused.value)
    assert sms.text == "Hello"


def test_a_copy_with_changes_obeys_the_rules() -> None:
    """``model_copy`` is how a message is varied, so it must not be a way around the rules."""
    sms = message(sender="Brand", validity=60)
    copy = sms.model_copy(update={"recipient": "+7 701 000-00-02", "validity": None})
    assert copy == Sms(recipient="77010000002", text="Hello", sender="Brand")
    with pytest.raises(InvalidSms) as refused:
        sms.model_copy(update={"text": ""})
    assert set(refused.value.errors) == {"text"}
    assert sms.model_copy() == sms


def test_messages_are_values() -> None:
    """Equal messages are equal, hash alike and survive pickling."""
    sms = message(sender="Brand")
    assert sms == message(sender="Brand", mclass=None)
    assert hash(sms) == hash(message(sender="Brand"))
    assert pickle.loads(pickle.dumps(sms)) == sms  # noqa: S301 - our own bytes
    assert sms != message(sender="Other")
