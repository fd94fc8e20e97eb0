"""The way to the gateway, which can be closed: its process lives, and nobody reaches it."""

import asyncio

from tests.soak.store import lasting_port
from tests.support.wire import Wire


class Gate(Wire):
    """A proxy that can also refuse connections, on the port that it had before."""

    @property
    def url(self) -> str:
        """What `MOBIZON_API_URL` takes."""
        return f"http://127.0.0.1:{self.port}"

    def refuse(self) -> None:
        """Hangs up on everyone and listens no more."""
        self._run(self._refuse())

    def admit(self) -> None:
        """Listens again."""
        self._run(self._listen())

    async def _refuse(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _listen(self) -> None:
        self.port = self.port or lasting_port()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
