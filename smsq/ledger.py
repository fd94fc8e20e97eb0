"""The job ledger: one function a script, same name. Each returns the call; a runner of threads or of asyncio runs it.

The scripts are the protocol (`smsq/lua`, each with its contract on top); here their arguments get names and types, and
their answers too. Nothing else reads or writes the ledger's keys.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.job import RECORD_VERSION, Job, JobError, read_job
from smsq.lanes import Lane
from smsq.scripts import Call, script
from smsq.states import State

#: A record that only a newer worker understands is looked at again after this time, ms.
LOOK_AGAIN = 5_000

BeginWord = Literal["begun", "expired", "cancelled", "final", "gone", "waiting", "taken", "newer", "malformed"]
SettleWord = Literal["settled", "stale", "gone", "owned", "twice"]
CancelWord = Literal["cancelled", "late", "gone", "malformed", "newer"]

BEGIN_WORDS: frozenset[str] = frozenset(get_args(BeginWord))
SETTLE_WORDS: frozenset[str] = frozenset(get_args(SettleWord))
CANCEL_WORDS: frozenset[str] = frozenset(get_args(CancelWord))


class NewJob(NamedTuple):
    """What `enqueue` writes for one job: the hashes are '' without an idempotency key.

    With the message '' it is accepted only as the job that has its key already.
    """

    id: str
    message: str
    key_hash: str = ""
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the jobs of one `enqueue` have in common; times in ms, None for none."""

    lane: Lane
    batch_id: str = ""
    send_at: int | None = None
    expires_in: int | None = None
    on_unknown: Literal["ask", "resend"] = "ask"


class Conflict(NamedTuple):
    """The idempotency key belongs to another content."""

    job_id: str


class NotKnown(NamedTuple):
    """No job has the key of one that can't be new."""

    job_id: str


Accepted = Job | Conflict | NotKnown


def enqueue(jobs: Sequence[NewJob], options: Options, rules: int) -> Call[list[Accepted]]:
    """Accepts jobs, all in one step, up to the first that can't be; there are no answers for those after it."""
    args: list[str | bytes | int] = [
        options.lane,
        options.batch_id,
        "" if options.send_at is None else options.send_at,
        "" if options.expires_in is None else options.expires_in,
        "" if options.on_unknown == "ask" else options.on_unknown,
        rules,
    ]
    for job in jobs:
        args.extend(job)

    def parse(answers: list[list[Any]]) -> list[Accepted]:
        return [_accepted(answer, options) for answer in answers]

    return Call(script("enqueue"), args, parse, confirm=True)


def _accepted(answer: list[Any], options: Options) -> Accepted:
    word, job_id = answer[0], answer[1].decode()
    if word == b"conflict":
        return Conflict(job_id)
    if word == b"not_known":
        return NotKnown(job_id)
    if word == b"known":
        return read_job(job_id, answer[2], stopped=answer[3], fields=answer[4:])
    now, lane = str(answer[2]).encode(), options.lane.encode()
    fields = [b"v", b"%d" % RECORD_VERSION, b"state", answer[3], b"lane", lane, b"at", now]
    if options.batch_id:
        fields += [b"batch", options.batch_id.encode()]
    return read_job(job_id, answer[2], stopped=0, fields=fields)


class Taken(NamedTuple):
    """Ids taken off the lanes, in the order of their priority."""

    jobs: list[tuple[str, Lane]]
    left: bool
    """Whether ids are left on these lanes."""


def take(count: int, lanes: Sequence[Lane], *, reservation: int, retention: int) -> Call[Taken]:
    """Takes ids off the lanes and reserves each for ``reservation`` ms."""

    def parse(answer: list[Any]) -> Taken:
        ids = iter(answer[1:])
        return Taken([(job_id.decode(), lane.decode()) for job_id, lane in zip(ids, ids, strict=True)], answer[0] == 1)

    return Call(script("take"), [count, reservation, LOOK_AGAIN, retention, *lanes], parse)


def untake(job_ids: Sequence[str]) -> Call[int]:
    """Hands taken ids back to the front of their lane; returns how many went."""
    return Call(script("untake"), list(job_ids), int)


@dataclass(frozen=True, slots=True)
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
        age: Time since the job was accepted.
        rules: The version of the rules that the message passed, '' if nobody says.
        on_unknown: What the caller wants for a lost answer; ``resent`` once it was done.
    """

    word: BeginWord
    message: bytes = b""
    lane: Lane = "normal"
    attempts: int = 0
    lease_left: int = 0
    expires_left: int | None = None
    now: int = 0
    age: int = 0
    rules: str = ""
    on_unknown: Literal["ask", "resend", "resent"] = "ask"


def begin(job_ids: Sequence[str], nonce: str, *, lease: int, retention: int) -> Call[list[Begun]]:
    """Begins taken jobs under a fencing token of the caller's choice."""
    return Call(script("begin"), [nonce, lease, LOOK_AGAIN, retention, *job_ids], _begun, confirm=True)


