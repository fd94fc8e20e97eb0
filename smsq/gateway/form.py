"""The body of a request, and the one place where the first byte of a request is written.

Past its moment the form refuses to be written, and it never lets itself be written twice, whatever the HTTP library
does around it. What it notes then is what everything after the call is decided on.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

import aiohttp
from aiohttp.abc import AbstractStreamWriter

if TYPE_CHECKING:
    import asyncio

Permit = Callable[[], Awaitable[None]]

_CONTENT_TYPE: Final = "application/x-www-form-urlencoded"

# What each byte of UTF-8 becomes in a form, by the API's rule: all but letters, digits, "-", "_" and "." is escaped.
# Looked up, a message takes half the time that urllib's urlencode needs, which also leaves "~" as it is.
_ENCODED: Final = tuple(quote_plus(bytes([byte]), safe="").replace("~", "%7E") for byte in range(256))


def urlencode(parameters: Mapping[str, str]) -> str:
    """Encodes names and values as a form.

    Args:
        parameters: Any strings that UTF-8 can express.

    Returns:
        ASCII: ``recipient=77010000001&text=%D0%9A...``.

    Raises:
        UnicodeEncodeError: A lone surrogate, which the rules refuse before a message gets here.
    """
    return "&".join([f"{_quote(name)}={_quote(value)}" for name, value in parameters.items()])


def _quote(words: str) -> str:
    """Encodes a name or a value."""
    return "".join([_ENCODED[byte] for byte in words.encode()])


class UnwrittenError(Exception):
    """Keeps a request from being written."""


class Form(aiohttp.BytesPayload):
    """The body of one request, which can be written once, and not after its moment.

    Args:
        body: The encoded form.
        start_by: Says the last moment for the first byte, on ``CLOCK_BOOTTIME`` in seconds, as it is when it is asked.
        permit: Awaited once, right before the last look at `start_by`: the place for a common pace. What it raises
            keeps the request from being written.

    Attributes:
        begun: Whether writing has begun. The request's head is written together with the body, not before.
        late: Whether the moment had passed when it should have been written.
    """

    def __init__(self, body: bytes, start_by: Callable[[], float], permit: Permit | None = None) -> None:
        super().__init__(body, content_type=_CONTENT_TYPE)
        self.begun = False
        self.late = False
        self._start_by = start_by
        self._permit = permit
        self._over = False
        self._transport: asyncio.WriteTransport | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Writes the form, under the same conditions."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Writes the form, if that is still allowed: this is the last moment before the first byte.

        Args:
            writer: Holds the request's head back until there is a body to send with it.
            content_length: The bytes that the head promises.

        Raises:
            UnwrittenError: It is too late, or not for the first time, or the connection is gone: nothing was written.
        """
        if self._permit is not None:
            await self._permit()
        transport = self._transport = writer.transport
        if self.begun or self._over or transport is None or transport.is_closing():
            raise UnwrittenError
        if time.clock_gettime(time.CLOCK_BOOTTIME) > self._start_by():
            self.late = True
            raise UnwrittenError
        self.begun = True
        await super().write_with_length(writer, content_length)

    async def close(self) -> None:
        """Called by aiohttp when it is done with the request, well or badly: nothing is written from here on."""
        self._over = True

    def cut(self) -> None:
        """Resets the call's connection, so that nothing is delivered on it after the call's end.

        aiohttp has closed it by now, but a closed TLS connection lives on for seconds to say goodbye.
        """
        if self._transport is not None:
            self._transport.abort()
