"""What can be changed about a running sandbox, by ``POST /sandbox/flags``."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from worker.sandbox.alterations import TextChange


def zone(name: str) -> ZoneInfo:
    """Returns a time zone by its name.

    Args:
        name: As in the time-zone database.

    Returns:
        The zone.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such file; a name that leaves the database's folder; a folder's name
        raise ValueError("must be the name of a time zone, such as Asia/Almaty or Etc/GMT+3") from None


def _is_zone(name: str) -> str:
    zone(name)
    return name


class Flags(BaseModel):
    """The flags, with what holds while nobody changes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    campaign_type_filter: Literal["mass", "off", "nothing"] = Field(
        default="mass",
        description="What campaign/list does without criteria[type]: shows mass mailings, so none of ours; shows all; "
        "`nothing` finds nothing ever, whatever is asked",
    )
    text_changes: list[TextChange] = Field(
        default=[], description="What is done to a text before it is stored: trim, crlf, fold-quotes, drop-emoji"
    )
    timezone: Annotated[str, AfterValidator(_is_zone)] | None = Field(
        default=None, description="The account's time zone in place of the command line's, for all times on the wire"
    )
    nested_campaign: bool = Field(
        default=True, description="Whether items of message/list carry `campaign{…}`, which is undocumented"
    )
    late_seconds: float = Field(
        default=20.0, ge=0, description="Seconds after the caller hung up at which the late recipient is accepted"
    )
    list_delay_seconds: float = Field(
        default=0.0, ge=0, description="Seconds after which an accepted message shows in lists"
    )
    balance: str = Field(
        default="1000.0000",
        pattern=r"^-?[0-9]{1,9}\.[0-9]{4}$",
        description="What getOwnBalance answers; while it is not above 0, nothing is accepted (code 15)",
    )
