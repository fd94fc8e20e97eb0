"""What is due, the questions to the gateway about jobs whose calls aren't settled, and the sweep for what was lost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from smsq.lanes import Lane
from smsq.ledger.following import Following
from smsq.ledger.holding import LOOK_AGAIN
from smsq.ledger.settling import Heard
from smsq.scripts import Call, script, text

ToldWord = Literal["found", "absent", "near", "empty", "cant_tell"]
AnswerWord = Literal["sent", "again", "expired", "cancelled", "failed", "later", "unknown", "stale"]
ANSWER_WORDS: frozenset[str] = frozenset(get_args(AnswerWord))


@dataclass(frozen=True, slots=True)
class Policy:
    """When something is over, in milliseconds; how often a job may lose its worker; how jobs are told apart.

    Attributes:
        retention: Finished jobs are kept for that long.
        lease: A begun job is its worker's for that long.
        settling: After that time a call can't act any more, and lists show what it did (rule 25).
        bound: The gateway accepts nothing later than that after a call.
        limit: Asking gives up after that time.
        losses: Workers that may die during a job's call.
        give_up: Age at which a job that was put off again and again fails.
        tokens: Whether campaign names hold tokens; else jobs of the same number and text are told apart by `twins`.
    """

    retention: int
    lease: int
    settling: int
    bound: int
    limit: int
    losses: int
    give_up: int
    tokens: bool


class Look(NamedTuple):
    """Who looks, and what for.

    Attributes:
        entries: Due entries at most.
        questions: Questions to be given at most.
        patience: Milliseconds that the answers may take.
        nonce: The token of these questions.
        worker: Whose heartbeat it is; '' for none.
        heartbeat: What it says of itself, JSON.
        paced: Whether calls have a common rate: then one worker at a time asks.
    """

    entries: int
    questions: int
    patience: int
    nonce: str
    worker: str = ""
    heartbeat: str = "{}"
    paced: bool = False


class Question(NamedTuple):
    """A job that the gateway must be asked about.

    Attributes:
        job_id: The job.
        message: Its message's JSON.
        first: Redis time in ms of the earliest call that isn't settled.
        attempts: Calls that the ledger knows of.
        counts: Whether "absent" will be evidence.
        called: The number that was called, where it isn't the message's own; '' for that.
        doubt: Whether the ledger may have forgotten a call, and so whom it was for.
        trace: The trace that it belongs to (`smsq.tracing`), '' for none.
        lane: Its lane.
        waited: Milliseconds since it was accepted, or since the moment that it waited for.
    """

    job_id: str
    message: bytes
    first: int
    attempts: int
    counts: bool
    called: str = ""
    doubt: bool = False
    trace: str = ""
    lane: Lane = "normal"
    waited: int = 0


class Looked(NamedTuple):
    """What a look at `due` found."""

    next_due: int | None
    """Milliseconds until the next entry is due, None if there is none."""
    entries: int
    """How many were looked at."""
    events: list[tuple[str, str]]
    """Job ids, each with 'lost', 'resend' or 'parked'."""
    canary: tuple[int, str] | None
    """messageId and recipient of the account's newest message that is known to exist."""
    questions: list[Question]
    held_back: dict[str, str]
    """What holds jobs back, with the reason: ``circuit``, ``account`` (this worker's), ``pace``, ``pause LANE``."""
    put_aside: int
    """How much is put aside (`smsq parked`)."""


