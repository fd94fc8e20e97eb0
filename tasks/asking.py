"""Asks the gateway what became of calls that nobody has an answer to, and writes down what it says.

The ledger decides when a question is put and what an answer comes to; the client of the gateway knows how to ask. Here
the two meet: one round at a time in a process, for all jobs that are due.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from structlog.typing import FilteringBoundLogger

from smsq.encryption import NO_KEY, Cipher, NoKey, open_message, open_number
from smsq.errors import InvalidSms
from smsq.gateway.questions import Canary, Question, Reply, ask
from smsq.ledger import Looked, Told
from smsq.ledger.asking import AnswerWord
from smsq.ledger.asking import Question as Asked
from smsq.ledger.holding import Share
from smsq.message import campaign_token, load
from smsq.privacy import mask_recipient
from smsq.scripts import boot_time
from smsq.tracing import wall_clock
from tasks import decide, identity
from tasks.following import plan
from tasks.runtime import Runtime, Stopped
from tasks.tally import tally
from tasks.tracing import asked

log: FilteringBoundLogger = structlog.get_logger()

#: Jobs that are asked about in one round.
ROUND: Final = 500
#: Seconds that a round may take; a job whose asker died in it is asked about again then.
PATIENCE: Final = 120.0
_MARGIN: Final = 15.0
#: Under a rate limit a question goes out at most as often as each fifth call of all workers.
_SHARE: Final = Share("asking", 5)


def _canary(cipher: Cipher | None, found: tuple[int, str] | None) -> Canary | None:
    """The canary, with its number as the gateway knows it; None also where it can't be decrypted."""
    try:
        return Canary(found[0], open_number(cipher, found[1])) if found else None
    except (NoKey, InvalidSms):
        return None


class Asker:
    """The questions of one process.

    Args:
        process: The means.
        tell: Hears what became of each job.
    """

    def __init__(self, process: Runtime, tell: Callable[[Told, AnswerWord], None]) -> None:
        self._process = process
        self._tell = tell

    async def ask(self, looked: Looked, token: str, epoch: int) -> None:
        """Puts questions and writes the answers down.

        Args:
            looked: What the look at `due` gave: the questions, and the canary.
            token: Theirs.
            epoch: The epoch in which they were given.
        """
        process, cipher = self._process, self._process.settings.cipher
        began, looked_at = wall_clock(), boot_time()
        questions, told, recipients, plans = [], [], {}, {}
        for each in looked.questions:
            try:
                sms = load(open_message(cipher, each.message, each.job_id))
            except NoKey:  # no answer: when this question's time is over it is put again, perhaps by who has the key
                log.warning("ask.no_key", job_id=each.job_id, reason=NO_KEY)
                continue
            except InvalidSms:
                told.append(Told(each.job_id, token, epoch, "cant_tell", "the message can't be read"))
                continue
            mark = campaign_token(each.job_id) if process.settings.campaign_token else ""
            # What the ledger forgot was most likely called for as everything here is.
            number = each.called or (process.settings.redirect_to if each.doubt else None) or sms.recipient
            recipients[each.job_id] = cipher.seal_number(sms.recipient) if cipher else sms.recipient
            plans[each.job_id] = plan(process.settings, sms)
            questions.append(Question(each.job_id, number, sms.text, sms.sender, mark, each.first / 1000))
        replies = await self._replies(questions, _canary(cipher, looked.canary))
        for reply in replies:
            ids = tuple((match.message_id, match.campaign_id, match.campaign_status) for match in reply.matches)
            recipient, following = recipients[reply.job_id], plans[reply.job_id]
            told.append(
                Told(reply.job_id, token, epoch, reply.word, reply.reason, ids, recipient, reply.proved, following)
            )
        try:
            await self._hear(replies)
            words = await asyncio.gather(*map(process.answer, told))
        except Stopped:
            log.warning("ask.abandoned", reason="the worker stopped while Redis was away", count=len(told))
            return
        put = {each.job_id: each for each in looked.questions}
        for each_told, word in zip(told, words, strict=True):
            tally.answers[each_told.word] += 1
            question = put[each_told.job_id]
            asked(question, each_told, word, began=began)
            if word == "sent":
                tally.end_to_end[question.lane].add(question.waited / 1000 + boot_time() - looked_at)
            _log(each_told, word, question)
            self._tell(each_told, word)

    async def _hear(self, replies: Sequence[Reply]) -> None:
        """Too many calls, or a refused account, concerns all who call, whatever the call was for."""
        all_heard = filter(None, (decide.hear(reply.failure) for reply in replies if reply.failure))
        for what, heard in {each.what: each for each in all_heard}.items():
            if what in ("slow", "account"):
                await self._process.hear(heard)

    async def _replies(self, questions: Sequence[Question], canary: Canary | None) -> Sequence[Reply]:
        if not questions:
            return []
        process = self._process
        return await ask(
            process.gateway,
            questions,
            canary,
            zone=process.zone,
            now=identity.known.redis_time(),
            permit=process.pace.permit_of(_SHARE),
            within=PATIENCE - _MARGIN,
        )


def _log(told: Told, word: AnswerWord, question: Asked) -> None:
    """One line for each job's end or way back, as after a call."""
    fields: dict[str, Any] = {"job_id": told.job_id, "attempt": question.attempts, "answer": told.word}
    if told.recipient:
        fields["recipient"] = mask_recipient(told.recipient)
    if told.reason:
        fields["reason"] = told.reason
    match word:
        case "sent":
            fields["message_id"], fields["campaign_id"], fields["status"] = told.ids[0]
            log.info("job.sent", **fields)
        case "again" | "expired" | "cancelled":
            log.info("job.surely_absent", becomes="queued" if word == "again" else word, **fields)
        case "unknown":
            log.warning("job.unknown", lane=question.lane, **{"reason": "the gateway could not say", **fields})
        case "failed":
            log.warning("job.failed", lane=question.lane, **{"reason": "surely not sent, and given up", **fields})
        case _:
            log.debug("job.asked", becomes=word, **fields)
