"""The HTTP client for the gateway: one pooled session with every limit, and no second try of its own.

The question behind each call is whether the gateway may have it. What decides is whether the first byte of the request
was written, which its `Form` knows. Past this module nobody knows aiohttp: its exceptions end here, as the reasons of
an `Outcome`.
"""

import asyncio
import errno
import math
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
from pydantic import SecretStr
from yarl import URL

from smsq.gateway.answers import NOT_CALLED, Data, Fault, Outcome, classify, classify_fault, read_data
from smsq.gateway.form import Form, Permit, urlencode
from smsq.privacy import redact

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.typedefs import LooseHeaders

SEND_SMS: Final = "service/message/sendsmsmessage"
MESSAGE_LIST: Final = "service/message/list"
CAMPAIGN_GET: Final = "service/campaign/get"
SMS_STATUS: Final = "service/message/getsmsstatus"
OWN_BALANCE: Final = "service/user/getownbalance"

MAX_ANSWER_BYTES: Final = 64 * 1024
"""An answer to sendSmsMessage has a few hundred bytes. Reading more than this would only feed whoever sends it."""
MAX_LIST_BYTES: Final = 4 * 1024 * 1024
"""A page of a list has a hundred messages. This leaves 40 KB to each: a text of 100 segments, every character of it
escaped to six bytes (JSON's ``\\uXXXX``)."""

MAX_IDLE_SECONDS: Final = 4.0
"""How long a connection may have rested and still be used.

A server that closes an idle connection while we write leaves an outcome nobody knows. The shortest limit in common use
is 5 seconds (Apache httpd, Node.js): below it we are the ones who close. A call after a pause pays a handshake."""

Answer = TypeVar("Answer")

_DNS_CACHE_SECONDS: Final = 10  # spares a burst its lookups, and still follows a gateway that moves

_HEADERS: Final["LooseHeaders"] = {
    "Accept": "application/json",
    # A compressed answer could unfold to any size; the size limit counts the bytes that came.
    "Accept-Encoding": "identity",
    "User-Agent": "smsq",
}


def outcome_of(cancelled: asyncio.CancelledError) -> Outcome | None:
    """Says what the cancellation of a call means for the message.

    The exception is an ordinary `asyncio.CancelledError`, because time limits and task groups take no subclass for one;
    the outcome travels as its argument.

    Args:
        cancelled: What `Client.send_sms` raised.

    Returns:
        `Kind.UNKNOWN` if the request had begun to be written, else `Kind.TRY_AGAIN` or `Kind.NOT_CALLED`; None if it
        isn't the cancellation of a call.
    """
    return next((argument for argument in cancelled.args if isinstance(argument, Outcome)), None)


class Client:
    """Calls the gateway; one for each event loop, for all its calls.

    It follows no redirect, repeats no request, keeps no cookie, takes no proxy from the environment and checks the
    server's certificate. The key goes in the form's body only.

    Args:
        url: The account's API server, such as ``https://api.mobizon.kz``.
        api_key: The account's key.
        connections: How many calls can be out at the same time; further ones wait for a connection.
        connect_timeout: Seconds until a connection is in hand: waiting for a free one, name, TCP and TLS together.
        total_timeout: Seconds from the start of a call to the last byte of its answer.
        ca_file: PEM file of the certificate authorities to trust in place of the system's.

    Raises:
        ValueError: The URL isn't one of a server.
        RuntimeError: No event loop is running.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | str,
        *,
        connections: int,
        connect_timeout: float = 5.0,
        total_timeout: float = 30.0,
        ca_file: Path | None = None,
    ) -> None:
        server = URL(url)
        if server.scheme not in {"http", "https"} or not server.host or server.query_string or server.fragment:
            raise ValueError("The gateway's URL must be http:// or https:// with a host, without ? and #")
        self._urls = {
            method: (server / method).with_query(output="json", api="v1")
            for method in (SEND_SMS, MESSAGE_LIST, CAMPAIGN_GET, SMS_STATUS, OWN_BALANCE)
        }
        self._key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
        self._encoded_key = SecretStr(urlencode({"apiKey": self._key.get_secret_value()}) + "&")
        context = ssl.create_default_context(cafile=ca_file)
        context.set_alpn_protocols(["http/1.1"])
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections,
                keepalive_timeout=MAX_IDLE_SECONDS,
                ttl_dns_cache=_DNS_CACHE_SECONDS,
                ssl=context,
                socket_factory=partial(_open_socket, unheard_ms=math.ceil(total_timeout * 1000)),
            ),
            # aiohttp rounds longer limits up to whole seconds unless told not to.
            timeout=aiohttp.ClientTimeout(total=total_timeout, connect=connect_timeout, ceil_threshold=math.inf),
            request_class=_Request,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def send_sms(
        self, form: Mapping[str, str], *, start_by: Callable[[], float], permit: Permit | None = None
    ) -> Outcome:
        """Calls sendSmsMessage once.

        Args:
            form: The message's parameters by their API names, without the key.
            start_by: Says the last moment at which the first byte may be written, on ``CLOCK_BOOTTIME`` in seconds. It
                is asked after a connection is in hand and right before the request is given to the event loop's
                transport. A process frozen between the two can't be held back by anyone: the transport may write up to
                one turn of the loop later.
            permit: Awaited with a connection in hand, before that last look.

        Returns:
            What is known about the message, whatever the gateway or the network did.

        Raises:
            asyncio.CancelledError: The task was cancelled; `outcome_of` says what that means for the message.
        """

        async def read(response: aiohttp.ClientResponse) -> Outcome:
            answer = await _read(response.content, MAX_ANSWER_BYTES)
            return classify(response.status, response.headers, answer, clean=partial(self._clean, form))

        return await self._exchange(SEND_SMS, Form(self._encode(form), start_by, permit), read)

    async def ask(self, method: str, form: Mapping[str, str]) -> Data | Outcome:
        """Calls a method that changes nothing, once, within the same limits of time.

        Args:
            method: `MESSAGE_LIST`, `CAMPAIGN_GET`, `SMS_STATUS` or `OWN_BALANCE`.
            form: Its parameters by their API names, without the key.

        Returns:
            The answer's data, whatever they are; or why there are none, whatever the gateway or the network did.

        Raises:
            asyncio.CancelledError: The task was cancelled.
        """

        async def read(response: aiohttp.ClientResponse) -> Data | Outcome:
            answer = await _read(response.content, MAX_LIST_BYTES)
            return read_data(response.status, response.headers, answer, clean=partial(self._clean, form))

        return await self._exchange(method, Form(self._encode(form), lambda: math.inf), read)

    async def _exchange(
        self, method: str, body: Form, read: Callable[[aiohttp.ClientResponse], Awaitable[Answer]]
    ) -> Answer | Outcome:
        """Writes a request once and has its answer read; what goes wrong becomes an outcome."""
        response: aiohttp.ClientResponse | None = None
        cancelled = False
        try:
            async with self._session.post(self._urls[method], data=body, allow_redirects=False) as response:
                return await read(response)
        except asyncio.CancelledError:
            cancelled = True
            fault, detail = Fault.CANCELLED, ""
        except Exception as error:
            if not (body.begun or isinstance(error, aiohttp.ClientError | OSError)):
                raise  # a bug before the first byte: loud, and harmless
            fault, detail = _describe(error, written=body.begun)
        if response is None or not response.content.is_eof():
            body.cut()  # else the whole answer is in, and another call may have the connection by now
        outcome = NOT_CALLED if body.late else classify_fault(fault, written=body.begun, detail=detail)
        if cancelled:
            # Raised out here, where it doesn't take aiohttp's exception and frames along as its context.
            raise asyncio.CancelledError(outcome)
        return outcome

    async def close(self) -> None:
        """Closes all connections. A call that is still out ends as unknown."""
        await self._session.close()

    def _encode(self, form: Mapping[str, str]) -> bytes:
        """Adds the key, encoded before: no frame in which a message can make us fail holds it."""
        return (self._encoded_key.get_secret_value() + urlencode(form)).encode("ascii")

    def _clean(self, form: Mapping[str, str], words: str) -> str:
        """Takes out of the gateway's words what they repeat of the call."""
        return redact(
            words,
            recipient=form.get("recipient", "") or form.get("criteria[to]", ""),
            text=form.get("text", ""),
            secrets=(self._key.get_secret_value(),),
        )


