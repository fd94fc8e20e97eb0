"""Makes a wait for a lane's bell a long one, in a worker that imports it: what only its end would find isn't found."""

from typing import Any

from worker.transport import Channel

_start = Channel._brpop_start


def _start_patiently(self: Channel, timeout: float | None = None) -> Any:  # noqa: ANN401 - kombu's
    if self._deliver_to:
        self.brpop_timeout = 600
    return _start(self, timeout)


Channel._brpop_start = _start_patiently  # type: ignore[method-assign]
