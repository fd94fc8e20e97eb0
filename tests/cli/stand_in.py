"""A worker's part, for what must not depend on a gateway: the ledger's own calls, one job at a time."""

import secrets

from smsq import Settings, State
from smsq.connection import SyncRunner
from smsq.job import JobError
from smsq.lanes import LANES
from smsq.ledger import Begun, Settlement, begin, settle, take

_SECONDS = 10.0
_LEASE = 60_000
_RETENTION = 3_600_000
_WORKER = "stand-in@test"


class StandIn:
    """Takes a job off its lane, begins it and settles it.

    Args:
        url: Where Redis is.
    """

    def __init__(self, url: str) -> None:
        self._runner = SyncRunner(Settings.load(redis_url=url).address)

    def begin(self) -> tuple[str, Begun]:
        """Begins the next job of the lanes; returns its id and what a worker is told about it."""
        taken = take(1, LANES, reservation=_LEASE, retention=_RETENTION, lease=_LEASE, worker=_WORKER, interval=0)
        [(job_id, _, _)] = self._runner.run(taken, _SECONDS).jobs
        self._epoch = self._runner.known.epoch
        self._nonce = secrets.token_hex(8)
        begun_call = begin([job_id], self._nonce, epoch=self._epoch, lease=_LEASE, retention=_RETENTION, worker=_WORKER)
        [begun] = self._runner.run(begun_call, _SECONDS)
        assert begun.word == "begun"
        return job_id, begun

    def send(self, message_id: int, campaign_id: int, status: int) -> str:
        """Has the next job sent under these ids; returns the job's id."""
        return self._end(State.SENT, ids=(message_id, campaign_id, status), recipient="77010000001")

    def refuse(self, to: State, error: JobError) -> str:
        """Ends the next job otherwise; returns its id."""
        return self._end(to, error=error)

    def _end(self, to: State, **outcome: object) -> str:
        job_id, _ = self.begin()
        settlement = Settlement(job_id, self._nonce, to, 1, self._epoch, **outcome)  # type: ignore[arg-type] # passed on as given
        call = settle([settlement], retention=_RETENTION, worker=_WORKER, circuit_after=20)
        assert self._runner.run(call, _SECONDS).words == ["settled"]
        return job_id

    def close(self) -> None:
        """Closes its connection."""
        self._runner.close()
