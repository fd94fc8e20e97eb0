"""The message as a user gives it: one model, three forms of input, every broken rule at once."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from smsq import rules
from smsq.errors import InvalidSms
from smsq.privacy import mask_recipient, redact
from smsq.recipient import canonical_recipient
from smsq.segments import Segments, measure

OPTIONAL: Final = {
    "sender": "from",
    "name": "name",
    "deferred_to": "deferredToTs",
    "mclass": "mclass",
    "validity": "validity",
    "shorten_links": "shortenLinks",
}
"""Python name to API name; ``recipient`` and ``text`` are the same in both."""

API_NAMES: Final = frozenset(("recipient", "text", *OPTIONAL.values()))
WHOLE: Final = "sms"
"""Stands for the field in an error that concerns the message as a whole."""

UNKNOWN: Final = "isn't a parameter of sendSmsMessage"

_TO_PYTHON_NAME: Final = {"recipient": "recipient", "text": "text"} | {api: name for name, api in OPTIONAL.items()}
_NOT_GIVEN: Final[dict[str, Any]] = dict.fromkeys(OPTIONAL)
_PYTHON_NAMES: Final = frozenset(("recipient", "text", *OPTIONAL))
_PARAMS: Final = API_NAMES - {"recipient", "text", "from"}
_TO_API_NAME: Final = OPTIONAL | {f"params[{name}]": name for name in _PARAMS}

_RULE: Final = "sms_rule"
_FOUND_BY_PYDANTIC: Final = {
    "missing": "is required",
    "extra_forbidden": UNKNOWN,
    "invalid_key": UNKNOWN,
    "json_invalid": "isn't valid JSON",
}
_NO_OBJECT: Final = "must be an object that holds recipient and text"

_T = TypeVar("_T")


class Sms(BaseModel):
    """One message, checked: what breaks a rule of sendSmsMessage can't be constructed.

    Takes the Python names below, the API's own form (``from``, ``params`` with ``name``, ``deferredToTs``, ``mclass``,
    ``validity`` and ``shortenLinks`` in it) and that of an HTML form (``params[name]`` and so on). All broken fields
    are reported at once: as ``InvalidSms`` to the caller who makes an ``Sms``, as pydantic's own error where it is a
    field of another model, such as the body of a web request. Neither repeats what was given.

    Attributes:
        recipient: The phone number with its country code; stored as digits only.
        text: What is sent, exactly these characters.
        sender: The signature, the API's ``from``; it must be registered in the account.
        name: The campaign's name, 233 characters at most.
        deferred_to: When the gateway is to start sending, one hour to 14 days ahead (``prepare`` checks that); without
            an offset it is in the account's zone.
        mclass: 0 for a flash SMS, 1 for the phone's inbox.
        validity: How long the operator keeps trying, in minutes, 60 to 1440.
        shorten_links: Whether the service shortens the links in the text.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    recipient: Annotated[str, BeforeValidator(canonical_recipient)]
    text: Annotated[str, BeforeValidator(rules.check_text)]
    sender: Annotated[str | None, BeforeValidator(rules.check_sender)] = Field(default=None, validation_alias="from")
    name: Annotated[str | None, BeforeValidator(rules.check_name)] = None
    deferred_to: Annotated[datetime | None, BeforeValidator(rules.check_deferred_to)] = Field(
        default=None, validation_alias="deferredToTs"
    )
    mclass: Annotated[int | None, BeforeValidator(rules.check_mclass)] = None
    validity: Annotated[int | None, BeforeValidator(rules.check_validity)] = None
    shorten_links: Annotated[bool | None, BeforeValidator(rules.check_shorten_links)] = Field(
        default=None, validation_alias="shortenLinks"
    )

    if not TYPE_CHECKING:  # type checkers derive a precise signature from the fields

        def __init__(self, /, **data: object) -> None:
            _or_invalid(self.__pydantic_validator__.validate_python, data, self_instance=self)

        # Tells pydantic, as its own RootModel does, that a model which holds an Sms need not call this: there the
        # error must stay pydantic's, so that it joins those of the other fields.
        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: object) -> None:
            """Refuses any change, as pydantic would, but without the new value in the error."""
            raise AttributeError(f"{name} can't be changed: use model_copy(update=...)")

    @model_validator(mode="wrap")
    @classmethod
    def _validate_any_form(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Brings the API's and a form's shape to flat names, and takes the given values out of the errors."""
        problems: dict[str, str] = {}
        # A plain dict alone: frameworks' own kinds of it may store other values than they show.
        flat = type(given) is dict and (_PYTHON_NAMES.issuperset(given) or API_NAMES.issuperset(given))
        if not flat and isinstance(given, Mapping):
            given, problems = _flattened(given)
        try:
            sms = handler(given)
        except ValidationError as error:
            problems = _problems(error) | problems
        if not problems:
            return sms
        raise ValidationError.from_exception_data(
            cls.__name__,
            [
                InitErrorDetails(
                    type=PydanticCustomError(_RULE, what), loc=() if field == WHOLE else (field,), input="(not shown)"
                )
                for field, what in problems.items()
            ],
        )

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """Makes a message of what the ledger stores, unjudged: pydantic's `model_construct`, for a third of its time.

        Args:
            record: Parameters by their API names, as they passed the rules.
        """
        given = {_TO_PYTHON_NAME[name]: value for name, value in record.items()}
        sms = cls.__new__(cls)
        for name, value in (
            ("__dict__", _NOT_GIVEN | given),
            ("__pydantic_fields_set__", set(given)),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(sms, name, value)
        return sms

    @classmethod
    def model_validate(cls, obj: object, **options: object) -> Self:
        """Validates a mapping in any of the three forms; see pydantic for the options.

        Raises:
            InvalidSms: At least one field breaks a rule.
        """
        return _or_invalid(super().model_validate, obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: object) -> Self:
        """Validates a JSON object in any of the three forms; see pydantic for the options.

        Raises:
            InvalidSms: At least one field breaks a rule, or it isn't JSON.
        """
        return _or_invalid(super().model_validate_json, json_data, **options)

    @classmethod
    def model_validate_strings(cls, obj: object, **options: object) -> Self:
        """Validates a mapping of strings in any of the three forms; see pydantic for the options.

        Raises:
            InvalidSms: At least one field breaks a rule.
        """
        return _or_invalid(super().model_validate_strings, obj, **options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copies the message; unlike pydantic's own, a copy with changes obeys the rules too.

        Raises:
            InvalidSms: A changed field breaks a rule.
        """
        if not update:
            return super().model_copy(deep=deep)
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | dict(update))

    @property
    def segments(self) -> Segments:
        """The encoding, the billed segments and, for UCS-2, the characters that force it."""
        return measure(self.text)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Shows what helps to find a mistake and keeps the number and the text out of logs."""
        yield "recipient", mask_recipient(self.recipient)
        yield "text", f"<{len(self.text)} characters>"
        for name in OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                yield name, redact(value) if isinstance(value, str) else value


def _or_invalid(validate: Callable[..., _T], given: object, **options: object) -> _T:
    """Validates, and raises pydantic's error as ours, without a trace of the values that pydantic's holds."""
    try:
        return validate(given, **options)
    except ValidationError as error:
        problems = _problems(error)
    raise InvalidSms(problems)


def _problems(error: ValidationError) -> dict[str, str]:
    """Takes from pydantic's error the fields, by their API names, and what is wrong with them."""
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        field = str(problem["loc"][0]) if problem["loc"] else WHOLE
        found[OPTIONAL.get(field, field)] = _what_is_wrong(problem)
    return found


def _what_is_wrong(problem: ErrorDetails) -> str:
    """Finds the words for one of pydantic's errors: the rule's own, or ours for what pydantic finds itself."""
    match problem["type"]:
        case "value_error":
            return str(problem["ctx"]["error"])
        case kind if kind == _RULE:
            return problem["msg"]
        case kind:
            return _FOUND_BY_PYDANTIC.get(kind, _NO_OBJECT)


def _flattened(given: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[str, str]]:
    """Brings any form to flat API names; also returns what is wrong with the form itself."""
    flat: dict[Any, Any] = {}
    problems: dict[str, str] = {}
    params = given.get("params")
    if not (params is None or isinstance(params, Mapping)):
        problems["params"] = "must be an object that holds parameters by name"
        params = None
    inner = {key if key in _PARAMS else f"params[{key}]": value for key, value in (params or {}).items()}
    for key, value in [*given.items(), *inner.items()]:
        if key == "params":
            continue
        name = _TO_API_NAME.get(key, key)
        if name in flat:
            problems[name] = "is given twice"
        flat[name] = value
    return flat, problems
