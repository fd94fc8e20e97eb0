"""The command: what it prints, how it stops, what it keeps out of its output, and its options."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from tests.sandbox.calls import KEY, RECIPIENT, TIMEOUT, http, line, post, send
from tests.support.sandbox import ROOT, Sandbox
from tests.support.waiting import wait_until

COMMAND = (sys.executable, "-m", "worker.sandbox")


@pytest.fixture
def started() -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes of a test's own."""
    made: list[Sandbox] = []

    def start(*arguments: str) -> Sandbox:
        made.append(Sandbox(*arguments))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_at_once(number: signal.Signals) -> None:
    """Port 0 takes a free one, the one line names it; a signal ends it with 0 while calls hang, drip and stream."""
    process = subprocess.Popen([*COMMAND, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    connections = []
    try:
        assert process.stdout is not None
        told = re.fullmatch(rb"sandbox gateway on http://127\.0\.0\.1:([0-9]+)\n", process.stdout.readline())
        assert told
        for digits in ("4001", "4003", "4010", "4011", "4012"):
            connections.append(socket.create_connection(("127.0.0.1", int(told[1])), timeout=TIMEOUT))
            body = urlencode({"apiKey": KEY, "recipient": f"7700000{digits}", "text": "secret words"}).encode()
            head = "POST /service/message/sendsmsmessage HTTP/1.1\r\nHost: x\r\nContent-Type: "
            head += f"application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
            connections[-1].sendall(head.encode() + body)
        calls = f"http://127.0.0.1:{int(told[1])}/sandbox/health"
        wait_until(lambda: b'"calls": 5' in http(calls).body)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, b"", b"")
    finally:
        process.kill()
        process.wait()
        for each in connections:
            each.close()


def test_nothing_of_a_message_is_logged() -> None:
    """Neither key, number nor text, whether calls are good, refused, broken off or not HTTP at all."""
    process = subprocess.Popen([*COMMAND, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        url = f"http://127.0.0.1:{port}/service/message/sendsmsmessage?apiKey={KEY}&recipient={RECIPIENT}"
        assert http(f"{url}&text=secret").envelope["code"] == 0
        assert http(f"{url}&text=secret&mclass=x").envelope["code"] == 11
        for raw in (
            b"GET /service/message/sendsmsmessage?apiKey=thekey&recipient=77010000001&text=two words HTTP/1.1\r\n",
            b"apiKey=thekey&recipient=77010000001&text=secret HTTP\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
                connection.sendall(raw + b"Host: x\r\n\r\n")
                assert b" 400 " in connection.recv(65_536)
        process.terminate()
        assert process.communicate(timeout=10) == (b"", b"")
    finally:
        process.kill()
        process.wait()


def test_the_table_is_printed(sandbox: Sandbox) -> None:
    """Every recipient with its acceptance, name and sentence, and the command ends."""
    printed = run("--recipients")
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    rows = sandbox.get("/sandbox/recipients")
    assert len(lines) == len(rows) + 2
    for row, told in zip(rows, lines[1:-1], strict=True):
        assert re.split(r"  +", told) == [row[name] for name in ("recipient", "accepted", "name", "sentence")]


def test_with_a_key_no_other_is_accepted(started: Callable[..., Sandbox]) -> None:
    """The wrong key is code 8 with an empty list, and nothing is accepted."""
    sandbox = started("--api-key", "theonlykey")
    url = f"{sandbox.url}/service/message/sendsmsmessage"
    for key, code in (("theonlykey", 0), ("THEONLYKEY", 8), ("theonlykey2", 8), ("", 8)):
        body = urlencode({"apiKey": key, "recipient": RECIPIENT, "text": "Hello"}).encode()
        assert http(url, body).envelope["code"] == code
    assert len(sandbox.messages()) == 1


def test_signatures_can_be_registered(started: Callable[..., Sandbox]) -> None:
    """The first one is the default, all of them are kept, and Brand isn't among them any more."""
    sandbox = started("--sender", "Shop", "--sender", "Bank")
    for wanted in ("", "Shop", "Bank", "Brand"):
        send(sandbox, sender=wanted)
    assert [message["from"] for message in sandbox.messages()] == ["Shop", "Shop", "Bank", "SharedName"]


def test_the_zone_can_be_chosen(started: Callable[..., Sandbox]) -> None:
    """Times are that zone's, and a time that a clock change skips there is none; one that it repeats is."""
    sandbox = started("--timezone", "Europe/Berlin")
    berlin = ZoneInfo("Europe/Berlin")
    moment = datetime.now(berlin)
    told = sandbox.post("/sandbox/clock", advance=0.0)["now"]
    assert abs(datetime.strptime(told, "%Y-%m-%d %H:%M:%S").replace(tzinfo=berlin) - moment) < timedelta(minutes=5)
    for skipped, code in (("2026-03-29 02:30:00", 12), ("2026-10-25 02:30:00", 0)):
        assert post(sandbox, "message/list", {"criteria[campaignCreateTsFrom]": skipped})["code"] == code


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--timezone", "Asia/Nowhere"], "--timezone"),
        (["--port", "65536"], "--port"),
        (["--port", "x"], "--port"),
        (["--speed", "1"], "--speed"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], named: str) -> None:
    """Exit code 2 and a sentence without a traceback."""
    ended = run(*arguments)
    assert (ended.returncode, named in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


def test_an_address_in_use_is_said_so(sandbox: Sandbox) -> None:
    """Exit code 3 and one line."""
    ended = run("--port", str(sandbox.port))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"cannot listen on 127.0.0.1, port {sandbox.port}: ")
    assert len(ended.stderr.splitlines()) == 1


def test_ids_go_on_over_a_restart(started: Callable[..., Sandbox]) -> None:
    """A sandbox that is started anew gives no id a second time, so a ledger that outlives it isn't confused."""
    sandbox = started()
    before = [int(send(sandbox)["data"]["messageId"]) for _ in range(20)]
    sandbox.stop()
    sandbox.start()
    assert int(send(sandbox)["data"]["messageId"]) > max(before)


def test_a_caller_that_hangs_up_is_no_error() -> None:
    """Callers that leave in the middle of every kind of answer leave no word in the output."""
    process = subprocess.Popen([*COMMAND, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        digits = ("4001", "4002", "4003", "4010", "4011", "4012", "4013", "4014", "7605")
        for each in digits:
            with line(port, f"7700000{each}"):
                pass
        health = f"http://127.0.0.1:{port}/sandbox/health"
        wait_until(lambda: f'"messages": {len(digits) - 2}, "calls": 9, "pending": 1'.encode() in http(health).body)
        process.terminate()
        assert (process.communicate(timeout=20), process.returncode) == ((b"", b""), 0)
    finally:
        process.kill()
        process.wait()


def test_what_has_arrived_counts_even_if_its_caller_is_gone(sandbox: Sandbox) -> None:
    """A caller that dies right after writing has sent an SMS, even if the gateway reads it only later."""
    sandbox.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(50):
            with line(sandbox.port, RECIPIENT):
                pass
    finally:
        sandbox.process.send_signal(signal.SIGCONT)
    wait_until(lambda: sandbox.get("/sandbox/health")["messages"] == 50, what="50 messages")
