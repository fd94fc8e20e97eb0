"""Has a worker fail as ours and libraries' code might, inside it: `-I tests.watching.saboteur`.

What is raised and logged has the number and the text in it, as such words may.
"""

import logging
from typing import Any

from smsq.sms import Sms
from tasks import send

#: Numbers whose jobs meet a bug before the call, and one after the settle.
BEFORE, AFTER = "77012223344", "77013334455"

_names = vars(send)
_form, _log_end = _names["api_form"], _names["_log_end"]


def _failing_form(sms: Sms, **options: Any) -> dict[str, str]:  # noqa: ANN401
    if sms.recipient == BEFORE:
        logging.getLogger("library").error("can't send %s to %s", sms.text, sms.recipient)
        logging.getLogger("library").error(f"lost\n{sms.text}: {sms.recipient}")  # noqa: G004
        raise LookupError(f"{sms.text} for {sms.recipient}")
    form: dict[str, str] = _form(sms, **options)
    return form


def _failing_end(settlement: Any, sms: Sms | None, lane: Any) -> None:  # noqa: ANN401
    if sms and sms.recipient == AFTER:
        raise ArithmeticError(f"{sms.text} for {sms.recipient}")
    _log_end(settlement, sms, lane)


_names.update(api_form=_failing_form, _log_end=_failing_end)
