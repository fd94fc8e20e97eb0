"""A job that this worker has begun, and until when it may call for it."""

import math
from dataclasses import dataclass
from typing import Self

from smsq.ledger import Begun
from smsq.scripts import Known, boot_time

#: Seconds kept of a lease for what comes after the call: a settle must still find its token.
MARGIN = 1.0


@dataclass(slots=True, eq=False)
class Hold:
    """What `begin` gave for one job.

    Attributes:
        job_id: The job.
        token: The nonce it was begun with.
        epoch: The epoch in which it was.
        begun: The ledger's answer.
        begun_at: When `begin` was sent, on CLOCK_BOOTTIME (which counts while the machine is suspended).
        lease_until: When the lease is over for sure, on the same clock, measured from before it was asked for.
        expires_at: When the job's time is over, or None.
        call_timeout: Seconds that a call may take.
        known: What the process knows of the ledger's epoch.
        called_at: When its last call began, on the same clock, or None.
    """

    job_id: str
    token: str
    epoch: int
    begun: Begun
    begun_at: float
    lease_until: float
    expires_at: float | None
    call_timeout: float
    known: Known
    called_at: float | None = None

    @classmethod
    def measure(
        cls, job_id: str, token: str, begun: Begun, *, epoch: int, asked_at: float, call_timeout: float, known: Known
    ) -> Self:
        """Works out the moments from what is left of each, counted from before `begin` was sent (rules 7 and 8)."""
        expires_at = None if begun.expires_left is None else asked_at + begun.expires_left / 1000
        lease_until = asked_at + begun.lease_left / 1000
        return cls(job_id, token, epoch, begun, asked_at, lease_until, expires_at, call_timeout, known)

    def start_by(self) -> float:
        """Returns the last moment at which a call may start, as it is now (rule 8).

        What is left of the lease must cover the call's whole budget, the job must not have expired, and no newer epoch
        may be known.
        """
        if self.known.epoch != self.epoch:
            return -math.inf
        start_by = self.lease_until - self.call_timeout - MARGIN
        return start_by if self.expires_at is None else min(start_by, self.expires_at)

    def took(self) -> int:
        """Returns the milliseconds since `begin` was sent."""
        return int((boot_time() - self.begun_at) * 1000)
