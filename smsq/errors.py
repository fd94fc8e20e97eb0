"""Every error that smsq raises on purpose.

SmsqError
├── InvalidSms            the message breaks a rule of the gateway (raised by Sms, enqueue; the caller mends the input)
├── IdempotencyConflict   the key was used with another content (raised by enqueue; the caller picks another key)
├── QueueUnavailable      Redis can't confirm within the time limit (raised by SmsQueue; call again with the same key)
├── SmsNotSent            the job failed (what Celery's AsyncResult raises; `code`, `reason` and `fields` say why)
│   └── SmsUnknown        the gateway may have the message and can't be asked (a person decides)
├── WebhookRefused        a call of a webhook isn't the gateway's (raised by `smsq.webhook`; answer 403)
└── ConfigurationError    a setting is missing or wrong (raised at start; the operator mends the environment)

No text here ever holds a phone number, a message's text or the API key.
"""

from collections.abc import Mapping


class SmsqError(Exception):
    """Base of all errors that smsq raises on purpose."""


class InvalidSms(SmsqError, ValueError):  # noqa: N818 - the public name, as users read it
    """A message breaks at least one of the gateway's rules.

    Attributes:
        errors: Every broken field by its API name (``recipient``, ``text``, ``from``, ``name``, ``deferredToTs``,
            ``mclass``, ``validity``, ``shortenLinks``), with what is wrong and how to mend it. The values that were
            given are never repeated.
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{field}: {what}" for field, what in self.errors.items()))

    def __reduce__(self) -> tuple[type["InvalidSms"], tuple[dict[str, str]]]:
        """Survives pickling, so that it can cross a process boundary."""
        return type(self), (self.errors,)


class IdempotencyConflict(SmsqError):  # noqa: N818
    """The idempotency key belongs to a job with another content; nothing was enqueued."""


class QueueUnavailable(SmsqError):  # noqa: N818
    """Redis didn't confirm in time. Calling again with the same idempotency key can't send twice.

    Attributes:
        handed_over: Whether Redis may have got what was to be written: then it may have been done all the same.
    """

    def __init__(self, reason: str = "", *, handed_over: bool = False) -> None:
        super().__init__(reason)
        self.handed_over = handed_over

    def __reduce__(self) -> tuple[type["QueueUnavailable"], tuple[str]]:
        """Survives pickling, so that it can cross a process boundary."""
        return type(self), (str(self),)


def in_words(reason: str, code: int | None, fields: Mapping[str, str]) -> str:
    """Returns an error in one line: the code, the reason, and each parameter with what is said of it, if anything."""
    what = "; ".join(f"{name}: {sentence}" if sentence else name for name, sentence in fields.items())
    return (f"code {code}: " if code is not None else "") + reason + (f" ({what})" if what else "")


class SmsNotSent(SmsqError):  # noqa: N818
    """The job failed: the message was not sent, and won't be as it stands.

    Attributes:
        reason: What happened, in a few words.
        code: The gateway's error code, or None.
        fields: What is wrong with which parameter, by API name.
    """

    def __init__(self, reason: str, code: int | None = None, fields: Mapping[str, str] | None = None) -> None:
        self.reason = reason
        self.code = code
        self.fields = dict(fields or {})
        super().__init__(in_words(reason, code, self.fields))

    def __reduce__(self) -> tuple[type["SmsNotSent"], tuple[str, int | None, dict[str, str]]]:
        """Survives pickling: a prefork child hands it to its parent."""
        return type(self), (self.reason, self.code, self.fields)


class SmsUnknown(SmsNotSent):
    """The gateway may have the message and can't be asked; it is not sent again without a person's word."""


class WebhookRefused(SmsqError):  # noqa: N818
    """A call of a webhook isn't the gateway's, or is too old to be believed to be."""


class ConfigurationError(SmsqError):
    """Settings are missing or wrong.

    Attributes:
        problems: One line for each variable that is wrong.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
