"""Asks the gateway what became of messages after it accepted them: a moderator's decision, and their delivery.

Nothing waits for it: the jobs have ended. Whatever goes wrong here is left alone until the messages come due again; so
nothing is repeated, and a worker that stops drops what it is at.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq import ledger
from smsq.encryption import NoKey, open_number
from smsq.errors import InvalidSms, QueueUnavailable
from smsq.gateway.aftermath import FINAL_STATUSES, MOST_MESSAGES, statuses, verdict
from smsq.gateway.answers import Outcome
from smsq.job import DECLINED, JobError
from smsq.ledger import Decision, Delivery, Followed, FollowedWord, Following, Moderated, Underway
from smsq.ledger.holding import Share
from smsq.sms import Sms
from tasks import decide, identity
from tasks.runtime import Runtime, Stopped
from tasks.tally import tally

T = TypeVar("T")
log: FilteringBoundLogger = structlog.get_logger()

#: What a round takes at most: campaigns take a call each, messages a call for a hundred.
_CAMPAIGNS: Final = 20
_MESSAGES: Final = 500
#: Seconds that a round may take; a message whose asker died in it is asked about again then.
_PATIENCE: Final = 120.0
_MARGIN: Final = 15.0
#: Under a rate limit a question goes out at most as often as each tenth call of all workers: less than others' have.
_SHARE: Final = Share("following", 10)
#: After a call that failed, a round comes so many times later at most: twice, four times, ….
_LONGEST: Final = 60
_TRY: Final = 5.0


def plan(settings: WorkerSettings, sms: Sms) -> Following | None:
    """Says when the delivery of a message that was just sent is asked about; None if nobody wants to know."""
    if not settings.delivery:
        return None
    wait = sms.deferred_to.timestamp() - identity.known.redis_time() if sms.deferred_to else 0.0
    return Following.of(sms.validity, wait)


class _Failed(Exception):  # noqa: N818 - ends a round, and is no error
    """A call came to nothing: the round is over."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Follower:
    """The questions of one process about what was sent.

    Args:
        process: The means.
        apart: Seconds between two rounds.
    """

    def __init__(self, process: Runtime, *, apart: float) -> None:
        self._process = process
        self._apart = apart
        self._permit = process.pace.permit_of(_SHARE)
        self._failures = 0  # in a row

    async def run(self) -> None:
        """Asks in rounds until it is cancelled, and outlives whatever they meet."""
        while True:
            try:
                pause = await self.round()
            except Exception as error:  # noqa: BLE001 - its words may hold what the gateway said; its frames don't
                frames = traceback.format_tb(error.__traceback__)
                log.error("follow.crashed", error=type(error).__name__, frames=frames)  # noqa: TRY400
                pause = _LONGEST * self._apart
            await asyncio.sleep(pause)

    async def round(self) -> float:
        """Asks about what is due.

        Returns:
            Seconds until the next round.
        """
        process, settings = self._process, self._process.settings
        take = ledger.follow(
            _MESSAGES,
            campaigns=_CAMPAIGNS,
            messages=_MESSAGES,
            lease=int(_PATIENCE * 1000),
            delivery=settings.delivery,
            worker=identity.name(),
        )
        try:
            taken = await process.runner.run(take, _TRY)
            await self._ask(taken)
        except QueueUnavailable as error:
            log.debug("follow.unavailable", reason=str(error))
            return self._apart
        except _Failed as failed:
            await self._hear(failed.outcome)
            self._failures += 1
            return self._apart * min(_LONGEST, 2.0 ** min(self._failures, 9))
        self._failures = 0
        return self._apart / 10 if taken.entries == _MESSAGES else self._apart

    async def _ask(self, taken: Followed) -> None:
        """Asks as long as there is time, and writes each answer down at once.

        Raises:
            _Failed: A call came to nothing.
            QueueUnavailable: Redis is away.
        """
        try:
            async with asyncio.timeout(_PATIENCE - _MARGIN):
                for moderated in taken.moderated:
                    await self._write([await self._moderated(moderated)])
                for start in range(0, len(taken.underway), MOST_MESSAGES):
                    await self._write(await self._underway(taken.underway[start : start + MOST_MESSAGES]))
        except TimeoutError:
            log.debug("follow.no_time")

    async def _hear(self, outcome: Outcome) -> None:
        """Tells all who call of too many calls.

        Whether the account may send, only sending shows: its key may lack a right to these methods alone.
        """
        log.warning("follow.failed", code=outcome.code, reason=outcome.reason)
        heard = decide.hear(outcome)
        if heard and heard.what == "slow":
            with contextlib.suppress(Stopped):
                await self._process.hear(heard)

    async def _write(self, told: Sequence[Decision | Delivery]) -> None:
        settings = self._process.settings
        write = ledger.followed(told, retention=settings.retention_ms, delivery=settings.delivery)
        words = await self._process.runner.run(write, _TRY)
        for each, word in zip(told, words, strict=True):
            _count(each, word)
            _log(each, word)

    async def _moderated(self, asked: Moderated) -> Decision:
        try:
            number = open_number(self._process.settings.cipher, asked.recipient)
        except (NoKey, InvalidSms):
            return Decision(asked.job_id, asked.campaign_id, "waits")  # its number couldn't be masked in what is said
        found = await self._call(lambda: verdict(self._process.gateway, asked.campaign_id, number))
        error = None
        if found.word == "declined":
            error = JobError(DECLINED, fields={"globalComment": found.comment} if found.comment else None)
        return Decision(asked.job_id, asked.campaign_id, found.word, error)

    async def _underway(self, asked: Sequence[Underway]) -> list[Delivery]:
        ids = [each.message_id for each in asked]
        found = await self._call(lambda: statuses(self._process.gateway, ids))
        return [
            Delivery(job_id, message_id, found.get(message_id, ""), found.get(message_id) in FINAL_STATUSES)
            for job_id, message_id in asked
        ]

    async def _call(self, ask: Callable[[], Awaitable[T | Outcome]]) -> T:
        await self._permit()
        answer = await ask()
        if isinstance(answer, Outcome):
            raise _Failed(answer)
        return answer


def _count(told: Decision | Delivery, word: FollowedWord) -> None:
    """What the ledger took as the end of a question: no other worker counts the same."""
    match told, word:
        case Decision(), "passed" | "declined":
            tally.followed[word] += 1
        case Delivery(), "delivery":
            tally.followed[told.status] += 1


def _log(told: Decision | Delivery, word: str) -> None:
    """One line for what a person wants to know. Never the moderator's words: only the job's record has them."""
    match told, word:
        case Decision(), "declined":
            log.warning("job.declined", job_id=told.job_id, campaign_id=told.campaign_id, see="smsq failed")
        case Decision(), "passed":
            log.info("job.passed_moderation", job_id=told.job_id, campaign_id=told.campaign_id)
        case Delivery(), "delivery":
            log.debug("job.delivery", job_id=told.job_id, status=told.status)
