"""Real event loops and real certificates for the gateway's tests."""

import asyncio
import inspect
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
import trustme
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Makes each kind of event loop that a worker can have."""
    factory: LoopFactory = request.param
    return factory


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Has every coroutine test of this folder run once on each kind of loop."""
    if inspect.iscoroutinefunction(obj) and collector.funcnamefilter(name):
        pytest.mark.usefixtures("loop_factory")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test on its loop; any other test is left to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    with asyncio.Runner(loop_factory=cast("LoopFactory", pyfuncitem.funcargs["loop_factory"])) as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own.

    Attributes:
        ca_file: Its certificate, for a client that should trust it.
        server: What a server named localhost shows.
        misnamed: What a server shows that has another name.
        expired: What a server named localhost shows too late.
    """

    ca_file: Path
    server: ssl.SSLContext
    misnamed: ssl.SSLContext
    expired: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Makes an authority and the certificates it issued."""
    ca = trustme.CA()
    ca_file = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))

    def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(made)
        return made

    return Authority(
        ca_file=ca_file,
        server=context(ca.issue_cert("localhost")),
        misnamed=context(ca.issue_cert("elsewhere.example")),
        expired=context(
            ca.issue_cert(
                "localhost", not_before=datetime(2001, 1, 1, tzinfo=UTC), not_after=datetime(2001, 2, 1, tzinfo=UTC)
            )
        ),
    )
