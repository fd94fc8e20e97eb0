"""How the worker's consumer comes back to a Redis that was away."""

from typing import Any

from kombu import Connection

#: Seconds between tries to connect, at most.
_LONGEST_WAIT = 4.0


class PatientConnection(Connection):
    """What the worker's consumer connects with: it comes back soon after Redis does.

    Celery waits 2, 4, 6 … 30 seconds between its tries and offers no setting for it: after a minute away, a worker
    would leave a Redis that is back alone for up to half a minute more (F26). A signal ends each wait within a second.

    With sentinels it stays as it was made: each of them leads to the same master, and the channel asks them all.
    kombu's switch to the next address would go by its `sentinel://` and put kombu's own transport in the place of ours,
    to which the next bell is a message that can't be read; that ends the worker (F51).
    """

    def ensure_connection(self, *args: Any, interval_max: float = _LONGEST_WAIT, **kwargs: Any) -> Any:  # noqa: ANN401
        """Connects, and tries again as long as it takes."""
        return super().ensure_connection(*args, interval_max=interval_max, **kwargs)

    def ensure(self, *args: Any, max_retries: int | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Tries once what Celery would have tried without end: to publish a heartbeat.

        It does so in the worker's main thread, which then neither noticed that its other connections were dead, nor
        obeyed a signal, for as long as Redis stood still. Events that couldn't be published are sent later.
        """
        return super().ensure(*args, max_retries=max_retries or 0, **kwargs)

    def maybe_switch_next(self) -> None:
        """Switches to no other address."""

    def completes_cycle(self, retries: int) -> bool:  # noqa: ARG002 - kombu's signature
        """Has each failed try be followed by a wait."""
        return True
