"""The life of one job in a worker: begin, call, decide, settle."""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import structlog
from celery import Task, shared_task
from celery.exceptions import Ignore, Retry
from celery.worker.state import revoked
from structlog.typing import FilteringBoundLogger

from smsq.deferral import who_defers
from smsq.encryption import NO_KEY, NoKey, open_message
from smsq.errors import InvalidSms, SmsNotSent, SmsUnknown
from smsq.gateway.answers import NOT_CALLED, Outcome
from smsq.gateway.form import Permit
from smsq.job import JobError
from smsq.lanes import MOMENT, TASK_NAME, Lane, lane_of
from smsq.ledger import Heard, Settlement
from smsq.message import RULES_VERSION, api_form, campaign_token, load
from smsq.privacy import mask_recipient
from smsq.scripts import boot_time
from smsq.sms import Sms
from smsq.states import State
from tasks import loop
from tasks.calling import call
from tasks.decide import decide, hear
from tasks.following import plan
from tasks.guard import HELD_BACK, allows
from tasks.hold import Hold
from tasks.request import Crashed, Ended
from tasks.runtime import Runtime, Stopped, runtime
from tasks.slots import Place
from tasks.tally import tally
from tasks.tracing import Untraced, processing

log: FilteringBoundLogger = structlog.get_logger()


@shared_task(
    name=TASK_NAME, bind=True, ignore_result=False, Request="tasks.request:Request", throws=(SmsNotSent,)
)  # a refusal is an outcome, not an accident: our own line tells of it, Celery's traceback would tell nothing more
def send(self: Task) -> dict[str, int]:
    """Sends the job whose id is the task's.

    Returns:
        ``campaignId``, ``messageId`` and ``status``.

    Raises:
        SmsNotSent: The job failed.
        SmsUnknown: The gateway may have it, and a person must decide.
        Retry: It waits in the ledger's schedule, or for the gateway's answer to a question.
        Ended: It expired or was cancelled before it was called.
        Ignore: It isn't this worker's.
        Crashed: A bug burst outside its attempt.
    """
    process = runtime()
    request = self.request
    lane = lane_of((request.delivery_info or {}).get("routing_key") or "") or "normal"
    try:
        settled = process.thread.run(deliver(process, request.id, lane, request.get(MOMENT), loop.on_call()))
    except Ignore:
        raise
    except Exception as error:  # noqa: BLE001 - Celery would tell its log, its events and Flower the exception's words
        # What the ledger knows holds; of what it doesn't, the gateway is asked when the job's lease is over.
        raise Crashed(_log_crash(error, job_id=request.id)) from None
    return _to_celery(settled)


async def deliver(
    process: Runtime,
    job_id: str,
    lane: Lane = "normal",
    moment: float | None = None,
    on_call: Callable[[], None] | None = None,
) -> Settlement:
    """Takes one job from begin to settle.

    Args:
        process: The means.
        job_id: Which.
        lane: The lane that it came from.
        moment: When it may be called by the common pace, by `boot_time`; None without a rate.
        on_call: Told when its first call may go out: it has its slot.

    Returns:
        What was written to the ledger.

    Raises:
        Ended: It had expired or was cancelled.
        Ignore: Nothing was to be done, or the ledger knows better.
    """
    try:
        place = await process.begin_soon(job_id, lane)
        if place is None:
            raise Ignore  # the worker stops; the job is on its lane again
        try:
            hold = await process.begin(job_id)
            if hold.begun.word != "begun":
                _not_ours(hold)
            structlog.contextvars.bind_contextvars(job_id=job_id, attempt=hold.begun.attempts)
            with processing(hold, process.settings.api_url) as work:
                return await _carry_out(process, hold, place, moment, on_call=on_call, work=work)
        finally:
            place.leave()
    except Stopped:
        log.error("job.abandoned", job_id=job_id, reason="the worker stopped while Redis was away")  # noqa: TRY400 - no traceback
        raise Ignore from None


