"""The envelope that every answer of the API comes in: code, data and message."""

import json
from typing import Any, Final

from aiohttp import web

Data = dict[str, Any] | list[Any] | str | int | None
"""What the envelope's `data` can be: its shape differs from code to code."""

DONE: Final = 0
INVALID: Final = 1
NOT_FOUND: Final = 2
NO_MODULE: Final = 4
NO_METHOD: Final = 5
NO_FORMAT: Final = 6
NOT_LOGGED_IN: Final = 8
MISNAMED: Final = 11
RESTRICTED: Final = 12
FAILED: Final = 15

_MESSAGES: Final = {
    DONE: "",
    INVALID: "Ошибка валидации данных",
    NOT_FOUND: "Запись не найдена",
    3: "Неизвестная ошибка приложения",
    NO_MODULE: "Неверный модуль",
    NO_METHOD: "Неверный метод",
    NO_FORMAT: "Неверный формат",
    NOT_LOGGED_IN: "Ошибка авторизации",
    9: "Нет доступа к методу",
    10: "Ошибка сохранения данных",
    MISNAMED: "Не переданы обязательные параметры",
    RESTRICTED: "Параметр не соответствует ограничениям",
    13: "Пользователь обслуживается другим сервером",
    14: "Учётная запись заблокирована",
    FAILED: "Операция не выполнена",
    30: "Превышена допустимая частота вызовов метода",
    98: "Операция выполнена частично",
    99: "Ни один элемент не обработан",
    100: "Операция отправлена на фоновое выполнение",
    999: "Общая ошибка сервиса",
}
"""A general sentence for each code, in the language of the .kz server. The reason is in the data."""


class ApiError(Exception):
    """A request that the API refuses.

    Args:
        code: The API's code, not 0.
        data: What the envelope carries; by default null, as seen in live answers of codes 4, 11 and 12.
        message: A sentence in place of the code's general one.
    """

    def __init__(self, code: int, data: Data = None, message: str | None = None) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.data = data
        self.message = message


def done_data(message_id: int, campaign_id: int, status: int) -> dict[str, str | int]:
    """Returns the data of an accepted message: ids as strings, the status as a number, as in every live answer seen."""
    return {"campaignId": str(campaign_id), "messageId": str(message_id), "status": status}


def encoded(code: int, data: Data, message: str | None = None) -> bytes:
    """Encodes an envelope.

    Args:
        code: The API's code.
        data: The envelope's data.
        message: A sentence in place of the code's general one.

    Returns:
        JSON; characters outside ASCII are escaped, as PHP does by default.
    """
    words = _MESSAGES.get(code, "Ошибка") if message is None else message
    return json.dumps({"code": code, "data": data, "message": words}, separators=(",", ":")).encode("ascii")


def envelope(code: int, data: Data, message: str | None = None) -> web.Response:
    """Makes an answer of an envelope (`encoded`); its HTTP status is 200 for errors of the API too."""
    return body_of_json(encoded(code, data, message))


def body_of_json(body: str | bytes) -> web.Response:
    """Makes an answer of a body that is said to be JSON, whether it is or not."""
    return web.Response(
        body=body if isinstance(body, bytes) else body.encode(), content_type="application/json", charset="utf-8"
    )
