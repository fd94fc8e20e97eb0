"""The times by which a soak runs: the product's own settings made short, and a sandbox that keeps within them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Tempo:
    """Seconds, each below the one that it must stay below in production too.

    Attributes:
        call_timeout: A whole call.
        retry_window: Tries in place.
        lease: A begun job's.
        reservation: A taken job's.
        gateway_bound: After a call, the gateway accepts nothing later.
        list_delay: The gateway's lists show a message within this.
        late: After its caller hung up, a late acceptance comes; below the bound.
        circuit_after: Failures in a row that close the circuit (a count).
        patience: At the end, for the ledger to come to rest: a question whose asker was lost is put again after two
            minutes, and pauses between questions grow.
    """

    call_timeout: float
    retry_window: float
    lease: float
    reservation: float
    gateway_bound: float
    list_delay: float
    late: float
    circuit_after: int
    patience: float

    @property
    def settling(self) -> float:
        """After a call before "not found" is believed."""
        return self.gateway_bound + self.list_delay

    @property
    def usual_delay(self) -> float:
        """After which the gateway's lists show a message, while nothing is wrong with them."""
        return self.list_delay * 0.7

    @property
    def freeze(self) -> float:
        """For which anything but a worker may be frozen: what was written to it acts within the bound."""
        return self.gateway_bound * 0.7

    def settings(self) -> dict[str, str]:
        """Returns the workers' environment."""
        return {
            "SMSQ_CALL_TIMEOUT": str(self.call_timeout),
            "SMSQ_CONNECT_TIMEOUT": str(self.call_timeout),
            "SMSQ_RETRY_WINDOW": str(self.retry_window),
            "SMSQ_LEASE": str(self.lease),
            "SMSQ_RESERVATION": str(self.reservation),
            "SMSQ_GATEWAY_BOUND": str(self.gateway_bound),
            "SMSQ_LIST_DELAY": str(self.list_delay),
            "SMSQ_SETTLING_TIME": str(self.settling),
            "SMSQ_DISPATCH_INTERVAL": "0.25",
            "SMSQ_CIRCUIT_AFTER": str(self.circuit_after),
            "SMSQ_SHUTDOWN_GRACE": "10",
            "SMSQ_DELIVERY": "on",
            # A soak kills far more workers than a job meets in production: none shall be put aside for that.
            "SMSQ_MAX_LOSSES": "100",
        }


LONG: Final = Tempo(
    call_timeout=3.0,
    retry_window=1.0,
    lease=6.0,
    reservation=4.0,
    gateway_bound=5.0,
    list_delay=1.0,
    late=2.5,
    circuit_after=20,
    patience=900.0,
)
SHORT: Final = Tempo(
    call_timeout=1.5,
    retry_window=0.3,
    lease=3.8,
    reservation=2.0,
    gateway_bound=3.0,
    list_delay=0.6,
    late=1.5,
    circuit_after=1000,
    patience=200.0,
)
