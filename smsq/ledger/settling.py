"""How a begun job ends, or waits for its next try: what a worker tells the ledger of its call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from pydantic_core import to_json

from smsq.job import JobError
from smsq.ledger.following import Following
from smsq.scripts import Call, boot_time, script, text
from smsq.states import FINAL, State

SettleWord = Literal["settled", "stale", "gone", "owned", "twice"]
SETTLE_WORDS: frozenset[str] = frozenset(get_args(SettleWord))


@dataclass(frozen=True, slots=True)
class Heard:
    """What a call said about the gateway or the account, for those who wait at the gates.

    Attributes:
        what: ``well``: it answered. ``failing``: it didn't, or not as it should. ``account``: it refuses this worker's
            account. ``slow``: too many calls. ``keyless``: there was no call, as this worker can't decrypt the message.
        reason: In a few words.
        wait: Milliseconds that nobody should call; with ``slow``.
        called_at: When the call began, by `boot_time`; with ``failing``. If another has ended well since, the gateway
            isn't down: a call that hangs tells of it when it gives up, long after.
    """

    what: Literal["well", "failing", "account", "slow", "keyless"]
    reason: str = ""
    wait: int = 0
    called_at: float | None = None


@dataclass(slots=True)  # not frozen: one is made for each job, and that would take three times as long
class Settlement:
    """What becomes of a begun job.

    Attributes:
        job_id: The job.
        token: The nonce it was begun with.
        to: The state it goes to. ``queued`` hands it back uncalled; ``sending`` has the gateway asked about it.
        calls: Calls made since it was begun.
        epoch: The one in which it was begun.
        took: Milliseconds from begin to the outcome.
        begun_at: When it was begun, by `boot_time`; how long ago that is, is worked out when it is sent.
        ids: messageId, campaignId, campaign status; with ``sent``.
        recipient: Kept when the message goes; with ``sent``.
        error: Why; with all but ``sent``.
        delay: Milliseconds until the next try; with ``retrying``.
        at: Redis time in ms; with ``scheduled``.
        resends: With ``retrying``: the caller's ``on_unknown="resend"`` is used up by this.
        heard: What the last call says about the gateway.
        following: When its delivery is asked about; with ``sent``, None if nobody wants to know.
    """

    job_id: str
    token: str
    to: State
    calls: int = 0
    epoch: int = 0
    took: int = 0
    begun_at: float | None = None
    ids: tuple[int, int, int] | None = None
    recipient: str = ""
    error: JobError | None = None
    delay: int = 0
    at: int = 0
    resends: bool = False
    heard: Heard | None = None
    following: Following | None = None

    def to_json(self) -> bytes:
        """Returns what `settle.lua` reads."""
        given: dict[str, Any] = {
            "id": self.job_id, "token": self.token, "to": self.to, "calls": self.calls, "epoch": self.epoch,
            "took": self.took, "ago": self.took if self.begun_at is None else int((boot_time() - self.begun_at) * 1000),
        }  # fmt: skip
        if self.ids:
            names = ("message_id", "campaign_id", "campaign_status")
            given.update({name: str(number) for name, number in zip(names, self.ids, strict=True)})
            given["recipient"] = self.recipient
            if self.following:
                given |= self.following.as_dict()
        if self.error:
            given["error"], given["reason"] = self.error.to_json(), self.error.reason
            if self.error.code is not None:
                given["code"] = self.error.code
        if self.to is State.RETRYING:
            given["delay"] = self.delay
            if self.resends:
                given["resends"] = True
        if self.to is State.SCHEDULED:
            given["at"] = self.at
        if self.heard:
            given |= {"heard": self.heard.what, "said": self.heard.reason, "wait": self.heard.wait}
            if self.heard.called_at is not None:
                given["called"] = int((boot_time() - self.heard.called_at) * 1000)
        return to_json(given)


class Settled(NamedTuple):
    """What became of each settlement, and whether only probes may go out by now: the circuit or the account."""

    words: list[SettleWord]
    held_back: bool


def settle(
    settlements: Sequence[Settlement], *, retention: int, worker: str, circuit_after: int, list_delay: int = 0
) -> Call[Settled]:
    """Settles begun jobs, each checked against its token.

    Args:
        settlements: What becomes of each.
        retention: Milliseconds.
        worker: Who settles.
        circuit_after: Failures in a row, of all workers, after which only probes go out.
        list_delay: Milliseconds until the gateway's lists must show a message.
    """

    def parse(answers: list[Any]) -> Settled:
        return Settled([cast("SettleWord", text(word)) for word in answers[:-1]], answers[-1] == 1)

    args: list[str | bytes | int | float] = [retention, list_delay, worker, circuit_after]
    # Whoever hears of an end but "sent" must be able to rely on it (rule 23).
    ends = any(each.to in FINAL and each.to is not State.SENT for each in settlements)
    return Call(script("settle"), [*args, *(each.to_json() for each in settlements)], parse, confirm=ends)
