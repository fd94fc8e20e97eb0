"""The HTTP server: the API's one address, the sandbox's own pages, and the life of the process."""

import asyncio
import logging
import signal
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from worker.sandbox import api
from worker.sandbox.control import Control
from worker.sandbox.gateway import Account, Gateway

_log = logging.getLogger("worker.sandbox")

_SERVICE: Final = "/service/"
_BACKLOG: Final = 1024
"""Connections that may wait to be taken: a worker opens hundreds at once."""


def application(gateway: Gateway) -> web.Application:
    """Makes the web application.

    Args:
        gateway: What it answers for.

    Returns:
        The application.
    """

    async def service(request: web.Request) -> web.StreamResponse:
        path = request.path.lower()
        if not path.startswith(_SERVICE):
            raise web.HTTPNotFound
        if request.method not in {hdrs.METH_GET, hdrs.METH_POST}:
            raise web.HTTPMethodNotAllowed(request.method, [hdrs.METH_GET, hdrs.METH_POST])
        return await api.answer(gateway, request, path.removeprefix(_SERVICE).rstrip("/"))

    made = web.Application()
    made.add_routes([*Control(gateway).routes(), web.route("*", "/{path:.*}", service)])
    return made


async def serve(account: Account, host: str, port: int) -> None:
    """Runs the sandbox until SIGTERM or SIGINT.

    Args:
        account: What it is started with.
        host: The address to listen on.
        port: The port; 0 takes a free one. The line that is printed says which.

    Raises:
        OSError: The address can't be listened on.
    """
    _log.addFilter(_without_what_was_sent)
    runner = web.AppRunner(
        application(Gateway(account)),
        access_log=None,  # its lines would hold whole queries, and the query may hold text, number and key
        logger=_log,
        # How a call hears that its caller hung up. It is heard after what had arrived was read and accepted.
        handler_cancellation=True,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    print(f"sandbox gateway on http://{_written(host)}:{runner.addresses[0][1]}", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    # No clean-up: it would wait for calls that never end, and ending the loop cancels them.


def _without_what_was_sent(record: logging.LogRecord) -> bool:
    """Drops the lines about requests that aren't HTTP: they quote the bytes that came."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
