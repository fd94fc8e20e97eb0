"""Sites: a Redis that the test may harm, the shared sandbox, and workers between them."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.site import Site, SteadyServer
from tests.support.sandbox import Sandbox


class MakeSite(Protocol):
    """Makes a site."""

    def __call__(self, *arguments: str, through: Callable[[int], str] | None = None) -> Site:
        """Takes options of the Redis server; `through` gives the URL of what workers pass on their way to its port."""


@pytest.fixture
def site(sandbox: Sandbox, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes sites; all that they started is killed after the test."""
    made: list[Site] = []
    number = itertools.count()

    def make(*arguments: str, through: Callable[[int], str] | None = None) -> Site:
        folder = tmp_path / f"site{next(number)}"
        folder.mkdir()
        server = SteadyServer(folder / "redis", *arguments)
        made.append(Site(server, sandbox, folder, url=through(server.port) if through else None))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.server.stop()
