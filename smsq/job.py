"""What a lookup returns, and how it reads a record.

The record is a Redis hash; its fields, all short so that Redis keeps the hash compact:

``v`` version of the record · ``state`` · ``lane`` · ``batch`` · ``at`` when it was accepted (Redis time, ms) ·
``epoch`` in which it was written, or in which the gateway was last asked about it · ``m0`` ``m1`` … the message as
JSON, in pieces of 60 bytes · ``rules`` version of the rules that the message passed · ``expires`` (ms) · ``key`` hash
of the idempotency key · ``on_unknown`` (``resend``, then ``resent``) · ``token`` the last begin's nonce · ``attempts``
calls to the gateway · ``took`` ms of the last one, from begin to settle · ``ask`` calls that aren't settled
(`_asking.lua`) · ``losses`` workers that died holding it · ``put_off`` since when the gateway puts it off (ms) ·
``twin`` hash of number and text · ``called`` the number that was called, if it isn't the message's own · ``log`` its
timeline, if anything was out of the ordinary · ``erased`` how number and text came to be gone (``forgotten``,
``erased``) · ``error`` JSON · ``code`` the gateway's · ``message_id`` ``campaign_id`` ``campaign_status``
``recipient`` once sent · ``delivery`` the gateway's status of the message · ``follow`` while it is asked what became
of it (`_following.lua`) · ``done`` when it ended (ms) · ``waiters`` how many block on its end · ``asked`` how often it
was accepted again · ``retried`` the last nonce of an operator's retry · ``trace`` the trace that it belongs to
(`smsq.tracing`)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from smsq.errors import in_words
from smsq.lanes import LANES, Lane
from smsq.sms import API_NAMES
from smsq.states import State

RECORD_VERSION = 1
#: The reason of a job that has failed after it was sent.
DECLINED: Final = "declined by a moderator"
#: The gateway's statuses of a message: on its way, and its last words.
ON_ITS_WAY: Final = frozenset({"NEW", "ENQUEUD", "ACCEPTD", "PDLIVRD"})
LAST_STATUSES: Final = frozenset({"UNDELIV", "REJECTD", "DELIVRD", "EXPIRED", "DELETED"})


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, is unknown, or has not been sent yet.

    Attributes:
        reason: What happened, in a few words. Never a number, a text or a key.
        code: The gateway's error code, or None if it gave none.
        fields: What the gateway, or a rule, says about each parameter, by its API name.
        quotes: Whether these are the gateway's own words; of what was read from a record nobody asks.
    """

    reason: str
    code: int | None = None
    fields: Mapping[str, str] | None = None
    quotes: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """One line: the code, the reason, the fields."""
        return in_words(self.reason, self.code, self.fields or {})

    def for_outside(self) -> "JobError":
        """Returns what may leave the record, for logs, events, Celery and Sentry: which parameters, but no quotation.

        The gateway's words may repeat any part of the message, in a form in which nobody recognises it.
        """
        if not self.quotes:
            return self
        named = {name: "" for name in self.fields or {} if name.partition(".")[0] in API_NAMES}
        return replace(self, fields=named or None, quotes=False)

    def to_json(self) -> str:
        """Returns what the record stores."""
        given = {"reason": self.reason, "code": self.code, "fields": dict(self.fields) if self.fields else None}
        return json.dumps({k: v for k, v in given.items() if v is not None}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what the record stores; anything unreadable becomes the reason "unreadable"."""
        try:
            stored = json.loads(text)
            code, fields = stored.get("code"), stored.get("fields")
            if isinstance(code, int | None) and isinstance(fields, dict | None):
                return cls(str(stored["reason"]), code, fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        return cls("unreadable")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was when it was looked up.

    Attributes:
        id: The job's id, also the Celery task's.
        state: Where it is in its life.
        lane: The lane it waits or waited on.
        batch_id: Its batch, or None.
        accepted_at: When Redis accepted it.
        done_at: When it ended, or None.
        message_id: The gateway's ``messageId``, once sent.
        campaign_id: The gateway's ``campaignId``, once sent.
        campaign_status: 1 (waits for moderation) or 2 (sent without, or let pass), once sent.
        attempts: How often the gateway was called.
        error: Why it failed, or why the last try did; None if nothing went wrong.
        delivery: The gateway's status of the message, such as ``DELIVRD``; None while nobody has asked for it, or if
            `SMSQ_DELIVERY` is off.
    """

    id: str
    state: State
    lane: Lane
    batch_id: str | None
    accepted_at: datetime
    done_at: datetime | None = None
    message_id: int | None = None
    campaign_id: int | None = None
    campaign_status: int | None = None
    attempts: int = 0
    error: JobError | None = None
    delivery: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the job as JSON types, for ``--json`` and web answers."""
        return {
            "id": self.id,
            "state": str(self.state),
            "lane": self.lane,
            "batchId": self.batch_id,
            "messageId": self.message_id,
            "campaignId": self.campaign_id,
            "status": self.campaign_status,
            "delivery": self.delivery,
            "attempts": self.attempts,
            "acceptedAt": self.accepted_at.isoformat(timespec="milliseconds"),
            "doneAt": self.done_at.isoformat(timespec="milliseconds") if self.done_at else None,
            "error": str(self.error) if self.error else None,
        }


def read_job(job_id: str, now: int, fields: Sequence[bytes], *, stopped: int = 0, doubt: bool = False) -> Job:
    """Makes a Job of a record.

    A waiting job whose time is over, or whose batch was cancelled, has ended even if no worker has written it yet; as
    whichever came first (`ended` in `_record.lua`). Not so one of which a call may have been made: it is asked about.

    Args:
        job_id: The job's id.
        now: Redis's time, ms.
        fields: The record, field and value in turn.
        stopped: When its batch was cancelled as a whole, ms; 0 if it wasn't.
        doubt: Whether Redis may have forgotten what was done with it.

    Returns:
        The job. A record that a foreign hand has damaged reads as failed, with that reason; a newer version's that
        can't be read as being sent, the state that promises least.
    """
    record = {
        fields[i].decode(errors="replace"): fields[i + 1].decode(errors="replace") for i in range(0, len(fields) - 1, 2)
    }
    try:
        state, ended = _state(record, now, stopped, doubt=doubt)
        return Job(
            id=job_id,
            state=state,
            lane=_lane(record),
            batch_id=record.get("batch"),
            accepted_at=moment(_whole(record["at"])),
            done_at=None if ended is None else moment(ended),
            message_id=_number(record, "message_id"),
            campaign_id=_number(record, "campaign_id"),
            campaign_status=_number(record, "campaign_status"),
            attempts=_number(record, "attempts") or 0,
            error=JobError.from_json(record["error"]) if "error" in record else None,
            delivery=record.get("delivery"),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        if _is_newer(record):
            return Job(job_id, State.SENDING, "normal", None, moment(now))
        return Job(job_id, State.FAILED, "normal", None, moment(now), error=JobError("malformed record"))


# What can't be used is the same here as in the scripts (`read` in `_record.lua`): a job that nobody will send must
# not look like one that waits.


#: Digits of a moment in ms, and of a count, at most.
_DIGITS: Final = 14


def _state(record: Mapping[str, str], now: int, stopped: int, *, doubt: bool) -> tuple[State, int | None]:
    """The state as it is at this moment, and when the job ended (ms)."""
    _whole(record["v"])
    for name in ("at", "expires", "attempts", "waiters", "losses", "send_at", "put_off"):
        if len(record.get(name, "")) > _DIGITS:
            raise ValueError("more digits than a moment or a count has")
        _number(record, name)
    if "ask" in record:
        ask = json.loads(record["ask"])
        float(ask["first"]), float(ask["last"])
    state, expires = State(record["state"]), _number(record, "expires")
    if state in (State.SCHEDULED, State.QUEUED, State.RETRYING) and not doubt and "ask" not in record:
        if expires is not None and expires <= (stopped or now):
            return State.EXPIRED, expires
        if stopped:
            return State.CANCELLED, stopped
    return state, _number(record, "done")


def _is_newer(record: Mapping[str, str]) -> bool:
    version = record.get("v", "")
    return version.isascii() and version.isdigit() and int(version) > RECORD_VERSION


def _lane(record: Mapping[str, str]) -> Lane:
    for lane in LANES:
        if record["lane"] == lane:
            return lane
    raise ValueError("a lane that nobody knows")


def _number(record: Mapping[str, str], name: str) -> int | None:
    return _whole(record[name]) if name in record else None


def moment(milliseconds: int) -> datetime:
    """Returns a moment of Redis's clock."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a whole number")
    return int(text)
