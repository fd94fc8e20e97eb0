"""The sandbox's clock: real time, and what it was moved ahead by."""

import time


class Clock:
    """Says what time it is in the sandbox.

    It never goes back, whatever is done to the machine's clock, so what was accepted later also has the later time.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Returns seconds since 1970."""
        return time.monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        """Moves the clock ahead."""
        self._offset += seconds
