"""The sandbox's own pages, under ``/sandbox/``: what it saw, and what it shall do. They take and give JSON.

======================  ===============================================================================================
GET health              ``status``, and how many messages, calls and messages still to be accepted late there are
GET messages            what was accepted, oldest first (``?recipient=`` for one number), and calls for each recipient
GET calls               the last 10,000 calls, oldest first, and how many there were
GET recipients          the table of recipients that bring a misbehaviour on
GET flags               the flags; POST changes those that are given (`worker.sandbox.flags` explains them)
POST clock              ``{"advance": seconds}`` moves the clock ahead
POST latency            ``{"seconds": x}``: each call of sendSmsMessage is answered that much later
POST fail               ``{"next": N, "as": "503"}``: the next N calls behave so, by the name in the table, whoever they
                        are for; with ``"method": "message/list"`` those of one method; 0 ends it
POST reset              forgets messages, calls, flags and all else that was set; ids go on
======================  ===============================================================================================
"""

import json
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.sandbox import times
from worker.sandbox.api import METHODS
from worker.sandbox.flags import Flags
from worker.sandbox.gateway import Call, Failing, Gateway
from worker.sandbox.message import Message
from worker.sandbox.recipients import BY_NAME, TABLE

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Advance(BaseModel):
    """The body of ``POST /sandbox/clock``."""

    model_config = _STRICT
    advance: float = Field(ge=0)


class Latency(BaseModel):
    """The body of ``POST /sandbox/latency``."""

    model_config = _STRICT
    seconds: float = Field(ge=0)


class Fail(BaseModel):
    """The body of ``POST /sandbox/fail``."""

    model_config = _STRICT
    next: int = Field(ge=0)
    name: str | None = Field(default=None, alias="as")
    method: str | None = None


Body = TypeVar("Body", bound=BaseModel)


class Control:
    """Answers the sandbox's own pages.

    Args:
        gateway: What they show and change.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        """Returns the pages and who answers them."""
        return [
            web.get("/sandbox/health", self._health),
            web.get("/sandbox/messages", self._messages),
            web.get("/sandbox/calls", self._calls),
            web.get("/sandbox/recipients", self._recipients),
            web.get("/sandbox/flags", self._flags),
            web.post("/sandbox/flags", self._set_flags),
            web.post("/sandbox/clock", self._advance),
            web.post("/sandbox/latency", self._set_latency),
            web.post("/sandbox/fail", self._fail),
            web.post("/sandbox/reset", self._reset),
        ]

    async def _health(self, _: web.Request) -> web.Response:
        gateway = self._gateway
        return web.json_response(
            {
                "status": "ok",
                "messages": len(gateway.book.messages()),
                "calls": gateway.call_count,
                "pending": gateway.book.pending,
            }
        )

    async def _messages(self, request: web.Request) -> web.Response:
        gateway = self._gateway
        wanted = request.query.get("recipient")
        messages = [
            self._message(message)
            for message in gateway.book.messages()
            if wanted is None or message.order.recipient == wanted
        ]
        return web.json_response({"messages": messages, "callsByRecipient": dict(gateway.calls_by_recipient)})

    def _message(self, message: Message) -> dict[str, Any]:
        return {
            "messageId": message.message_id,
            "campaignId": message.campaign_id,
            "recipient": message.order.recipient,
            "text": message.text,
            "from": message.sender,
            "name": message.order.name,
            "segNum": message.segments,
            "params": dict(message.parameters),
            "acceptedTs": times.written(message.accepted_at, self._gateway.zone),
        }

    async def _calls(self, _: web.Request) -> web.Response:
        gateway = self._gateway
        return web.json_response({"calls": [_call(call) for call in gateway.calls], "total": gateway.call_count})

    async def _recipients(self, _: web.Request) -> web.Response:
        return web.json_response([row.as_json() for row in TABLE])

    async def _flags(self, _: web.Request) -> web.Response:
        return web.json_response(self._gateway.flags.model_dump())

    async def _set_flags(self, request: web.Request) -> web.Response:
        changes = await _json(request)
        self._gateway.flags = _checked(Flags, self._gateway.flags.model_dump() | changes)
        return await self._flags(request)

    async def _advance(self, request: web.Request) -> web.Response:
        gateway = self._gateway
        gateway.clock.advance(_checked(Advance, await _json(request)).advance)
        return web.json_response({"now": times.written(gateway.clock.now(), gateway.zone)})

    async def _set_latency(self, request: web.Request) -> web.Response:
        self._gateway.latency_seconds = _checked(Latency, await _json(request)).seconds
        return web.json_response({"seconds": self._gateway.latency_seconds})

    async def _fail(self, request: web.Request) -> web.Response:
        wanted = _checked(Fail, await _json(request))
        method = None if wanted.method is None else wanted.method.lower()
        if method is not None and method not in METHODS:
            raise _bad("method: must be a method of the API, such as message/list")
        if wanted.next == 0:
            self._gateway.failing = None
        elif wanted.name in BY_NAME:
            self._gateway.failing = Failing(BY_NAME[wanted.name], wanted.next, method)
        else:
            raise _bad("as: must be a name of the table that GET /sandbox/recipients shows")
        return web.json_response({"next": wanted.next})

    async def _reset(self, _: web.Request) -> web.Response:
        self._gateway.reset()
        return web.json_response({})


def _call(call: Call) -> dict[str, Any]:
    return {
        "method": call.method,
        "recipient": call.recipient,
        "outcome": call.outcome,
        "monotonic": call.monotonic,
        "parameters": call.parameters,
    }


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise _bad("the body must be JSON") from None
    if not isinstance(body, dict):
        raise _bad("the body must be a JSON object")
    return body


def _checked(model: type[Body], values: dict[str, Any]) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _bad(
            "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
        ) from None


def _bad(problem: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": problem}), content_type="application/json")
