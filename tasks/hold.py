"""A job that this worker has begun, and until when it may call for it."""

from dataclasses import dataclass
from typing import Self

from smsq.ledger import Begun

#: Seconds kept of a lease for what comes after the call: a settle must still find its token.
MARGIN = 1.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What `begin` gave for one job.

    Attributes:
        job_id: The job.
        token: The nonce it was begun with.
        begun: The ledger's answer.
        start_by: The last moment at which a call may start, on CLOCK_BOOTTIME (which counts while the machine is
            suspended): the lease, or the job's expiry, measured from before `begin` was sent (rule 8).
    """

    job_id: str
    token: str
    begun: Begun
    start_by: float

    @classmethod
    def measure(cls, job_id: str, token: str, begun: Begun, *, asked_at: float, call_timeout: float) -> Self:
        """Works out `start_by`: what is left of the lease must cover the call's whole budget.

        Args:
            job_id: The job.
            token: The nonce.
            begun: The ledger's answer.
            asked_at: CLOCK_BOOTTIME from before `begin` was sent, seconds.
            call_timeout: Seconds that a call may take.
        """
        left = begun.lease_left / 1000 - call_timeout - MARGIN
        if begun.expires_left is not None:
            left = min(left, begun.expires_left / 1000)
        return cls(job_id, token, begun, asked_at + left)