def _begun(answers: list[list[Any]]) -> list[Begun]:
    read: list[Begun] = []
    for answer in answers:
        word = cast("BeginWord", answer[0].decode())
        if word != "begun":
            read.append(Begun(word))
            continue
        _, message, lane, attempts, lease_left, expires_left, now, age, rules, on_unknown = answer
        read.append(
            Begun(
                word,
                message,
                lane.decode(),
                attempts,
                lease_left,
                None if expires_left < 0 else expires_left,
                now,
                age,
                rules.decode(),
                cast("Literal['ask', 'resend', 'resent']", on_unknown.decode() or "ask"),
            )
        )
    return read


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a begun job.

    Attributes:
        job_id: The job.
        token: The nonce it was begun with.
        to: The state it goes to. ``queued`` hands it back uncalled.
        calls: Calls made since it was begun.
        ids: messageId, campaignId, campaign status; with ``sent``.
        recipient: Kept when the message goes; with ``sent``.
        error: Why; with ``failed``, ``unknown`` and ``retrying``.
        delay: Milliseconds until the next try; with ``retrying``.
        at: Redis time in ms; with ``scheduled``.
        resends: With ``retrying``: the caller's ``on_unknown="resend"`` is used up by this.
    """

    job_id: str
    token: str
    to: State
    calls: int = 0
    ids: tuple[int, int, int] | None = None
    recipient: str = ""
    error: JobError | None = None
    delay: int = 0
    at: int = 0
    resends: bool = False

    def to_json(self) -> str:
        """Returns what `settle.lua` reads."""
        given: dict[str, Any] = {"id": self.job_id, "token": self.token, "to": self.to, "calls": self.calls}
        if self.ids:
            names = ("message_id", "campaign_id", "campaign_status")
            given.update({name: str(number) for name, number in zip(names, self.ids, strict=True)})
            given["recipient"] = self.recipient
        if self.error:
            given["error"] = self.error.to_json()
            if self.error.code is not None:
                given["code"] = self.error.code
        if self.to is State.RETRYING:
            given["delay"] = self.delay
            if self.resends:
                given["resends"] = True
        if self.to is State.SCHEDULED:
            given["at"] = self.at
        return json.dumps(given, separators=(",", ":"))


def settle(settlements: Sequence[Settlement], *, retention: int) -> Call[list[SettleWord]]:
    """Settles begun jobs, each checked against its token."""

    def parse(answers: list[bytes]) -> list[SettleWord]:
        return [cast("SettleWord", word.decode()) for word in answers]

    return Call(script("settle"), [retention, *(each.to_json() for each in settlements)], parse)


class Looked(NamedTuple):
    """What a look at `due` found."""

    next_due: int | None
    """Milliseconds until the next entry is due, None if there is none."""
    entries: int
    """How many were looked at."""
    events: list[tuple[str, str]]
    """Job ids, each with 'unknown', 'resend' or 'parked'."""


def take_due(limit: int, *, retention: int) -> Call[Looked]:
    """Takes due entries and puts their jobs where they belong."""

    def parse(answer: list[Any]) -> Looked:
        rest = iter(answer[2:])
        events = [(job_id.decode(), what.decode()) for job_id, what in zip(rest, rest, strict=True)]
        return Looked(None if answer[0] < 0 else int(answer[0]), int(answer[1]), events)

    return Call(script("take_due"), [limit, LOOK_AGAIN, retention], parse)


def cancel(job_id: str, *, retention: int) -> Call[CancelWord]:
    """Cancels a job if the gateway was certainly not called."""

    def parse(word: bytes) -> CancelWord:
        return cast("CancelWord", word.decode())

    return Call(script("cancel"), [job_id, retention], parse, confirm=True)


def cancel_batch(batch_id: str) -> Call[int]:
    """Cancels a batch; returns how many of its jobs were waiting, -1 if the batch isn't known."""
    return Call(script("cancel_batch"), [batch_id], int, confirm=True)


def lookup(kind: Literal["job", "message", "campaign"], identifier: str) -> Call[Job | None]:
    """Looks a job up."""

    def parse(answer: list[Any]) -> Job | None:
        if not answer:
            return None
        return read_job(answer[0].decode(), answer[1], stopped=answer[2], fields=answer[3:])

    return Call(script("lookup"), [kind, identifier], parse)


def watch(job_id: str) -> Call[bool]:
    """Registers one who blocks on the job's end; False if it has ended."""
    return Call(script("watch"), [job_id], bool)


def batch(batch_id: str) -> Call[dict[str, int]]:
    """Reads a batch's counts; empty if it isn't known."""

    def parse(answer: list[bytes]) -> dict[str, int]:
        return {answer[i].decode(): int(answer[i + 1]) for i in range(0, len(answer), 2)}

    return Call(script("batch"), [batch_id], parse)


class Purged(NamedTuple):
    """What one call of `purge` did."""

    removed: int
    cancelled: int


def purge(lane: Lane, limit: int, *, retention: int) -> Call[Purged]:
    """Cancels jobs that wait on a lane, oldest first."""

    def parse(answer: list[int]) -> Purged:
        return Purged(*answer)

    return Call(script("purge"), [lane, limit, retention], parse)
