"""The forms that a message comes in: Python names, the API's shape, an HTML form, JSON, a field of another model."""

import json
from collections import UserDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from smsq.errors import InvalidSms
from smsq.sms import Sms

API_SHAPE: dict[str, Any] = {
    "recipient": "+77010000001",
    "text": "Код: 4711",
    "from": "Brand",
    "params": {"name": "otp", "deferredToTs": "2026-12-01 10:00:00", "mclass": 0, "validity": 60, "shortenLinks": 1},
}
FORM = {
    "recipient": "+77010000001",
    "text": "Код: 4711",
    "from": "Brand",
    "params[name]": "otp",
    "params[deferredToTs]": "2026-12-01 10:00:00",
    "params[mclass]": "0",
    "params[validity]": "60",
    "params[shortenLinks]": "1",
}
PYTHON = Sms(
    recipient="+77010000001",
    text="Код: 4711",
    sender="Brand",
    name="otp",
    deferred_to=datetime(2026, 12, 1, 10),  # noqa: DTZ001 - in the account's zone
    mclass=0,
    validity=60,
    shorten_links=True,
)


class PostedFields(dict[str, list[str]]):
    """What some web frameworks make of a form: a dict that stores lists and shows the last value of each."""

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override] # as these frameworks do
        """Shows the last value of each field."""
        return [(key, values[-1]) for key, values in super().items()]


class Order(BaseModel):
    """What a web framework makes of a request's body."""

    sms: Sms
    quantity: int


def refused(call: Callable[[], object]) -> dict[str, str]:
    """Returns what is wrong."""
    with pytest.raises(InvalidSms) as caught:
        call()
    assert caught.value.__context__ is None
    return caught.value.errors


@pytest.mark.parametrize(
    "given",
    [
        API_SHAPE,
        FORM,
        {key: value for key, value in API_SHAPE.items() if key != "params"} | API_SHAPE["params"],
        PYTHON.model_dump(),
        UserDict(FORM),
        UserDict(PYTHON.model_dump()),
        FORM | {"params": None},
        FORM | {"params": {}},
    ],
    ids=["api", "form", "flat", "python", "mapping", "mapping of python names", "null params", "empty params"],
)
def test_every_form_gives_the_same_message(given: dict[str, Any]) -> None:
    """Names are all that differs between the forms."""
    assert Sms.model_validate(given) == PYTHON


def test_json_and_strings_give_the_same_message() -> None:
    """Pydantic's other two doors lead to the same rules."""
    assert Sms.model_validate_json(json.dumps(API_SHAPE)) == PYTHON
    assert Sms.model_validate_json(json.dumps(FORM).encode()) == PYTHON
    assert Sms.model_validate_strings(FORM) == PYTHON
    assert Sms.model_validate_json(PYTHON.model_dump_json()) == PYTHON


def test_a_form_that_stores_lists_is_read_as_it_shows_itself() -> None:
    """A framework's own kind of dict is asked for its items, not read behind its back."""
    posted = PostedFields({"recipient": ["+77010000001"], "text": ["a"], "from": ["Brand"]})
    assert Sms.model_validate(posted) == Sms(recipient="+77010000001", text="a", sender="Brand")


def test_an_instance_is_taken_as_it_is() -> None:
    """Validating a message again gives the message."""
    assert Sms.model_validate(PYTHON) is PYTHON


def test_unknown_parameters_are_refused_by_name() -> None:
    """A misspelt option must not be dropped in silence, wherever it stands."""
    given = API_SHAPE | {"validity_": 1, "params": {"ttl": 5, "recipient": "77010000002"}, "params[tll]": "5", 7: 8}
    assert refused(lambda: Sms.model_validate(given)) == dict.fromkeys(
        ["validity_", "params[ttl]", "params[recipient]", "params[tll]", "7"], "isn't a parameter of sendSmsMessage"
    )


def test_a_parameter_given_twice_is_refused() -> None:
    """Of two values none is picked, whichever two names they come under."""
    given = API_SHAPE | {"sender": "Other", "name": "other", "params[validity]": "90"}
    assert refused(lambda: Sms.model_validate(given)) == dict.fromkeys(["from", "name", "validity"], "is given twice")


@pytest.mark.parametrize("params", [[], "name=otp", 1, [["name", "otp"]]])
def test_params_must_be_a_mapping(params: object) -> None:
    """Another type in its place is said to be wrong, beside the other errors."""
    found = refused(lambda: Sms.model_validate({"recipient": "77010000001", "text": "", "params": params}))
    assert found["params"] == "must be an object that holds parameters by name"
    assert set(found) == {"params", "text"}


