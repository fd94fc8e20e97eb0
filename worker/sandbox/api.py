"""The API: one function a method, behind the key and the names of module and method."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import hdrs, web

from worker.sandbox import queries, rules, times
from worker.sandbox.behaviours import Acceptance, Behaviour, Taken, accepted
from worker.sandbox.envelope import (
    DONE,
    FAILED,
    MISNAMED,
    NO_FORMAT,
    NO_METHOD,
    NO_MODULE,
    NOT_FOUND,
    NOT_LOGGED_IN,
    RESTRICTED,
    ApiError,
    Data,
    envelope,
)
from worker.sandbox.form import Form, read
from worker.sandbox.gateway import Call, Gateway
from worker.sandbox.message import Fate, Message
from worker.sandbox.recipients import BY_RECIPIENT

SEND: Final = "message/sendsmsmessage"

_FORM: Final = "application/x-www-form-urlencoded"
_ORDINARY: Final = Behaviour("", "accepted", "accepted", Acceptance.AT_ONCE, accepted)


class Api:
    """Answers the API's calls.

    Args:
        gateway: What it works on.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Answers a call.

        Args:
            request: The call.
            path: The module and the method in lower case, as ``message/list``: the API doesn't mind the case.

        Returns:
            The answer, or something that takes its place.
        """
        body = await request.read() if request.content_type == _FORM else b""
        form = read(request.rel_url.raw_query_string.encode(), body)
        recipient = form.values.get("recipient", "").removeprefix("+") if path == SEND else ""
        call = self._gateway.record(path, recipient, form.names)
        try:
            self._check_key(form)
            method = self._method(path)
            _check_format(form)
            return await (self._send(form, call) if path == SEND else self._ask(method, form, call))
        except ApiError as error:
            call.outcome = f"code {error.code}"
            return envelope(error.code, error.data)

    def _check_key(self, form: Form) -> None:
        key = form.values.get("apiKey")
        if not key or self._gateway.account.api_key not in {None, key}:
            raise ApiError(NOT_LOGGED_IN, [])

    def _method(self, path: str) -> "Callable[[Api, Form], Data]":
        if path.partition("/")[0] not in _MODULES:
            raise ApiError(NO_MODULE)
        if path not in _METHODS:
            raise ApiError(NO_METHOD)
        return _METHODS[path]

    async def _send(self, form: Form, call: Call) -> web.StreamResponse:
        """Runs sendSmsMessage: the rules first, then what the recipient is known for.

        The message is accepted before the answer is waited for, as a gateway does whose answer is lost.
        """
        gateway = self._gateway
        order = rules.check(form, now=gateway.clock.now(), zone=gateway.zone)
        behaviour = gateway.next_failure(SEND) or self._of_recipient(order.recipient)
        if float(gateway.flags.balance) <= 0 and behaviour is _ORDINARY:
            raise ApiError(FAILED)
        call.outcome = behaviour.name
        book, flags = gateway.book, gateway.flags
        parameters = {k: v for k, v in form.values.items() if k not in rules.ENVELOPE_PARAMETERS}
        message_id, campaign_id = 0, 0
        if behaviour.acceptance is Acceptance.AT_ONCE:
            ...
        raise NotImplementedError
