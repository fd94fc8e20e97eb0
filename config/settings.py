"""The worker's settings, on top of those that producers share.

Each field says what it is, its unit and why its default; the README's table is compared with these by a test.
"""

from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator

from smsq.settings import Settings


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
        default=90.0, ge=2, le=3600, description="Seconds a begun job is its worker's: a free slot, tries, the call"
    )
    retry_window: float = Field(
        default=5.0, ge=0, le=60, description="Seconds of tries in place before a job goes back to the schedule"
    )
    give_up_after: float = Field(
        default=86_400.0, gt=0, description="Seconds after which a job that the gateway keeps putting off fails"
    )
    dispatch_interval: float = Field(
        default=1.0, ge=0.05, le=60, description="Seconds between a worker's looks at what is due"
    )
    rate_limit: str | None = Field(
        default=None, description="One rate of calls for all workers: not there yet, a worker refuses to start with it"
    )
    shutdown_grace: float = Field(
        default=30.0, ge=1, le=600, description="Seconds a stopping worker gives the calls that are out"
    )

    @field_validator("api_key")
    @classmethod
    def _is_one_word(cls, key: SecretStr) -> SecretStr:
        stripped = key.get_secret_value().strip()
        if any(char.isspace() or not char.isprintable() for char in stripped):
            raise ValueError("has white space or control characters in it")
        return SecretStr(stripped)

    @field_validator("rate_limit")
    @classmethod
    def _not_there_yet(cls, rate: str | None) -> str | None:
        if rate:
            raise ValueError("isn't supported yet; a worker that ignored it would call faster than you allow")
        return rate

    @model_validator(mode="after")
    def _lease_covers_a_call(self) -> Self:
        if self.lease < self.call_timeout + self.retry_window + 2:
            raise ValueError("SMSQ_LEASE must exceed SMSQ_CALL_TIMEOUT and SMSQ_RETRY_WINDOW together by 2 seconds")
        return self
