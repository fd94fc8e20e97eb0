"""What producers do with the ledger: accept jobs, look them up, wait for them, cancel them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.job import Job, moment, read_job
from smsq.lanes import Lane
from smsq.scripts import Call, script, text
from smsq.states import State

CancelWord = Literal["cancelled", "late", "gone", "malformed", "newer"]
CANCEL_WORDS: frozenset[str] = frozenset(get_args(CancelWord))


class NewJob(NamedTuple):
    """What `enqueue` writes for one job: the hashes are '' without an idempotency key.

    The message may be sealed (`smsq.encryption`); then the content hash is several, with spaces between: of each key,
    and the plain one. The first is stored. With the message '' it is accepted only as the job that has its key already.
    ``tried`` is how many milliseconds ago this producer handed the same key to Redis before, '' if never: a ledger that
    has forgotten it since begins it in doubt (rule 21).
    """

    id: str
    message: str | bytes
    key_hash: str = ""
    content_hash: str = ""
    tried: int | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the jobs of one `enqueue` have in common; times in ms, None for none; the trace, '' for none."""

    lane: Lane
    batch_id: str = ""
    send_at: int | None = None
    expires_in: int | None = None
    on_unknown: Literal["ask", "resend"] = "ask"
    trace: str = ""


class Conflict(NamedTuple):
    """The idempotency key belongs to another content."""

    job_id: str


class NotKnown(NamedTuple):
    """No job has the key of one that can't be new."""

    job_id: str


Accepted = Job | Conflict | NotKnown


def enqueue(jobs: Sequence[NewJob], options: Options, rules: int) -> Call[list[Accepted]]:
    """Accepts jobs, all in one step, up to the first that can't be; there are no answers for those after it."""
    args: list[str | bytes | int | float] = [
        options.lane,
        options.batch_id,
        "" if options.send_at is None else options.send_at,
        "" if options.expires_in is None else options.expires_in,
        "" if options.on_unknown == "ask" else options.on_unknown,
        rules,
        options.trace,
    ]
    for job in jobs:
        args.extend(job)

    def parse(answers: list[list[Any]]) -> list[Accepted]:
        return [_accepted(answer, options) for answer in answers]

    return Call(script("enqueue"), args, parse, confirm=True)


#: What an accepted job can be: `cancelled` if its batch was before.
_ACCEPTED_AS = {state.encode(): state for state in (State.QUEUED, State.SCHEDULED, State.CANCELLED)}


def _accepted(answer: list[Any], options: Options) -> Accepted:
    word, job_id = answer[0], text(answer[1])
    if word == b"conflict":
        return Conflict(job_id)
    if word == b"not_known":
        return NotKnown(job_id)
    if word == b"known":
        return _job(answer[1:])
    return Job(job_id, _ACCEPTED_AS[answer[3]], options.lane, options.batch_id or None, moment(answer[2]))


def _job(look: list[Any]) -> Job:
    """Reads what `look` in the Lua record part gives: id, now, stopped, doubt, fields."""
    return read_job(text(look[0]), look[1], look[4:], stopped=look[2], doubt=bool(look[3]))


def cancel(job_id: str, *, retention: int) -> Call[CancelWord]:
    """Cancels a job if the gateway was certainly not called."""

    def parse(word: bytes) -> CancelWord:
        return cast("CancelWord", text(word))

    return Call(script("cancel"), [job_id, retention], parse, confirm=True)


def cancel_batch(batch_id: str) -> Call[int]:
    """Cancels a batch; returns how many of its jobs were waiting, -1 if the batch isn't known."""
    return Call(script("cancel_batch"), [batch_id], int, confirm=True)


def lookup(kind: Literal["job", "message", "campaign"], identifier: str) -> Call[Job | None]:
    """Looks a job up."""

    def parse(answer: list[Any]) -> Job | None:
        return _job(answer) if answer else None

    return Call(script("lookup"), [kind, identifier], parse)


def watch(job_id: str) -> Call[bool]:
    """Registers one who blocks on the job's end; False if it has ended."""
    return Call(script("watch"), [job_id], bool)


def batch(batch_id: str) -> Call[dict[str, int]]:
    """Reads a batch's counts; empty if it isn't known."""

    def parse(answer: list[bytes]) -> dict[str, int]:
        return {answer[i].decode(): int(answer[i + 1]) for i in range(0, len(answer), 2)}

    return Call(script("batch"), [batch_id], parse)
