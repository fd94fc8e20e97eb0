"""Whom the sentinels call master, as far as resting connections go.

A master that was frozen or cut off, and replaced, keeps the connections that rested meanwhile. When it comes back it
takes itself for the master for some ten seconds, until the sentinels have told it: what it accepts then is lost (F51).
"""

from typing import Any, Final

#: Seconds for which the sentinels' word is believed, and those that asking again may take: without an answer the wrong
#: master may be taken for the right one.
BELIEVED: Final = 1.0
ASKING: Final = 1.0


class Master:
    """The last word of the sentinels, and until when it is believed. Nobody but sentinels: any connection will do."""

    def __init__(self) -> None:
        self._server: tuple[str, int] | None = None
        self._until = 0.0

    def learn(self, server: tuple[str, int], now: float) -> None:
        """Takes in what the sentinels say.

        Args:
            server: The master's host and port.
            now: Monotonic seconds.
        """
        self._server, self._until = server, now + BELIEVED

    def must_ask(self, now: float) -> bool:
        """Returns whether it is time to ask again. One asks for all; without an answer the master is who it was."""
        if now < self._until:
            return False
        self._until = now + BELIEVED
        return True

    def has(self, connection: Any) -> bool:  # noqa: ANN401 - redis-py's, of either kind
        """Returns whether a connection leads to it."""
        return self._server in (None, (getattr(connection, "host", ""), getattr(connection, "port", 0)))
