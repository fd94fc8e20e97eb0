"""What a worker does with the jobs of its lanes: take, begin, renew, settle, hand back, purge; and the common pace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from pydantic_core import to_json

from smsq.job import JobError
from smsq.lanes import Lane
from smsq.ledger.following import Following
from smsq.scripts import Call, boot_time, script, text
from smsq.states import FINAL, State

#: A record that only a newer worker understands is looked at again after this time, ms.
LOOK_AGAIN = 5_000

BeginWord = Literal[
    "begun", "expired", "cancelled", "asking", "paused", "epoch", "final", "gone", "waiting", "taken", "newer",
    "malformed",
]  # fmt: skip
SettleWord = Literal["settled", "stale", "gone", "owned", "twice"]

BEGIN_WORDS: frozenset[str] = frozenset(get_args(BeginWord))
SETTLE_WORDS: frozenset[str] = frozenset(get_args(SettleWord))


class TakenJob(NamedTuple):
    """A taken id: its lane, and in how many ms its call's moment is (0 without a rate)."""

    id: str
    lane: Lane
    moment: int


class Taken(NamedTuple):
    """Ids taken off the lanes, in the order of their priority."""

    jobs: list[TakenJob]
    left: Lane | None
    """The first of these lanes on which ids are left."""
    come_back: int | None
    """Milliseconds until a pause, a gate or the pace lets anything pass; None if nothing holds it back."""
    expired: int = 0
    """Jobs of a batch that ended here, as their time was over; nobody is handed their ids."""
    cancelled: int = 0
    """Jobs that ended here, cancelled with their batch."""


def take(
    count: int,
    lanes: Sequence[Lane],
    *,
    reservation: int,
    retention: int,
    lease: int,
    worker: str,
    interval: float,
) -> Call[Taken]:
    """Takes ids off the lanes and reserves each for ``reservation`` ms.

    Args:
        count: How many at most.
        lanes: From which, the first one's first.
        reservation: Milliseconds.
        retention: Milliseconds.
        lease: Milliseconds that a probe's permit lasts.
        worker: Who takes: a gate may be closed for this worker alone.
        interval: Milliseconds between two calls of all workers; 0 without a rate.
    """

    def parse(answer: list[Any]) -> Taken:
        rest = iter(answer[4:])
        jobs = [
            TakenJob(text(each), cast("Lane", text(lane)), moment)
            for each, lane, moment in zip(rest, rest, rest, strict=True)
        ]
        left = lanes[answer[0] - 1] if answer[0] else None
        return Taken(jobs, left, answer[1] if answer[1] >= 0 else None, answer[2], answer[3])

    return Call(script("take"), [count, reservation, LOOK_AGAIN, retention, worker, interval, lease, *lanes], parse)


def untake(job_ids: Sequence[str]) -> Call[int]:
    """Hands taken ids back to the front of their lane; returns how many went."""
    return Call(script("untake"), list(job_ids), int)


@dataclass(slots=True)  # not frozen: one is made for each job, and that would take three times as long
class Begun:
    """A begin's answer. Only with the word ``begun`` do the other fields mean something; times in ms.

    Attributes:
        word: What became of it (see `begin.lua`).
        message: The message's JSON.
        lane: The job's lane.
        attempts: Calls before, and this one.
        lease_left: Time that is left of the lease.
        expires_left: Time that is left until the job expires, or None.
        now: Redis's time.
        waited: Time since the job was accepted, or since the moment that it waited for.
        rules: The version of the rules that the message passed, '' if nobody says.
        on_unknown: What the caller wants for a lost answer; ``resent`` once it was done.
        unsettled: Whether an earlier call may have been accepted (it was resent).
        put_off: Time since the gateway put it off first, 0 if it didn't.
        trace: The trace that it belongs to (`smsq.tracing`), '' for none; only if it was asked for.
    """

    word: BeginWord
    message: bytes = b""
    lane: Lane = "normal"
    attempts: int = 0
    lease_left: int = 0
    expires_left: int | None = None
    now: int = 0
    waited: int = 0
    rules: str = ""
    on_unknown: Literal["ask", "resend", "resent"] = "ask"
    unsettled: bool = False
    put_off: int = 0
    trace: str = ""


def begin(
    job_ids: Sequence[str],
    nonce: str,
    *,
    epoch: int,
    lease: int,
    retention: int,
    worker: str,
    tokens: bool = True,
    called: str = "",
    traces: bool = False,
) -> Call[list[Begun]]:
    """Begins taken jobs under a fencing token of the caller's choice.

    Args:
        job_ids: Which.
        nonce: The token.
        epoch: The one in which the nonce was chosen.
        lease: Milliseconds.
        retention: Milliseconds.
        worker: Who begins.
        tokens: Whether campaign names carry the job's token; without, jobs of one content are kept apart (rule 16).
        called: The number that is called for all of them; '' for each message's own.
        traces: Whether to tell which trace each belongs to.
    """
    args: list[str | bytes | int | float] = [nonce, epoch, lease, LOOK_AGAIN, retention, worker, int(tokens), called]
    return Call(script("begin"), [*args, int(traces), *job_ids], _begun, confirm=True)


def _begun(answers: list[list[Any]]) -> list[Begun]:
    read: list[Begun] = []
    for answer in answers:
        word = cast("BeginWord", text(answer[0]))
        if word != "begun":
            read.append(Begun(word))
            continue
        _, message, lane, attempts, lease_left, expires_left, now, *more = answer
        waited, rules, on_unknown, unsettled, put_off, trace = more
        read.append(
            Begun(
                word,
                message,
                cast("Lane", text(lane)),
                attempts,
                lease_left,
                None if expires_left < 0 else expires_left,
                now,
                waited,
                text(rules),
                cast("Literal['ask', 'resend', 'resent']", text(on_unknown) or "ask"),
                unsettled == 1,
                put_off,
                text(trace),
            )
        )
    return read


def renew(holds: Sequence[tuple[str, str]], *, epoch: int, lease: int) -> Call[list[int]]:
    """Renews leases (job id and token each); returns what is left of each in ms, -1 where it isn't the caller's."""
    return Call(script("renew"), [epoch, lease, *(each for hold in holds for each in hold)], list)


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


class Reserved(NamedTuple):
    """Moments of the common pace: how many, in how many ms the first one, ms between two. None: when to ask again."""

    many: int
    first: int
    spacing: int


def reserve(count: int, *, interval: float, ahead: int) -> Call[Reserved]:
    """Reserves moments for up to ``count`` calls within the next ``ahead`` ms of the common pace."""

    def parse(answer: list[int]) -> Reserved:
        return Reserved(*answer)

    return Call(script("reserve"), [interval, count, ahead], parse)


class Purged(NamedTuple):
    """What one call of `purge` did."""

    removed: int
    cancelled: int


def purge(lane: Lane, limit: int, *, retention: int) -> Call[Purged]:
    """Cancels jobs that wait on a lane, oldest first."""

    def parse(answer: list[int]) -> Purged:
        return Purged(*answer)

    return Call(script("purge"), [lane, limit, retention], parse)
