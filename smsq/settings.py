"""The settings that both sides need, from the environment and a `.env` file. The worker's own are in `config`.

Each field says what it is, its unit and why its default; the README's table is compared with these by a test.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smsq.address import Address
from smsq.durability import Durability
from smsq.encryption import Cipher
from smsq.errors import ConfigurationError


def _address(url: str) -> str:
    try:
        Address.parse(url)
    except ConfigurationError as error:
        raise ValueError(error.problems[0].removeprefix("SMSQ_REDIS_URL: ")) from None
    return url


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not the name of a time zone, such as Asia/Almaty") from None
    return name


def _keys(setting: SecretStr | None) -> SecretStr | None:
    if setting is None or not setting.get_secret_value():
        return None
    Cipher.parse(setting.get_secret_value())
    return setting


class Settings(BaseSettings):
    """What producers and workers share."""

    model_config = SettingsConfigDict(env_prefix="SMSQ_", env_file=".env", extra="ignore", frozen=True)

    redis_url: Annotated[str, AfterValidator(_address)] = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="Broker, job ledger and result backend: redis://, rediss://, unix:// or sentinel://",
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="Asia/Almaty", description="The account's time zone: deferredToTs, and times in the gateway's answers"
    )
    durability: Durability = Field(
        default=Durability.MEMORY,
        description="What “accepted” waits for: memory, disk (append-only file synced), replica (one has it)",
    )
    retention_days: float = Field(
        default=7, gt=0, le=3650, description="How long finished jobs, and their idempotency keys, are kept, in days"
    )
    max_segments: int = Field(
        default=10, ge=1, le=255, description="Longest text that is accepted, in billed segments: each one costs money"
    )
    encryption_key: Annotated[SecretStr | None, AfterValidator(_keys)] = Field(
        default=None,
        description="Keys in base64 by which messages are encrypted in Redis: the first; decrypted: any. Secret",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _none_and_blank(cls, value: object, info: ValidationInfo) -> object:
        """Takes ``none`` where that is the default, as the README's table writes it, and no optional secret of spaces.

        That was meant to be one: as none at all, nothing would be encrypted, and nobody would hear of it. (The
        gateway's key is missed where it is needed.)
        """
        field = cls.model_fields[str(info.field_name)]
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(given, str):
            return value
        is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
        if is_secret and field.default is None and given and not given.strip():
            raise ValueError("is blank: leave it out, or write none")
        if given.strip().lower() == "none" and (field.default is None or is_secret):
            return field.default
        return value

    @classmethod
    def load(cls, **given: Any) -> Self:  # noqa: ANN401 - pydantic's own signature
        """Reads the environment; what is given here comes first.

        Raises:
            ConfigurationError: One line for each variable that is wrong.
        """
        problems = _unreadable_lines(Path(".env"))
        if problems:
            raise ConfigurationError(problems)
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError(_problems(cls, error)) from None

    @property
    def address(self) -> Address:
        """`SMSQ_REDIS_URL`, read."""
        return Address.parse(self.redis_url)

    @property
    def zone(self) -> ZoneInfo:
        """`SMSQ_TIMEZONE`, read."""
        return ZoneInfo(self.timezone)

    @cached_property
    def cipher(self) -> Cipher | None:
        """What `SMSQ_ENCRYPTION_KEY` seals and opens by; None without it."""
        return None if self.encryption_key is None else Cipher.parse(self.encryption_key.get_secret_value())

    @property
    def retention_ms(self) -> int:
        """`SMSQ_RETENTION_DAYS` in milliseconds."""
        return max(1000, int(self.retention_days * 86_400_000))


def variable(settings: type[Settings], field: str) -> str:
    """Returns the environment variable of a field."""
    alias = settings.model_fields[field].validation_alias if field in settings.model_fields else None
    if isinstance(alias, str):
        return alias
    return (str(settings.model_config.get("env_prefix", "")) + field).upper()


def _unreadable_lines(file: Path) -> list[str]:
    """What can't be read of a `.env` file: it would be passed over in silence, and the defaults would stand."""
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8") as stream:
            return [f".env: line {each.original.line} isn't NAME=value" for each in parse_stream(stream) if each.error]
    except UnicodeDecodeError:
        return [".env: isn't UTF-8 text"]
    except OSError as error:
        return [f".env: can't be read ({error.strerror})"]


def _problems(settings: type[Settings], error: ValidationError) -> list[str]:
    """One line for each variable: its name and what is wrong, never its value (it may be a secret)."""
    lines: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        what = "is required" if problem["type"] == "missing" else re.sub(r"^Value error, ", "", problem["msg"])
        if not problem["loc"]:  # a rule over several variables, which it names itself
            lines[what] = what
            continue
        field = str(problem["loc"][0])
        name = field if field.isupper() else variable(settings, field)
        lines.setdefault(name, f"{name}: {what}")
    return list(lines.values())