def take_due(look: Look, policy: Policy) -> Call[Looked]:
    """Takes due entries, puts their jobs where they belong, and gives out the questions among them."""

    def parse(answer: list[Any]) -> Looked:
        told, asked, held = iter(answer[2]), iter(answer[4]), iter(answer[5])
        canary = (int(answer[3][0]), text(answer[3][1])) if answer[3] else None
        return Looked(
            None if answer[0] < 0 else int(answer[0]),
            int(answer[1]),
            [(text(job_id), text(what)) for job_id, what in zip(told, told, strict=True)],
            canary,
            [
                Question(
                    text(job_id),
                    message,
                    int(first),
                    int(attempts),
                    counts == 1,
                    text(called),
                    doubt == 1,
                    text(trace),
                    cast("Lane", text(lane)),
                    waited,
                )
                for job_id, message, first, attempts, counts, called, doubt, trace, lane, waited in zip(
                    *[asked] * 10, strict=True
                )
            ],
            {text(gate): text(reason) for gate, reason in zip(held, held, strict=True)},
            int(answer[6]),
        )

    args: list[str | bytes | int | float] = [
        look.entries, LOOK_AGAIN, policy.retention, policy.lease, look.questions, look.patience, look.nonce,
        policy.settling, policy.bound, policy.limit, int(policy.tokens),
        look.worker, look.heartbeat, int(look.paced),
    ]  # fmt: skip
    return Call(script("take_due"), args, parse, confirm=False)


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway answered about a job.

    Attributes:
        job_id: The job.
        token: The question's.
        epoch: The one in which it was given.
        word: ``found``, ``absent``, ``near`` (absent, but for messages that may be this one), ``empty``
            (not found, which proves nothing) or ``cant_tell``.
        reason: Why it can't tell, in a few words.
        ids: messageId, campaignId and campaign status of each message found, or near; oldest first.
        recipient: Kept when the message goes; with ``found``.
        proved: Whether the job is absent if all of them are other jobs' messages.
        following: When the delivery of what was found is asked about; None if nobody wants to know.
    """

    job_id: str
    token: str
    epoch: int
    word: ToldWord
    reason: str = ""
    ids: tuple[tuple[int, int, int], ...] = ()
    recipient: str = ""
    proved: bool = False
    following: Following | None = None

    def to_json(self) -> str:
        """Returns what `answer.lua` reads."""
        names = ("message_id", "campaign_id", "campaign_status")
        given: dict[str, Any] = {
            "id": self.job_id, "token": self.token, "epoch": self.epoch, "word": self.word, "reason": self.reason,
        }  # fmt: skip
        if self.ids:
            given["matches"] = [
                {name: str(number) for name, number in zip(names, ids, strict=True)} for ids in self.ids
            ]
            given |= {"recipient": self.recipient, "proved": self.proved}
            if self.following:
                given |= self.following.as_dict()
        return json.dumps(given, separators=(",", ":"))


def answer(told: Sequence[Told], policy: Policy) -> Call[list[AnswerWord]]:
    """Writes down what the gateway answered; returns what became of each job (see `answer.lua`)."""

    def parse(answers: list[bytes]) -> list[AnswerWord]:
        return [cast("AnswerWord", text(word)) for word in answers]

    args: list[str | bytes | int | float] = [
        policy.retention, policy.lease, policy.settling, policy.limit, policy.losses, policy.give_up,
    ]  # fmt: skip
    # An end that isn't "sent", and a call that follows, rest on it (rule 23).
    return Call(script("answer"), [*args, *(each.to_json() for each in told)], parse, confirm=True)


def hear(heard: Heard, worker: str) -> Call[None]:
    """Has everyone who calls hear what a worker's question came to: ``slow`` or ``account``."""
    return Call(script("hear"), [heard.what, heard.reason, heard.wait, worker], lambda _: None)


def leave(worker: str, pid: int) -> Call[bool]:
    """Tells that a worker ends as it was asked to; False if another process of its name is there."""
    return Call(script("leave"), [worker, pid], bool)


class Swept(NamedTuple):
    """What a step of the slow sweep did: where to go on ('0': it has been everywhere), and job ids with what became.

    ``erased`` is how many jobs lost their number, because it was time.
    """

    cursor: str
    events: list[tuple[str, str]]
    erased: int = 0


def sweep(cursor: str, count: int, *, erase_after: int | None = None) -> Call[Swept]:
    """Looks through about ``count`` keys for jobs that are in neither a lane nor `due`, and puts them back.

    Args:
        cursor: '0' to begin, then the last step's.
        count: Keys to look at.
        erase_after: Milliseconds after a job's end at which its number and text are erased; None for never.
    """

    def parse(answer: list[Any]) -> Swept:
        rest = iter(answer[2:])
        return Swept(text(answer[0]), [(text(a), text(b)) for a, b in zip(rest, rest, strict=True)], int(answer[1]))

    return Call(script("sweep"), [cursor, count, "" if erase_after is None else erase_after], parse)
