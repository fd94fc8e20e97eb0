"""The API: the key, the names of module and method, and what a call for a message brings on."""

import asyncio
from typing import Final

from aiohttp import web

from worker.sandbox import asking, rules
from worker.sandbox.behaviours import Acceptance, Behaviour, Taken, accepted
from worker.sandbox.envelope import (
    DONE,
    FAILED,
    NO_FORMAT,
    NO_METHOD,
    NO_MODULE,
    NOT_LOGGED_IN,
    ApiError,
    envelope,
)
from worker.sandbox.form import Form, read
from worker.sandbox.gateway import Call, Gateway
from worker.sandbox.recipients import BY_RECIPIENT

SEND: Final = "message/sendsmsmessage"
METHODS: Final = frozenset({SEND, *asking.METHODS})
"""All methods, as ``module/method`` in lower case: the API doesn't mind the case."""

_MODULES: Final = frozenset(method.partition("/")[0] for method in METHODS)
_FORM: Final = "application/x-www-form-urlencoded"
_ORDINARY: Final = Behaviour("", "accepted", "accepted", Acceptance.AT_ONCE, accepted)
_SENT_WITHOUT_MODERATION: Final = 2


async def answer(gateway: Gateway, request: web.Request, method: str) -> web.StreamResponse:
    """Answers a call.

    Args:
        gateway: What is asked.
        request: The call.
        method: Module and method in lower case, as ``message/list``, whether there is such a method or not.

    Returns:
        The answer, or what takes its place.
    """
    body = await request.read() if request.content_type == _FORM else b""
    form = read(request.rel_url.raw_query_string.encode(), body)
    recipient = form.values.get("recipient", "").removeprefix("+") if method == SEND else ""
    call = gateway.record(method, recipient, form.names)
    try:
        _check(gateway, form, method)
        if method == SEND:
            return await _send(gateway, form, call)
        return await _ask(gateway, form, call)
    except ApiError as error:
        call.outcome = f"code {error.code}"
        return envelope(error.code, error.data, error.message)


def _check(gateway: Gateway, form: Form, method: str) -> None:
    """Looks at what every call needs: the key before all else, as the first thing that a server must know."""
    key = form.values.get("apiKey")
    if not key or gateway.account.api_key not in {None, key}:
        raise ApiError(NOT_LOGGED_IN, [])
    if method.partition("/")[0] not in _MODULES:
        raise ApiError(NO_MODULE)
    if method not in METHODS:
        raise ApiError(NO_METHOD)
    if form.values.get("output", "json") != "json" or form.values.get("api", "v1") != "v1":
        raise ApiError(NO_FORMAT)


async def _send(gateway: Gateway, form: Form, call: Call) -> web.StreamResponse:
    """Applies the rules, then does what the recipient is known for.

    What is accepted is accepted before its answer is waited for: a caller that gives up in between has sent an SMS.
    """
    order = rules.check(form, now=gateway.clock.now(), zone=gateway.zone)
    if float(gateway.flags.balance) <= 0:
        raise ApiError(FAILED, None, "Недостаточно средств на балансе")
    behaviour = gateway.next_failure(SEND) or _of_recipient(gateway, order.recipient)
    call.outcome = behaviour.name
    taken = await _take(gateway, form, order, behaviour)
    if wait := gateway.latency_seconds + behaviour.delay_seconds:
        await asyncio.sleep(wait)
    return behaviour.answer(taken)


async def _take(gateway: Gateway, form: Form, order: rules.Order, behaviour: Behaviour) -> Taken:
    parameters = {name: value for name, value in form.values.items() if name not in rules.ENVELOPE_PARAMETERS}
    book, flags = gateway.book, gateway.flags  # those of now, also when a reset comes before the caller hangs up
    match behaviour.acceptance:
        case Acceptance.AT_ONCE:
            message = book.accept(order, parameters, flags, behaviour.fate)
            ids = message.message_id, message.campaign_id
            return Taken(*ids, message.sending_status, order.recipient, order.text)
        case Acceptance.LATE:
            try:
                await asyncio.Event().wait()
            finally:  # cancelled: the caller hung up
                book.accept_late(order, parameters, flags, behaviour.fate)
    return Taken(*gateway.unused_ids(), _SENT_WITHOUT_MODERATION, order.recipient, order.text)


def _of_recipient(gateway: Gateway, recipient: str) -> Behaviour:
    behaviour = BY_RECIPIENT.get(recipient, _ORDINARY)
    if behaviour.calls is not None and gateway.calls_by_recipient[recipient] > behaviour.calls:
        return _ORDINARY
    return behaviour


async def _ask(gateway: Gateway, form: Form, call: Call) -> web.StreamResponse:
    """Answers any other method; of a behaviour that is set up, the delay and the answer count."""
    behaviour = gateway.next_failure(call.method)
    if behaviour is not None:
        call.outcome = behaviour.name
        await asyncio.sleep(behaviour.delay_seconds)
        if behaviour.answer is not accepted:
            return behaviour.answer(Taken(*gateway.unused_ids(), _SENT_WITHOUT_MODERATION, "", ""))
    data = asking.METHODS[call.method](gateway, form)
    call.outcome = call.outcome or "ok"
    return envelope(DONE, data)
