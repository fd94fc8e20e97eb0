"""The producers' part of the ledger, in memory: their scripts are answered as Redis does, all else is real.

A test holds it to the real ledger: the same calls, the same answers.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from smsq import keys
from smsq.job import RECORD_VERSION, Job, JobError, read_job
from smsq.scripts import Call
from smsq.states import State

T = TypeVar("T")
_WAITING: Final = (State.SCHEDULED, State.QUEUED)


class Outcome(NamedTuple):
    """What a job comes to when it is delivered."""

    state: State
    error: JobError | None = None


class Given(NamedTuple):
    """What was accepted as a job, as it was handed over; times in ms."""

    job_id: str
    message: str
    lane: str
    batch: str
    send_at: int | None
    expires_in: int | None
    on_unknown: str


class MemoryLedger:
    """Records, keys and batches of one test. Thread-safe.

    Attributes:
        held: Whether jobs wait for `deliver`.
        outcomes: What the next jobs come to, in turn; sent when there is none.
        given: What was accepted, in order.
    """

    def __init__(self) -> None:
        self.held = False
        self.outcomes: deque[Outcome] = deque()
        self.given: list[Given] = []
        self._records: dict[str, dict[str, str]] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._batches: dict[str, dict[str, int]] = {}
        self._wakers: dict[str, list[Callable[[], None]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._scripts: dict[str, Callable[..., Any]] = {
            "enqueue": self._enqueue,
            "lookup": self._lookup,
            "watch": self._watch,
            "cancel": self._cancel,
            "cancel_batch": self._cancel_batch,
            "batch": self._batch,
            "ask_delivery": lambda _: 0,  # nobody follows what is never sent
        }

    def run(self, call: Call[T]) -> T:
        """Answers a call.

        Raises:
            NotImplementedError: It is none of those that a web application makes.
        """
        script = self._scripts.get(call.script.name)
        if script is None:
            raise NotImplementedError(f"sms_outbox is for SmsQueue; {call.script.name!r} needs a real Redis")
        with self._lock:
            return call.parse(script(*call.args))

    def job(self, job_id: str) -> Job:
        """Returns a job as it is now."""
        with self._lock:
            job, now, stopped, doubt, *fields = self._look(job_id)
            return read_job(job.decode(), now, fields, stopped=stopped, doubt=bool(doubt))

    def deliver(self) -> int:
        """Ends all that waits, also what waits for its moment; returns how many jobs came to an outcome."""
        with self._lock:
            waiting = [each for each, record in self._records.items() if record["state"] in _WAITING]
            return sum(self._deliver(job_id) for job_id in waiting)

    def decline(self, job_id: str, error: JobError) -> None:
        """Has a moderator decline what was sent.

        Raises:
            ValueError: It wasn't sent.
        """
        with self._lock:
            record = self._sent(job_id)
            record |= {
                "state": str(State.FAILED),
                "campaign_status": "1",
                "error": error.to_json(),
                "done": str(_now()),
            }

    def report(self, job_id: str, status: str) -> None:
        """Has the gateway say how far what was sent has come.

        Raises:
            ValueError: It wasn't sent.
        """
        with self._lock:
            self._sent(job_id)["delivery"] = status

    def _sent(self, job_id: str) -> dict[str, str]:
        self._end_what_is_over(job_id)
        record = self._records[job_id]
        if record["state"] != State.SENT:
            state = State(record["state"])
            what = "nothing comes after that" if state.final else "deliver() comes first"
            raise ValueError(f"it is {state}: {what}")
        return record

    def on_end(self, key: str, wake: Callable[[], None]) -> None:
        """Calls back once the job that a wake key belongs to has ended, from the thread that ends it."""
        job_id = key.removeprefix(keys.wake(""))
        with self._lock:
            if self._is_final(job_id):
                wake()
            else:
                self._wakers.setdefault(job_id, []).append(wake)

    # -- the scripts

    def _enqueue(self, *args: Any) -> list[list[Any]]:  # noqa: ANN401 - a script's arguments
        answers: list[list[Any]] = []
        for job_id, message, key, content, _ in zip(*[iter(args[7:])] * 5, strict=True):
            owner, owned = self._keys.get(key, (None, None))
            if owner and owned != content:
                answers.append([b"conflict", owner.encode()])
                break
            if owner or job_id in self._records:
                answers.append([b"known", *self._look(owner or job_id)])
            elif not message:
                answers.append([b"not_known", job_id.encode()])
                break
            else:
                if key:
                    self._keys[key] = job_id, content
                answers.append(self._accept(job_id, message, args[:6]))
        return answers

    def _accept(self, job_id: str, message: str, options: tuple[Any, ...]) -> list[Any]:
        lane, batch, send_at, expires_in, on_unknown, rules = options
        now = _now()
        later = send_at if send_at != "" and send_at > now else None
        state = State.SCHEDULED if later else State.QUEUED
        record = {"v": str(RECORD_VERSION), "state": str(state), "lane": lane, "at": str(now), "rules": str(rules)}
        if batch:
            record["batch"] = batch
            self._batches.setdefault(batch, {"first": now})["last"] = now
        if expires_in != "":
            record["expires"] = str(now + expires_in)
        self._records[job_id] = record
        given = Given(
            job_id, message, lane, batch, later, None if expires_in == "" else expires_in, on_unknown or "ask"
        )
        self.given.append(given)
        stopped = "stopped" in self._batches.get(batch, {})
        if not (later or self.held):
            self._deliver(job_id)
        return [b"accepted", job_id.encode(), now, str(State.CANCELLED if stopped else state).encode()]

    def _lookup(self, kind: str, identifier: str) -> list[Any]:
        if kind == "job":
            return self._look(identifier) if identifier in self._records else []
        name = f"{kind}_id"
        return next((self._look(each) for each, record in self._records.items() if record.get(name) == identifier), [])

    def _watch(self, job_id: str) -> int:
        return int(not self._is_final(job_id))

    def _cancel(self, job_id: str, _retention: int) -> bytes:
        if job_id not in self._records:
            return b"gone"
        if not self._is_final(job_id):
            self._finish(job_id, State.CANCELLED)
        return b"cancelled" if self._records[job_id]["state"] == State.CANCELLED else b"late"

    def _cancel_batch(self, name: str) -> int:
        batch = self._batches.get(name)
        if batch is None:
            return -1
        if "stopped" not in batch:
            of_batch = [each for each, record in self._records.items() if record.get("batch") == name]
            waiting = [each for each in of_batch if not self._is_final(each)]
            batch |= {"stopped": _now(), "stopped_jobs": len(waiting)}
            for job_id in waiting:
                self._finish(job_id, State.CANCELLED)
        return batch["stopped_jobs"]

    def _batch(self, name: str) -> list[Any]:
        counts: dict[str, int] = dict(self._batches.get(name, {}))
        for job_id, record in self._records.items():
            if record.get("batch") == name:
                self._end_what_is_over(job_id)
                for what in _counted(record):
                    counts[what] = counts.get(what, 0) + 1
        return [part for field, number in counts.items() for part in (field.encode(), number)]

    # -- a job's life

    def _deliver(self, job_id: str) -> bool:
        if self._is_final(job_id):
            return False
        outcome = self.outcomes.popleft() if self.outcomes else Outcome(State.SENT)
        record = self._records[job_id]
        record["attempts"] = "1"
        if outcome.error:
            record["error"] = outcome.error.to_json()
        if outcome.state is State.SENT:
            number = next(self._numbers)
            ids = {"message_id": 1_000_000 + number, "campaign_id": 2_000_000 + number, "campaign_status": 2}
            record |= {name: str(value) for name, value in ids.items()}
        self._finish(job_id, outcome.state)
        return True

    def _is_final(self, job_id: str) -> bool:
        """Whether a job has ended, or isn't known."""
        self._end_what_is_over(job_id)
        record = self._records.get(job_id)
        return record is None or State(record["state"]).final

    def _end_what_is_over(self, job_id: str) -> None:
        record = self._records.get(job_id)
        if record is None or record["state"] not in _WAITING:
            return
        if "expires" in record and int(record["expires"]) <= _now():
            self._finish(job_id, State.EXPIRED)
        elif "stopped" in self._batches.get(record.get("batch", ""), {}):
            self._finish(job_id, State.CANCELLED)

    def _finish(self, job_id: str, state: State) -> None:
        record, now = self._records[job_id], _now()
        record |= {"state": str(state), "done": str(now)}
        if batch := self._batches.get(record.get("batch", "")):
            batch["last"] = now
        for wake in self._wakers.pop(job_id, ()):
            wake()

    def _look(self, job_id: str) -> list[Any]:
        """What the scripts answer for a job: id, now, its batch's end, doubt, fields."""
        self._end_what_is_over(job_id)
        fields = [part.encode() for pair in self._records[job_id].items() for part in pair]
        return [job_id.encode(), _now(), 0, 0, *fields]


def _counted(record: dict[str, str]) -> Iterator[str]:
    """What a batch counts a job as."""
    yield record["state"]
    if record["state"] == State.FAILED and "message_id" in record:
        yield "declined"
    if "delivery" in record:
        yield f"delivery:{record['delivery']}"


def _now() -> int:
    return int(time.time() * 1000)
