"""The methods that ask: what was accepted, what became of it, and the balance."""

from collections.abc import Callable
from typing import Any, Final

from worker.sandbox import queries, times
from worker.sandbox.envelope import MISNAMED, NOT_FOUND, RESTRICTED, ApiError, Data
from worker.sandbox.form import Form
from worker.sandbox.gateway import Gateway
from worker.sandbox.message import Message
from worker.sandbox.rules import ENVELOPE_PARAMETERS

_SINGLE: Final = "1"
"""The type of every campaign here: each has one message."""


def message_list(gateway: Gateway, form: Form) -> Data:
    """Answers message/list."""
    query = queries.of_messages(form, gateway.zone)
    now = gateway.clock.now()
    found, total = gateway.book.find(query, gateway.flags, gateway.zone, lambda message: message.delivery(now).status)
    items = []
    for message in found:
        item = _delivery(gateway, message) | {
            "campaignId": str(message.campaign_id),
            "to": message.order.recipient,
            "from": message.sender,
            "text": message.text,
        }
        if gateway.flags.nested_campaign:
            item["campaign"] = _campaign(gateway, message)
        items.append(item)
    return {"items": items, "totalItemCount": str(total)}


def sms_status(gateway: Gateway, form: Form) -> Data:
    """Answers message/getSMSStatus; ids that nobody has are left out."""
    if set(form.names) - ENVELOPE_PARAMETERS - {"ids"}:
        raise ApiError(MISNAMED)
    ids = form.ids("ids")
    if not ids:
        raise ApiError(NOT_FOUND)
    if len(ids) > queries.MOST_IDS:
        raise ApiError(RESTRICTED)
    messages = (gateway.book.message(queries.whole_number(each)) for each in ids)
    return [_delivery(gateway, message) for message in messages if message is not None]


def campaign_list(gateway: Gateway, form: Form) -> Data:
    """Answers campaign/list; without `criteria[type]` it shows mass mailings, and all of ours are single messages."""
    query = queries.of_campaigns(form, gateway.zone)
    shown = {"mass": (query.kind or queries.MASS) == _SINGLE, "off": query.kind in {None, _SINGLE}, "nothing": False}
    if not shown[gateway.flags.campaign_type_filter]:
        return {"items": [], "totalItemCount": "0"}
    now = gateway.clock.now()
    found, total = gateway.book.find(query, gateway.flags, gateway.zone, lambda message: message.common_status(now))
    return {"items": [_whole_campaign(gateway, message) for message in found], "totalItemCount": str(total)}


def campaign_get(gateway: Gateway, form: Form) -> Data:
    """Answers campaign/get."""
    if {*form.names} - ENVELOPE_PARAMETERS != {"id"} or "id" not in form.values:
        raise ApiError(MISNAMED)
    message = gateway.book.campaign(queries.whole_number(form.values["id"]))
    if message is None:
        raise ApiError(NOT_FOUND)
    return _whole_campaign(gateway, message)


def own_balance(gateway: Gateway, form: Form) -> Data:
    """Answers user/getOwnBalance."""
    if set(form.names) - ENVELOPE_PARAMETERS:
        raise ApiError(MISNAMED)
    return {"balance": gateway.flags.balance, "currency": "KZT"}


METHODS: Final[dict[str, Callable[[Gateway, Form], Data]]] = {
    "message/list": message_list,
    "message/getsmsstatus": sms_status,
    "campaign/list": campaign_list,
    "campaign/get": campaign_get,
    "user/getownbalance": own_balance,
}
"""By module and method, in lower case."""


def _delivery(gateway: Gateway, message: Message) -> dict[str, Any]:
    now = gateway.clock.now()
    status, since = message.delivery(now)
    return {
        "id": str(message.message_id),
        "status": status,
        "segNum": str(message.segments),
        "startSendTs": _written(gateway, message.started_at(now)),
        "statusUpdateTs": _written(gateway, since),
    }


def _campaign(gateway: Gateway, message: Message) -> dict[str, Any]:
    now = gateway.clock.now()
    return {
        "id": str(message.campaign_id),
        "name": message.order.name,
        "createTs": _written(gateway, message.accepted_at),
        "commonStatus": message.common_status(now),
        "moderationStatus": message.moderation_status(now),
    }


def _whole_campaign(gateway: Gateway, message: Message) -> dict[str, Any]:
    campaign = _campaign(gateway, message)
    declined = campaign["commonStatus"] == "DECLINED"
    return campaign | {
        "type": _SINGLE,
        "text": message.text,
        "from": message.sender,
        "deferredToTs": _written(gateway, message.order.deferred_to),
        "startSendTs": _written(gateway, message.started_at(gateway.clock.now())),
        "mclass": str(message.order.mclass),
        "validity": str(message.order.validity),
        "isDeleted": "0",
        "globalComment": f"Отклонено модератором: «{message.text}» на +{message.order.recipient}" if declined else None,
    }


def _written(gateway: Gateway, moment: float | None) -> str | None:
    return None if moment is None else times.written(moment, gateway.zone)