class _StaleError(aiohttp.ClientConnectionError):
    """The pooled connection isn't at rest."""


class _OversizedError(Exception):
    """The answer has more bytes than any answer of the API."""


class _Request(aiohttp.ClientRequest):
    """A request that doesn't go out on a connection on which something has come already."""

    async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
        """Sends the request, unless the connection has bytes that would be taken for its answer.

        aiohttp looks at this when a connection is put back into the pool, not when it is taken out.
        """
        if conn.protocol is None or conn.protocol.should_close:
            raise _StaleError
        return await super().send(conn)


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Reads a body up to a size (bytes)."""
    answer = bytearray()
    while chunk := await content.readany():
        answer += chunk
        if len(answer) > limit:
            raise _OversizedError
    return bytes(answer)


# Most specific first.
_FAULTS: Final[tuple[tuple[type[Exception], Fault], ...]] = (
    (aiohttp.ClientConnectorDNSError, Fault.NO_NAME),
    (aiohttp.ClientConnectorCertificateError, Fault.CERTIFICATE),
    (aiohttp.ClientConnectorSSLError, Fault.TLS),
    (aiohttp.ClientConnectorError, Fault.NO_CONNECTION),
    (_StaleError, Fault.STALE_CONNECTION),
    (_OversizedError, Fault.OVERSIZED),
    (aiohttp.ServerDisconnectedError, Fault.CLOSED),
    (aiohttp.ClientPayloadError, Fault.CUT),
    (aiohttp.ClientResponseError, Fault.NOT_HTTP),
    (aiohttp.ClientError, Fault.BROKEN),
    (OSError, Fault.BROKEN),
)


def _describe(error: Exception, *, written: bool) -> tuple[Fault, str]:
    """Names a fault, and its technical detail in words that hold no address and no value."""
    if isinstance(error, TimeoutError):
        return (Fault.NO_ANSWER_IN_TIME if written else Fault.NO_CONNECTION_IN_TIME), ""
    fault = next((fault for kind, fault in _FAULTS if isinstance(error, kind)), Fault.BUG)
    if fault is Fault.BUG:
        return fault, type(error).__name__
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return fault, cause.verify_message
    if isinstance(cause, ssl.SSLError):
        return fault, cause.reason or ""
    if isinstance(cause, socket.gaierror):
        return fault, cause.strerror or ""
    return fault, errno.errorcode.get(cause.errno or 0, "") if isinstance(cause, OSError) else ""


def _open_socket(address: aiohttp.AddrInfoType, *, unheard_ms: int) -> socket.socket:
    """Opens a socket whose data doesn't outlive the call.

    Closing it resets the connection and drops what wasn't delivered, also when the process is killed; and the kernel
    gives up on data that the gateway doesn't acknowledge for the time of a call.
    """
    family, kind, protocol, *_ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unheard_ms)
    return opened
