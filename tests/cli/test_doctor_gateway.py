"""`smsq doctor` and the gateway: the account, the clock, the key; and answers that say nothing of any."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from tests.cli.doctor import Doctor, failing
from tests.support.sandbox import Sandbox
from tests.support.server import free_port
from tests.support.worker import KEY


@pytest.mark.parametrize(
    ("code", "told"), [(8, "set MOBIZON_API_KEY"), (9, "allow this method"), (13, "MOBIZON_API_URL"), (14, "provider")]
)
def test_an_account_that_is_refused(doctor: Doctor, sandbox: Sandbox, code: int, told: str) -> None:
    """Exit 1: the code, its meaning and what to do."""
    sandbox.post("/sandbox/fail", next=1, method="user/getOwnBalance", **{"as": f"code-{code}"})
    findings = doctor(1)
    assert failing(findings) == {"gateway"}
    assert f"code {code}: " in findings["gateway"][1]
    assert told in findings["gateway"][1]


def test_an_account_without_money(doctor: Doctor, sandbox: Sandbox) -> None:
    """A warning with the balance: the gateway refuses what it costs more than there is."""
    sandbox.post("/sandbox/flags", balance="-0.5000")
    verdict, text = doctor(0)["gateway"]
    assert verdict == "warn"
    assert "-0.5000 KZT" in text


@pytest.mark.parametrize("missing", ["", " "])
def test_no_key(doctor: Doctor, missing: str) -> None:
    """A failed check that says where doctor is to be run; the gateway isn't called."""
    findings = doctor(1, MOBIZON_API_KEY=missing, MOBIZON_API_URL="http://127.0.0.1:1")
    assert failing(findings) == {"gateway"}
    assert "MOBIZON_API_KEY isn't set here" in findings["gateway"][1]


def test_the_gateway_is_away(doctor: Doctor) -> None:
    """Exit 3, with all that Redis says."""
    findings = doctor(3, MOBIZON_API_URL=f"http://127.0.0.1:{free_port()}")
    assert failing(findings) == {"gateway"}
    assert "no connection to the gateway" in findings["gateway"][1]
    assert "due" in findings


Reply = Callable[[BaseHTTPRequestHandler], None]
ANSWER = b'{"code":0,"data":{"balance":"12.5000","currency":"KZT"},"message":""}'


def answer(body: bytes = ANSWER, status: int = 200, **headers: str) -> Reply:
    """A whole answer; headers take the place of the server's own."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in {"Date": formatdate(usegmt=True), "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte each half second, so that no single read is long; after eight seconds the rest, which would do."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    nothing = threading.Event()
    for _ in range(16):
        nothing.wait(0.5)
        handler.wfile.write(b"x")
    handler.wfile.write(b"\r\n\r\n" + ANSWER)


@contextmanager
def gateway(reply: Reply) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An HTTP server that answers each request so; gives its URL, and the paths and bodies that it got."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            try:
                reply(self)
            except OSError:
                return  # the caller has hung up

        do_GET = do_POST  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("ahead", "verdict", "told"),
    [(0, "ok", "agrees"), (20, "warn", "s behind the gateway's"), (-20, "warn", "s ahead of"), (900, "fail", "NTP")],
)
def test_clocks_that_differ(doctor: Doctor, ahead: int, verdict: str, told: str) -> None:
    """The gateway's `Date` against this machine's clock: seconds are a warning, more than a minute is a failure."""
    with gateway(answer(Date=formatdate(time.time() + ahead, usegmt=True))) as (url, _):
        findings = doctor(int(verdict == "fail"), MOBIZON_API_URL=url)
    assert findings["clock"][0] == verdict
    assert told in findings["clock"][1]


def test_the_key_is_in_the_body_alone(doctor: Doctor) -> None:
    """Not in the address, which servers log; proxies of the environment are passed over."""
    with gateway(answer()) as (url, got):
        doctor(0, MOBIZON_API_URL=url, http_proxy="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1")
    ((path, body),) = got
    assert KEY not in path
    assert parse_qs(body.decode()) == {"apiKey": [KEY]}


@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed(doctor: Doctor, status: int) -> None:
    """The key would go along, or the answer would be another question's."""
    with gateway(answer()) as (other, theirs), gateway(answer(b"", status, Location=other)) as (url, got):
        findings = doctor(1, MOBIZON_API_URL=url)
    assert (len(got), theirs) == (1, [])
    assert findings["gateway"][0] == "fail"


@pytest.mark.parametrize(
    ("reply", "code", "told"),
    [
        (answer(b"<html>Welcome</html>"), 1, "the answer isn't the API's"),
        (answer(b"<html>Busy</html>", 503), 1, "leaves it open"),
        (answer(b"<html>Nothing here</html>", 404), 1, "set MOBIZON_API_URL"),
        (answer(b'{"code":0,"data":[]}'), 1, "the balance can't be read"),
        (answer(b'{"code":30,"data":""}'), 0, "too many calls"),
        (answer(b"x" * 100_000), 3, "too large"),
        (drip, 3, "no complete answer in time"),
        (lambda handler: handler.wfile.write(b"220 mail.example ESMTP\r\n") and None, 3, "wasn't valid HTTP"),
        (lambda handler: handler.connection.close(), 3, "gateway"),
    ],
    ids=["page", "busy", "not found", "no balance", "too many", "huge", "drips", "not HTTP", "closed"],
)
def test_answers_that_say_nothing_of_the_account(doctor: Doctor, reply: Reply, code: int, told: str) -> None:
    """Each is named; one that can't be read to its end, within a size and a time, is no answer."""
    with gateway(reply) as (url, _):
        findings = doctor(code, MOBIZON_API_URL=url)
    assert findings["gateway"][0] == ("warn" if code == 0 else "fail")
    assert told in findings["gateway"][1]


def test_what_the_gateway_repeats_of_the_key_is_masked(doctor: Doctor) -> None:
    """Its sentences are shown, without the key and without long numbers."""
    said = json.dumps({"code": 8, "data": f"Key {KEY} of 77010000001 is unknown", "message": ""}).encode()
    with gateway(answer(said)) as (url, _):
        findings = doctor(1, MOBIZON_API_URL=url)
    assert "Key [secret] of [number] is unknown" in findings["gateway"][1]
