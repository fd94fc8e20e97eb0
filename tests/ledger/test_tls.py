"""F48: TLS verifies unless it is told not to, in threads and in loops (`tests/faults` has the worker and Flower)."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from smsq import QueueUnavailable, Sms, SmsQueue
from smsq.job import Job
from smsq.states import State
from tests.support.server import Server
from tests.support.wire import Wire

SMS = Sms(recipient="+77010000001", text="Код: 4711")
Enqueues = Callable[[SmsQueue], Job]


def in_a_thread(queue: SmsQueue) -> Job:
    """Enqueues a message."""
    return queue.enqueue(SMS)


def in_a_loop(queue: SmsQueue) -> Job:
    """The same from an event loop."""
    return asyncio.run(queue.aenqueue(SMS))


enqueues = pytest.mark.parametrize("enqueue", [in_a_thread, in_a_loop])


class Tls(NamedTuple):
    """A TLS end in front of a server.

    Attributes:
        port: Where it is.
        right: The certificate of the authority that vouches for it.
        wrong: That of another.
    """

    port: int
    right: Path
    wrong: Path


@pytest.fixture(params=["localhost"])
def tls(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[Tls]:
    """A TLS end that shows a certificate for the parameter's name."""
    authority, other = trustme.CA(), trustme.CA()
    right, wrong = tmp_path / "right.pem", tmp_path / "wrong.pem"
    authority.cert_pem.write_to_path(str(right))
    other.cert_pem.write_to_path(str(wrong))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(request.param).configure_cert(context)
    with Wire(server.port, tls=context) as wire:
        yield Tls(wire.port, right, wrong)


@enqueues
def test_the_right_authority(tls: Tls, enqueue: Enqueues) -> None:
    """With the authority's certificate in the URL the job is accepted."""
    queue = SmsQueue(f"rediss://localhost:{tls.port}/0?ssl_ca_certs={tls.right}")
    assert enqueue(queue).state is State.QUEUED
    queue.close()


@enqueues
@pytest.mark.parametrize("which", ["another", "the machine's"])
def test_another_authority(tls: Tls, enqueue: Enqueues, which: str) -> None:
    """Verified by default, and the reason names the certificate."""
    option = f"?ssl_ca_certs={tls.wrong}" if which == "another" else ""
    queue = SmsQueue(f"rediss://localhost:{tls.port}/0{option}")
    for _ in range(2):
        with pytest.raises(QueueUnavailable, match="the server's certificate can't be verified"):
            enqueue(queue)
    queue.close()


@enqueues
@pytest.mark.parametrize("tls", ["elsewhere.example"], indirect=True)
def test_a_certificate_for_another_name(tls: Tls, enqueue: Enqueues) -> None:
    """The right authority vouches, but for another server."""
    queue = SmsQueue(f"rediss://localhost:{tls.port}/0?ssl_ca_certs={tls.right}")
    with pytest.raises(QueueUnavailable, match="the server's certificate is for another name"):
        enqueue(queue)
    queue.close()


@enqueues
@pytest.mark.parametrize("tls", ["elsewhere.example"], indirect=True)
@pytest.mark.filterwarnings("ignore:SMSQ_REDIS_URL")  # it warns again where it is read again
@pytest.mark.parametrize("value", ["none", "CERT_NONE"])
def test_verification_switched_off(tls: Tls, enqueue: Enqueues, value: str) -> None:
    """Off for the authority and for the name, with a warning."""
    with pytest.warns(UserWarning, match="the server's certificate isn't verified"):
        queue = SmsQueue(f"rediss://localhost:{tls.port}/0?ssl_cert_reqs={value}")
    assert enqueue(queue).state is State.QUEUED
    queue.close()


@enqueues
def test_an_authority_that_cannot_be_read(tls: Tls, enqueue: Enqueues, tmp_path: Path) -> None:
    """A file that isn't there is named as the reason."""
    queue = SmsQueue(f"rediss://localhost:{tls.port}/0?ssl_ca_certs={tmp_path}/missing.pem")
    with pytest.raises(QueueUnavailable, match="no such file or directory"):
        enqueue(queue)
    queue.close()


@enqueues
def test_a_plain_address_of_a_tls_server(tls: Tls, enqueue: Enqueues) -> None:
    """Spoken to without TLS, it hangs up or answers with something else."""
    queue = SmsQueue(f"redis://localhost:{tls.port}/0")
    with pytest.raises(QueueUnavailable, match=r"the connection was closed|it doesn't answer as Redis does"):
        enqueue(queue)
    queue.close()
