"""What `enqueue` makes of a message and its key for the ledger, and of the ledger's answer for the caller."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, Self

from smsq import ledger, message
from smsq.encryption import NONCE, Cipher
from smsq.errors import IdempotencyConflict, InvalidSms
from smsq.job import Job
from smsq.message import Sms
from smsq.scripts import ago
from smsq.settings import Settings

#: Characters of an idempotency key at most; only its hash is stored.
LONGEST_KEY: Final = 255


class Keys:
    """The idempotency keys that this process has handed to Redis lately, each with the job's id and the moment.

    Redis may forget what it had confirmed (a failover without `SMSQ_DURABILITY`). A key that comes again then is
    offered under the same job id, whose token the gateway knows, with the word that it isn't new: the job is asked
    about before it is called (rule 21). Thread-safe.
    """

    LIMIT: Final = 10_000

    def __init__(self) -> None:
        self._tried: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, new: ledger.NewJob) -> ledger.NewJob:
        """Returns the job as it is to be offered: under the id it had before, if its key isn't new."""
        with self._lock:
            tried = self._tried.get(new.key_hash) if new.key_hash else None
        if tried is None:
            return new
        job_id, at = tried
        return new._replace(id=job_id, tried=ago(at))

    def note(self, jobs: Iterable[ledger.NewJob], at: float) -> None:
        """Notes that jobs may have been accepted. Of several times the first counts: Redis may have forgotten that one.

        Args:
            jobs: What was handed to Redis.
            at: When, by `boot_time`.
        """
        with self._lock:
            for job in jobs:
                if job.key_hash:
                    self._tried.setdefault(job.key_hash, (job.id, at))
                    self._tried.move_to_end(job.key_hash)
            while len(self._tried) > self.LIMIT:
                self._tried.popitem(last=False)


class Candidate(NamedTuple):
    """A message that may become a job.

    Attributes:
        new: What goes to the ledger. Without a message it is accepted only as the job that its key has already.
        late: Why it can't be a new job any more: its moment has come too near since it was enqueued first.
    """

    new: ledger.NewJob
    late: InvalidSms | None = None

    @classmethod
    def of(cls, sms: Sms, key: str | None, settings: Settings) -> Self:
        """Applies the rules that need the present, and hashes the key.

        Raises:
            InvalidSms: The message, or the key, breaks a rule whatever the ledger knows.
        """
        if not isinstance(sms, Sms):
            raise TypeError("an Sms is needed; Sms.model_validate makes one of a mapping")
        if key is not None and not (isinstance(key, str) and 1 <= len(key) <= LONGEST_KEY):
            raise InvalidSms({"idempotency_key": f"must be 1 to {LONGEST_KEY} characters"})
        zone, segments = settings.zone, settings.max_segments
        late = None
        try:
            prepared = message.prepare(sms, zone=zone, now=time.time(), max_segments=segments)
        except InvalidSms as invalid:
            if key is None:
                raise
            prepared = message.prepare(sms, zone=zone, now=None, max_segments=segments)
            late = invalid
        text = "" if late else message.dump(prepared)
        if key is None:
            return cls(ledger.NewJob(_new_id(), text))
        key_hash = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        content = message.content_hash(prepared)
        if cipher := settings.cipher:  # the plain one is compared with what was enqueued before there was a key
            content = f"{cipher.contents(message.dump(prepared))} {content}"
        return cls(ledger.NewJob(_new_id(), text, key_hash, content), late)

    def outcome(self, answer: ledger.Accepted) -> Job | InvalidSms | IdempotencyConflict:
        """Returns the job, or why there is none."""
        if isinstance(answer, Job):
            return answer
        if isinstance(answer, ledger.NotKnown) and self.late:
            return self.late
        owner = answer.job_id
        return IdempotencyConflict(f"the idempotency key belongs to job {owner}, which has another content")

    def job(self, answer: ledger.Accepted) -> Job:
        """Returns the job.

        Raises:
            InvalidSms: Its moment is too near, and no job has its key.
            IdempotencyConflict: The key belongs to another content.
        """
        outcome = self.outcome(answer)
        if not isinstance(outcome, Job):
            raise outcome
        return outcome


def sealed(jobs: Sequence[ledger.NewJob], cipher: Cipher) -> list[ledger.NewJob]:
    """Returns jobs with their messages encrypted, each under its id."""
    noise = secrets.token_bytes(NONCE * len(jobs))  # at once: each call lets other threads of `enqueue_many` go first

    def seal(number: int, job: ledger.NewJob) -> ledger.NewJob:
        text, nonce = job.message, noise[NONCE * number : NONCE * (number + 1)]
        if not isinstance(text, str) or not text:
            return job
        return job._replace(message=cipher.seal_message(text, job.id, message.recipient_of(text), nonce))

    return [seal(number, job) for number, job in enumerate(jobs)]


#: To each byte one of 32 characters.
_CHARACTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567" * 8


def _new_id() -> str:
    """A job's id: 20 characters of a to z and 2 to 7, five random bits each."""
    return secrets.token_bytes(20).translate(_CHARACTERS).decode()