async def _carry_out(
    process: Runtime,
    hold: Hold,
    place: Place,
    moment: float | None,
    *,
    on_call: Callable[[], None] | None,
    work: Untraced,
) -> Settlement:
    """Takes a job that has begun to its settle."""
    process.leases.add(hold)
    if hold.begun.attempts == 1:
        tally.waits[hold.begun.lane].add(hold.begun.waited / 1000)
    try:
        settlement, sms = await _attempt(process, hold, place, moment, on_call=on_call, work=work)
    finally:
        process.leases.let_go(hold)
        place.leave()
    word = await process.settle(settlement)
    if word == "owned":  # the gateway gave ids that another job has: whose they are, a person must find out
        error = JobError("the gateway answered with another job's messageId")
        settlement = replace(settlement, to=State.UNKNOWN, ids=None, recipient="", error=error)
        word = await process.settle(settlement)
    if word != "settled":  # stale: no message of ours is out; each restart of Redis has that of what hadn't been sent
        tell = log.info if word == "stale" and settlement.to is not State.UNKNOWN else log.error
        tell("job.settled_by_another", word=word, wanted=str(settlement.to), ids=settlement.ids)
        raise Ignore
    if settlement.ids:
        tally.end_to_end[hold.begun.lane].add(hold.begun.waited / 1000 + boot_time() - hold.begun_at)
    work.settled(settlement)
    _log_end(settlement, sms, hold.begun.lane)
    return settlement


async def _attempt(
    process: Runtime,
    hold: Hold,
    place: Place,
    moment: float | None,
    *,
    on_call: Callable[[], None] | None,
    work: Untraced,
) -> tuple[Settlement, Sms | None]:
    """Reads the message, calls the gateway unless it must wait, and decides. A bug of ours ends the job at once."""
    called = False

    async def one_call(form: Mapping[str, str]) -> Outcome:
        nonlocal called, moment
        lane = hold.begun.lane
        if not await process.slots.acquire(lane):
            return NOT_CALLED
        try:
            if on_call:
                on_call()
            if hold.job_id in revoked:
                return NOT_CALLED  # it goes back to its lane, and Celery, who gets it there, revokes it
            if process.held_back(hold):
                return NOT_CALLED  # it waits on its lane, with the others
            permit, moment = process.pace.permit(moment), None
            sending = process.gateway.send_sms(form, start_by=hold.start_by, permit=_stamped(hold, permit))
            outcome = await work.call(sending)
            called = True  # what the client raises, it raises before the first byte
            tally.called(outcome.kind, boot_time() - (hold.called_at or 0))
            await process.heed(hear(outcome, hold.called_at))
            return outcome
        finally:
            process.slots.release(lane)
            place.leave()  # another may begin, also while this one waits for its next try

    try:
        return await _call_or_wait(process, hold, one_call)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job must not hang until its lease is over
        name = _log_crash(error)
        state = State.SENDING if called else State.FAILED
        return _settlement(hold, state, int(called), error=JobError(f"the worker failed: {name}")), None


async def _call_or_wait(
    process: Runtime, hold: Hold, one_call: Callable[[Mapping[str, str]], Awaitable[Outcome]]
) -> tuple[Settlement, Sms | None]:
    settings, begun = process.settings, hold.begun
    try:
        stored = open_message(settings.cipher, begun.message, hold.job_id)
        sms = load(stored, trusted=begun.rules == str(RULES_VERSION))
    except NoKey:
        return _settlement(hold, State.QUEUED, error=JobError(NO_KEY), heard=Heard("keyless", NO_KEY)), None
    except InvalidSms as invalid:
        error = JobError("the message breaks a rule", fields=invalid.errors)
        return _settlement(hold, State.FAILED, error=error), None
    if not allows(sms.recipient, settings.allowed):
        return _settlement(hold, State.CANCELLED, error=HELD_BACK), sms
    who = who_defers(sms.deferred_to, now=begun.now / 1000)
    if who == "ledger" and sms.deferred_to:
        at = int(sms.deferred_to.timestamp() * 1000)
        return _settlement(hold, State.SCHEDULED, at=at), sms
    token = campaign_token(hold.job_id) if settings.campaign_token else ""
    form = api_form(sms, zone=process.zone, token=token, deferred=who == "gateway")
    if settings.redirect_to:
        form["recipient"] = settings.redirect_to  # as begin noted: the gateway is asked by it
    outcome, calls = await call(lambda: one_call(form), window=settings.retry_window, stopping=process.stopping)
    tally.repeated += max(0, calls - 1)
    settlement = decide(hold, sms, outcome, calls, give_up_after=settings.give_up_after)
    if settlement.ids:
        settlement.following = plan(settings, sms)
        if settings.cipher:
            settlement.recipient = settings.cipher.seal_number(sms.recipient)
    return settlement, sms