@pytest.mark.parametrize("given", [None, [], "text", 5])
def test_only_an_object_is_a_message(given: object) -> None:
    """What holds no fields is an error of the whole, which has a name of its own."""
    error = {"sms": "must be an object that holds recipient and text"}
    assert refused(lambda: Sms.model_validate(given)) == error
    assert refused(lambda: Sms.model_validate_json(json.dumps(given))) == error


@pytest.mark.parametrize("raw", ["", "{", b"\xff", '{"text": "\\ud83d"}', "secret"])
def test_what_is_not_json_is_said_to_be_wrong(raw: str | bytes) -> None:
    """Half a surrogate pair isn't JSON either; the error doesn't quote the input."""
    assert refused(lambda: Sms.model_validate_json(raw)) == {"sms": "isn't valid JSON"}


def test_json_numbers_obey_the_same_rules() -> None:
    """NaN, a fraction and a number with more digits than any integer type are refused, not rounded."""
    raw = '{"recipient": 77010000001, "text": "a", "mclass": NaN, "validity": 60.0, "shortenLinks": 1e400}'
    assert set(refused(lambda: Sms.model_validate_json(raw))) == {"recipient", "mclass", "validity", "shortenLinks"}
    huge = '{"recipient": "77010000001", "text": "a", "validity": 1' + "0" * 4000 + "}"
    assert set(refused(lambda: Sms.model_validate_json(huge))) == {"validity"}


def test_as_a_field_of_another_model_its_errors_join_the_others() -> None:
    """A web framework gets pydantic's own error, with the path to each field, and answers 422."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"sms": API_SHAPE | {"recipient": "8701s3cret", "text": "s3cret\0"}, "quantity": "many"})
    errors = caught.value.errors(include_url=False)
    assert [error["loc"] for error in errors] == [("sms", "recipient"), ("sms", "text"), ("quantity",)]
    assert "holds letters" in errors[0]["msg"]
    assert "s3cret" not in f"{caught.value} {errors} {caught.value.json()}"


def test_as_a_field_of_another_model_it_takes_every_form() -> None:
    """The API's shape, JSON and an instance work there too."""
    assert Order.model_validate({"sms": FORM, "quantity": 1}).sms == PYTHON
    assert Order.model_validate_json(json.dumps({"sms": API_SHAPE, "quantity": 1})).sms == PYTHON
    assert Order(sms=PYTHON, quantity=1).sms == PYTHON
    assert "4711" not in repr(Order(sms=PYTHON, quantity=1))


def test_as_the_whole_body_it_raises_pydantic_s_error() -> None:
    """A framework that validates the class itself gets the same error as for a field."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Sms).validate_python({"text": "a", "params": []})
    assert {error["loc"] for error in caught.value.errors()} == {("recipient",), ("params",)}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Sms).validate_json('{"text": "s3cret')
    assert "s3cret" not in str(caught.value)


def test_it_has_a_json_schema() -> None:
    """An OpenAPI page can be made of it; the parameters have their API names."""
    schema = Sms.model_json_schema()
    assert set(schema["properties"]) == {*API_SHAPE, *API_SHAPE["params"]} - {"params"}
    assert schema["required"] == ["recipient", "text"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-12-01 10:00:00", datetime(2026, 12, 1, 10)),  # noqa: DTZ001 - in the account's zone
        ("2026-12-01T10:00:00", datetime(2026, 12, 1, 10)),  # noqa: DTZ001 - in the account's zone
        ("2026-12-01T10:00:00Z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T15:00:00.5+05:00", datetime(2026, 12, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(given: str, kept: datetime) -> None:
    """The API's form, and the ISO form in which JSON carries a datetime."""
    assert Sms(recipient="77010000001", text="a", deferred_to=given).deferred_to == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "2026-12-01",
        "2026-12-01 10:00",
        "2026-12-01 10:00:00 ",
        "2026-12-1 10:00:00",
        "01.12.2026 10:00:00",
        "20261201T100000",
        "2026-W49-2T10:00:00",
        "２０２６-12-01 10:00:00",
        "2026-02-29 10:00:00",
        "2026-12-01 24:00:00",
        "2026-12-01 10:00:60",
        "2026-12-01 10:00:00+25:00",
        "tomorrow",
        1796101200,
        "1796101200",
        1796101200.5,
        True,
        float("nan"),
        datetime(2026, 12, 1, tzinfo=UTC).date(),
    ],
)
def test_what_is_no_moment_is_refused(given: object) -> None:
    """Neither a date alone nor a number is guessed at, and the calendar has the last word."""
    found = refused(lambda: Sms.model_validate({"recipient": "77010000001", "text": "a", "deferredToTs": given}))
    assert set(found) == {"deferredToTs"}
