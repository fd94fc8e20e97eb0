"""The worker's settings, on top of those that producers share.

Each field says what it is, its unit and why its default; the README's table is compared with these by a test.
"""

import re
from typing import Final, Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator

from smsq.extras import missing
from smsq.ledger import Policy
from smsq.recipient import canonical_recipient, why_none_begins
from smsq.settings import Settings

_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
#: A country code and what may follow: none begins with 0.
_PREFIX: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


def _digits(number: str) -> str:
    """A number, or a part of one, without what people write between the digits."""
    return re.sub(r"[\s().-]", "", number).removeprefix("+")


class WorkerSettings(Settings):
    """What a worker needs to know."""

    api_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://api.mobizon.kz"),
        validation_alias="MOBIZON_API_URL",
        description="The account's API server; it depends on where the account was registered",
    )
    api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="MOBIZON_API_KEY",
        description="The account's API key, bound to the worker's address in Mobizon's panel; a worker needs it",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`info` is one line for each job's end; Celery's `-l` governs Celery's own lines"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json lines, a readable console, or auto: console on a terminal, json elsewhere"
    )
    connect_timeout: float = Field(
        default=5.0, gt=0, le=60, description="Seconds for a connection to the gateway, TLS included"
    )
    call_timeout: float = Field(
        default=30.0, gt=0, le=300, description="Seconds for a whole call, from connecting to the answer's last byte"
    )
    reservation: float = Field(
        default=20.0, ge=1, le=3600, description="Seconds within which a worker begins what it took, or loses it"
    )
    lease: float = Field(
        default=45.0, ge=2, le=3600, description="Seconds a begun job is its worker's; renewed while the worker lives"
    )
    retry_window: float = Field(
        default=5.0, ge=0, le=60, description="Seconds of tries in place before a job goes back to the schedule"
    )
    give_up_after: float = Field(
        default=86_400.0, gt=0, description="Seconds for which the gateway may put a job off, before it fails"
    )
    gateway_bound: float = Field(
        default=600.0, gt=0, le=86_400, description="Seconds after a call beyond which the gateway accepts nothing more"
    )
    list_delay: float = Field(
        default=60.0, ge=0, le=86_400, description="Seconds within which the gateway's lists show a message"
    )
    settling_time: float = Field(
        default=660.0,
        gt=0,
        le=200_000,
        description="Seconds after a call before “not found” is believed; the two above together, or more",
    )
    ask_limit: float = Field(
        default=86_400.0, gt=0, description="Seconds of asking about a lost answer, after which a job ends `unknown`"
    )
    campaign_token: bool = Field(
        default=True,
        description="Whether campaign names end with the job's id: what a lost answer is settled by, beyond all doubt",
    )
    max_losses: int = Field(
        default=3, ge=1, le=100, description="Workers that may die during a job's call before it is put aside"
    )
    circuit_after: int = Field(
        default=20, ge=1, le=10_000, description="Failures of the gateway in a row after which only probes go out"
    )
    dispatch_interval: float = Field(
        default=1.0, ge=0.05, le=60, description="Seconds between a worker's looks at what is due"
    )
    sweep_interval: float = Field(
        default=10.0, ge=0.1, le=3600, description="Seconds between a worker's steps of the slow sweep, 1000 keys each"
    )
    rate_limit: str | None = Field(
        default=None, description="Calls to the gateway for all workers together: `10/s`, `300/m`, `5000/h`"
    )
    only_to: str | None = Field(
        default=None,
        repr=False,
        description="For staging: numbers and prefixes, `+77010000001,+7702`; jobs to others end `cancelled`, uncalled",
    )
    redirect_to: str | None = Field(
        default=None,
        repr=False,
        description="For staging: the number that every message goes to; the record keeps who it was meant for",
    )
    shutdown_grace: float = Field(
        default=30.0, ge=1, le=600, description="Seconds a stopping worker gives the calls that are out"
    )
    delivery: bool = Field(
        default=False,
        description="Whether the gateway is asked what became of sent messages, 100 a call: `job.delivery`",
    )
    erase_after_days: float | None = Field(
        default=None,
        gt=0,
        le=3650,
        description="Days after a job's end at which its number, and a text still there, are erased; none: never",
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of a worker's `/metrics`, `/healthz` and `/readyz`"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Their port, one for each worker of a machine; none: no such pages"
    )
    sentry_dsn: SecretStr | None = Field(
        default=None,
        validation_alias="SENTRY_DSN",
        description="Where failures are reported to, a DSN of Sentry's; needs `smsq[sentry]`. Without it, nowhere",
    )
    allow_eviction: bool = Field(
        default=False, description="Start although Redis may evict keys when its memory is full, and so lose jobs"
    )

    @field_validator("api_key")
    @classmethod
    def _is_one_word(cls, key: SecretStr) -> SecretStr:
        stripped = key.get_secret_value().strip()
        if any(char.isspace() or not char.isprintable() for char in stripped):
            raise ValueError("has white space or control characters in it")
        return SecretStr(stripped)

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is None or not dsn.get_secret_value():
            return None
        try:
            from sentry_sdk.utils import Dsn
        except ImportError:
            raise ValueError(missing("sentry-sdk", "sentry")) from None
        try:
            Dsn(dsn.get_secret_value())
        except ValueError:  # of which the library's own is one
            raise ValueError("must be a DSN of Sentry's, such as https://KEY@sentry.example/1") from None
        return dsn

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, rate: str | None) -> str | None:
        if rate and not _RATE.fullmatch(rate.strip()):
            raise ValueError("must be a number of calls by second, minute or hour, such as 10/s, 300/m or 5000/h")
        return rate or None

    @field_validator("only_to")
    @classmethod
    def _are_numbers(cls, numbers: str | None) -> str | None:
        if numbers is None:
            return None
        if not all(map(_PREFIX.fullmatch, map(_digits, numbers.split(",")))):
            raise ValueError("must be numbers with their country code, or how they begin, with commas between them")
        if why := next(filter(None, map(why_none_begins, map(_digits, numbers.split(",")))), None):
            raise ValueError(f"one of these begins as no recipient does: {why}")
        return numbers

    @field_validator("redirect_to")
    @classmethod
    def _is_a_number(cls, number: str | None) -> str | None:
        return None if number is None else canonical_recipient(number)

    @model_validator(mode="after")
    def _redirected_messages_are_told_apart(self) -> Self:
        if self.redirect_to and not self.campaign_token:
            raise ValueError("SMSQ_REDIRECT_TO needs SMSQ_CAMPAIGN_TOKEN: all messages go to one number")
        return self

    @model_validator(mode="after")
    def _encrypted_messages_are_told_apart(self) -> Self:
        if self.encryption_key and not self.campaign_token:
            raise ValueError("SMSQ_ENCRYPTION_KEY needs SMSQ_CAMPAIGN_TOKEN: encrypted messages can't be compared")
        return self

    @model_validator(mode="after")
    def _lease_covers_a_call(self) -> Self:
        if self.lease < self.call_timeout + self.retry_window + 2:
            raise ValueError("SMSQ_LEASE must exceed SMSQ_CALL_TIMEOUT and SMSQ_RETRY_WINDOW together by 2 seconds")
        return self

    @model_validator(mode="after")
    def _settling_covers_the_gateway(self) -> Self:
        if self.settling_time < self.gateway_bound + self.list_delay:
            raise ValueError("SMSQ_SETTLING_TIME must be at least SMSQ_GATEWAY_BOUND and SMSQ_LIST_DELAY together")
        return self

    @property
    def allowed(self) -> tuple[str, ...]:
        """The numbers and beginnings of numbers that `SMSQ_ONLY_TO` names, digits only; none without a guard."""
        return () if self.only_to is None else tuple(map(_digits, self.only_to.split(",")))

    @property
    def interval_ms(self) -> float:
        """Milliseconds between two calls of all workers that `SMSQ_RATE_LIMIT` allows; 0 without a limit."""
        if not self.rate_limit:
            return 0.0
        found = _RATE.fullmatch(self.rate_limit.strip())
        assert found  # noqa: S101 - the validator took no other
        return _SECONDS[found[2]] * 1000 / int(found[1])

    @property
    def erase_after_ms(self) -> int | None:
        """`SMSQ_ERASE_AFTER_DAYS` in milliseconds; None if nothing is erased before its record goes."""
        return None if self.erase_after_days is None else int(self.erase_after_days * 86_400_000)

    @property
    def policy(self) -> Policy:
        """By what the ledger decides."""
        return Policy(
            retention=self.retention_ms,
            lease=int(self.lease * 1000),
            settling=int(self.settling_time * 1000),
            bound=int(self.gateway_bound * 1000),
            limit=int(self.ask_limit * 1000),
            losses=self.max_losses,
            give_up=int(self.give_up_after * 1000),
            tokens=self.campaign_token,
        )