def _stamped(hold: Hold, permit: Permit | None) -> Permit | None:
    """Notes when the call begins: now, or when it is permitted."""
    hold.called_at = boot_time()
    if permit is None:
        return None

    async def wait() -> None:
        await permit()
        hold.called_at = boot_time()

    return wait


def _log_crash(error: Exception, **fields: str) -> str:
    """Tells where an exception came from and returns its name: its own words may hold the number or the text."""
    name = type(error).__name__
    log.error("job.crashed", error=name, frames=traceback.format_tb(error.__traceback__), **fields)
    return name


def _settlement(
    hold: Hold, to: State, calls: int = 0, *, error: JobError | None = None, at: int = 0, heard: Heard | None = None
) -> Settlement:
    """What becomes of a job about which the gateway has said nothing."""
    return Settlement(
        hold.job_id, hold.token, to, calls, hold.epoch, hold.took(), hold.begun_at, error=error, at=at, heard=heard
    )


def _not_ours(hold: Hold) -> NoReturn:
    """A hint for a job that this worker has nothing to do with is normal; one for a record it can't read isn't."""
    structlog.contextvars.bind_contextvars(job_id=hold.job_id)
    match word := hold.begun.word:
        case "expired" | "cancelled":
            log.info("job.ended_uncalled", state=word)
            raise Ended(word)
        case "malformed":
            log.error("job.malformed")
        case "asking":
            log.warning("job.in_doubt", reason="Redis may have forgotten a call; the gateway is asked first")
        case _:
            log.debug("job.dropped", word=word)
    raise Ignore


def _log_end(settlement: Settlement, sms: Sms | None, lane: Lane) -> None:
    """One line for each job's end, or for the reason why it waits."""
    fields: dict[str, Any] = {}
    if sms:
        fields["recipient"] = mask_recipient(sms.recipient)
    if settlement.ids:
        fields["message_id"], fields["campaign_id"], fields["status"] = settlement.ids
    if settlement.error:
        fields["reason"] = str(settlement.error.for_outside())
    if settlement.delay:
        fields["delay"] = settlement.delay / 1000
    event = "job.asking" if settlement.to is State.SENDING else f"job.{settlement.to}"
    if settlement.to in (State.SENT, State.QUEUED, State.SCHEDULED):
        log.info(event, **fields)
    else:
        if settlement.error and settlement.error.code is not None:
            fields["code"] = settlement.error.code
        log.warning(event, lane=lane, **fields)


def _to_celery(settled: Settlement) -> dict[str, int]:
    """Tells Celery, its events and its signals what became of the job."""
    if settled.ids:
        message_id, campaign_id, status = settled.ids
        return {"campaignId": campaign_id, "messageId": message_id, "status": status}
    error = settled.error.for_outside() if settled.error else None
    match settled.to:
        case State.UNKNOWN if error:
            raise SmsUnknown(error.reason, error.code, error.fields)
        case State.SENDING if error:
            raise Retry(exc=SmsUnknown(error.reason, error.code, error.fields), when=0)
        case State.FAILED if error:
            raise SmsNotSent(error.reason, error.code, error.fields)
        case State.CANCELLED:
            raise Ended("cancelled")
        case State.RETRYING | State.QUEUED if error:
            raise Retry(exc=SmsNotSent(error.reason, error.code, error.fields), when=settled.delay / 1000)
    raise Ignore
