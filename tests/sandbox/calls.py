"""Calls to a sandbox: well-formed ones, and ones on a bare socket that show every byte of the answer."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.support.sandbox import Sandbox

KEY = "thekey"
RECIPIENT = "77010000001"
SEND = "message/sendSmsMessage"
TIMEOUT = 20.0


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The body as the API's envelope."""
        found = json.loads(self.body)
        assert list(found) == ["code", "data", "message"]
        return dict(found)


def http(
    url: str, body: bytes | None = None, *, content_type: str = "application/x-www-form-urlencoded", verb: str = ""
) -> Answer:
    """Makes a call as urllib makes it: POST if there is a body, unless a verb is given."""
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method=verb or None)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - our own server
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def post(sandbox: Sandbox, method: str, parameters: Mapping[str, str], *, key: str = KEY) -> dict[str, Any]:
    """Calls a method of the API, the key in the form, and returns the envelope."""
    form = urlencode({"apiKey": key, **parameters}).encode()
    answer = http(f"{sandbox.url}/service/{method}?output=json&api=v1", form)
    assert answer.status == 200
    return answer.envelope


def send(sandbox: Sandbox, recipient: str = RECIPIENT, text: str = "Код: 4711", **parameters: str) -> dict[str, Any]:
    """Sends a message and returns the envelope; `sender` is the API's `from`, the others go into `params[…]`."""
    named = {"from" if name == "sender" else f"params[{name}]": value for name, value in parameters.items()}
    return post(sandbox, SEND, {"recipient": recipient, "text": text, **named})


def items(sandbox: Sandbox, method: str = "message/list", **criteria: str) -> list[dict[str, Any]]:
    """Asks a list and returns the items of its first page."""
    answer = post(sandbox, method, {f"criteria[{name}]": value for name, value in criteria.items()})
    assert answer["code"] == 0
    assert list(answer["data"]) == ["items", "totalItemCount"]
    return list(answer["data"]["items"])


def accepted(sandbox: Sandbox, recipient: str) -> list[dict[str, Any]]:
    """Returns the messages to a number that the sandbox accepted."""
    return list(sandbox.get(f"/sandbox/messages?recipient={recipient}")["messages"])


class Line:
    """A call on a bare socket.

    Args:
        connection: The socket; the call is written to it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.received = b""

    def more(self) -> bool:
        """Reads what comes next; False once the server has closed the connection."""
        piece = self._connection.recv(1_000_000)
        self.received += piece
        return bool(piece)

    def until_closed(self) -> bytes:
        """Reads to the end; raises ConnectionResetError if that is a reset."""
        while self.more():
            pass
        return self.received

    def is_silent(self) -> bool:
        """Whether nothing has come, neither a byte nor an end."""
        self._connection.setblocking(False)
        try:
            self.more()
        except BlockingIOError:
            return not self.received
        else:
            return False
        finally:
            self._connection.settimeout(TIMEOUT)


@contextmanager
def line(port: int, recipient: str) -> Iterator[Line]:
    """Calls sendSmsMessage for a number on a bare socket, and hangs up in the end."""
    body = urlencode({"apiKey": KEY, "recipient": recipient, "text": "Hello"}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(
            b"POST /service/message/sendsmsmessage HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        yield Line(connection)
