"""Looks at what is due: reservations that were never begun, leases that ran out, retries, schedules, questions.

Every worker runs one, and nothing depends on any of them. Its work grows with what is due, never with what waits. Its
look is also the worker's heartbeat.
"""

import asyncio
import json
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from structlog.typing import FilteringBoundLogger

from config.settings import WorkerSettings
from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.ledger import Look, Looked, Told
from smsq.ledger.asking import AnswerWord
from smsq.probe import LATE, Health
from tasks import identity
from tasks.asking import PATIENCE, ROUND, Asker
from tasks.following import Follower
from tasks.runtime import runtime

if TYPE_CHECKING:
    from concurrent.futures import Future

log: FilteringBoundLogger = structlog.get_logger()

#: Entries of a look. A full one is followed by the next at once; Redis is held for a few milliseconds by each.
LIMIT = 500
_TIMEOUT = 5.0
#: Seconds for what a worker says of itself while it leaves.
_GOODBYE = 1.0
#: Seconds between rounds of questions: a few calls answer for all that come meanwhile (F93).
_ROUNDS_APART = 1.0
#: Looks between two rounds of questions about sent messages: what comes due meanwhile shares a call.
_FOLLOWED_APART = 10
#: Milliseconds within which a worker that lives was heard of.
_ALIVE = 5000
#: Keys that a step of the sweep looks at: a million jobs are seen in about three hours.
_SWEEP_KEYS = 1000


