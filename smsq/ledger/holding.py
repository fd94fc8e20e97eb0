"""What a worker does with jobs before they end: take, begin, renew, hand back, purge; and the common pace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.lanes import Lane
from smsq.scripts import Call, script, text

#: A record that only a newer worker understands is looked at again after this time, ms.
LOOK_AGAIN = 5_000

BeginWord = Literal[
    "begun", "expired", "cancelled", "asking", "paused", "epoch", "final", "gone", "waiting", "taken", "newer",
    "malformed",
]  # fmt: skip

BEGIN_WORDS: frozenset[str] = frozenset(get_args(BeginWord))


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


class Reserved(NamedTuple):
    """Moments of the common pace: how many, in how many ms the first one, ms between two. None: when to ask again."""

    many: int
    first: int
    spacing: int


class Share(NamedTuple):
    """A part of the common pace, for calls that ask: of all workers' calls each so many-th at most is one of these."""

    name: Literal["asking", "following"]
    each: int


def reserve(count: int, *, interval: float, ahead: int, share: Share | None = None) -> Call[Reserved]:
    """Reserves moments for up to ``count`` calls within the next ``ahead`` ms of the common pace.

    Args:
        count: How many at most; of a share one at a time.
        interval: Milliseconds between two calls of all workers; 0 without a rate.
        ahead: Milliseconds.
        share: Of which they are a part.
    """

    def parse(answer: list[int]) -> Reserved:
        return Reserved(*answer)

    return Call(script("reserve"), [interval, count, ahead, *(share or ("", 0))], parse)


class Purged(NamedTuple):
    """What one call of `purge` did."""

    removed: int
    cancelled: int


def purge(lane: Lane, limit: int, *, retention: int) -> Call[Purged]:
    """Cancels jobs that wait on a lane, oldest first."""

    def parse(answer: list[int]) -> Purged:
        return Purged(*answer)

    return Call(script("purge"), [lane, limit, retention], parse)
