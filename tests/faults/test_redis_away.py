"""Redis goes away under a busy worker and comes back: it consumes again by itself (F26, F28, F41, F43, F90)."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from smsq import QueueUnavailable, Sms
from tests.faults.conftest import MakeSite
from tests.faults.site import POOLS, Site
from tests.support.sandbox import ordinary
from tests.support.waiting import wait_until
from tests.support.wire import Wire

Fault = Callable[[Site, Wire], None]

pools = pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)


@pytest.fixture
def wired(site: MakeSite) -> Iterator[tuple[Site, Wire]]:
    """A site whose workers reach Redis through a wire that can misbehave."""
    with ExitStack() as stack:
        wires: list[Wire] = []

        def through(port: int) -> str:
            wires.append(stack.enter_context(Wire(port)))
            return wires[0].redis_url

        yield site(through=through), wires[0]