class Dispatcher:
    """Looks at what is due, in a thread of its own.

    Args:
        settings: The worker's settings.
        state: Says how the worker is, for its heartbeat.
        tell: Hears what became of each job that was asked about.

    Attributes:
        held_back: What holds this worker's jobs back at present, with the reasons.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        state: Callable[[], dict[str, Any]],
        tell: Callable[[Told, AnswerWord], None],
    ) -> None:
        self._interval = min(settings.dispatch_interval, settings.lease / 4)
        self._sweep_interval = settings.sweep_interval
        self._paced = settings.interval_ms > 0
        self._policy, self._erase_after = settings.policy, settings.erase_after_ms
        self._state = state
        self._announce = tell
        self._runner = SyncRunner(settings.address, settings.durability, identity.known)
        self._leaving, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._unavailable = False
        self._round: Future[None] | None = None
        self._put_aside = 0
        self.held_back: dict[str, str] = {}
        self._next_round = time.monotonic()
        self._cursor, self._next_sweep = "0", time.monotonic()

    def start(self) -> None:
        """Starts the thread."""
        process = runtime()
        self._asker = Asker(process, self._announce)
        follower = Follower(process, apart=_FOLLOWED_APART * self._interval)
        self._following = asyncio.run_coroutine_threadsafe(follower.run(), process.thread.loop)
        self._thread = threading.Thread(target=self._run, name="smsq-dispatcher", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Looks and asks no more. The worker's heart goes on beating until `stop`."""
        self._leaving.set()
        if self._thread:
            self._following.cancel()

    def stop(self) -> None:
        """Waits for the thread's end, and tells that this worker is gone."""
        self.leave()
        self._stopping.set()
        if self._thread:
            self._thread.join()
            self._thread = None
            with suppress(QueueUnavailable):
                self._runner.run(ledger.leave(identity.name(), os.getpid()), _GOODBYE)
        self._runner.close()

    def _run(self) -> None:
        with suppress(QueueUnavailable):
            self._look_for_a_namesake()
        while not self._stopping.wait(self._look_again()):
            pass

    def _look_for_a_namesake(self) -> None:
        """Warns of a live worker of the same name: they share a heartbeat, and a gate if the account is refused."""
        health = Health.read(self._runner.run(ledger.health(LATE), _TIMEOUT))
        for each in health.workers:
            if each.name == identity.name() and each.heard < _ALIVE and each.said.get("pid") != self._state()["pid"]:
                log.warning("worker.name_taken", name=each.name, pid=each.said.get("pid"), reason="give each its -n")

    def _look_again(self) -> float:
        """Looks, and outlives whatever that meets: without a dispatcher no retry and no question would go out."""
        try:
            return self.look()
        except Exception as error:  # noqa: BLE001 - its words may hold what the ledger's records do; its frames don't
            frames = traceback.format_tb(error.__traceback__)
            log.error("dispatcher.crashed", error=type(error).__name__, frames=frames)  # noqa: TRY400
            return self._interval

    def look(self) -> float:
        """Takes what is due and puts it where it belongs.

        Returns:
            Seconds until the next look: none when there was more than one look takes, less than the interval when
            something is due before.
        """
        if self._leaving.is_set():
            return self._tell_of_itself()
        asking = (self._round is not None and not self._round.done()) or time.monotonic() < self._next_round
        nonce = secrets.token_urlsafe(9)
        questions, state = 0 if asking else ROUND, json.dumps(self._state())
        look = Look(LIMIT, questions, int(PATIENCE * 1000), nonce, identity.name(), state, self._paced)
        try:
            looked = self._runner.run(ledger.take_due(look, self._policy), _TIMEOUT)
        except QueueUnavailable as error:
            if not self._unavailable:
                log.warning("dispatcher.unavailable", reason=str(error))
            self._unavailable = True
            return self._interval
        self._unavailable = False
        self._tell(looked)
        self._sweep()
        if looked.questions:
            self._next_round = time.monotonic() + _ROUNDS_APART
            process, epoch = runtime(), identity.known.epoch
            self._round = asyncio.run_coroutine_threadsafe(self._asker.ask(looked, nonce, epoch), process.thread.loop)
            self._round.add_done_callback(_complain)
        if looked.entries >= LIMIT:
            return 0.0
        if looked.next_due is None:
            return self._interval
        return min(self._interval, max(0.01, looked.next_due / 1000))

    def _tell_of_itself(self) -> float:
        """Gives a heartbeat and takes nothing."""
        look = Look(0, 0, 0, "", identity.name(), json.dumps(self._state()))
        with suppress(QueueUnavailable):
            self._runner.run(ledger.take_due(look, self._policy), _GOODBYE)
        return self._interval

    def _sweep(self) -> None:
        """Takes a step of the slow sweep, when it is time for one."""
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + self._sweep_interval
        try:
            swept = self._runner.run(ledger.sweep(self._cursor, _SWEEP_KEYS, erase_after=self._erase_after), _TIMEOUT)
        except QueueUnavailable as error:
            log.warning("sweep.unavailable", reason=str(error))
            return
        self._cursor = swept.cursor
        if swept.erased:
            log.info("recipients.erased", count=swept.erased)
        for job_id, what in swept.events:
            if what == "repaired":
                log.error("job.repaired", job_id=job_id, reason="it was in neither a lane nor `due`")
            else:
                log.error("job.parked", job_id=job_id, reason="its record can't be used")

    def _tell(self, looked: Looked) -> None:
        for job_id, what in looked.events:
            match what:
                case "parked":
                    log.error("job.parked", job_id=job_id)
                case "resend":
                    log.warning("job.resend", job_id=job_id, reason="the worker was lost during the call")
                case _:
                    log.warning("job.asking", job_id=job_id, reason="the worker was lost during the call")
        if looked.put_aside > self._put_aside:
            log.error("parked.more", count=looked.put_aside, reason="see smsq parked")
        self._put_aside = looked.put_aside
        for gate, reason in looked.held_back.items():
            if self.held_back.get(gate) != reason:
                log.warning("gate.closed", gate=gate, reason=reason)
        for gate in self.held_back.keys() - looked.held_back.keys():
            log.warning("gate.open", gate=gate)
        self.held_back = looked.held_back


def _complain(asked: "Future[None]") -> None:
    """A bug in asking must be heard of; the jobs are asked about again when their questions' time is over."""
    if not asked.cancelled() and (error := asked.exception()):
        log.error("ask.crashed", error=type(error).__name__)
