"""A plug for a worker (`-I tests.privacy.bursts`): layers that burst, and whose words hold all that nobody may see.

`BURSTS` has, as JSON, each layer's text: a job with it bursts there. All loggers talk at DEBUG, other people's too.
"""

import json
import logging
import os
from collections.abc import Callable
from typing import Any, Final

import smsq.gateway.client
import tasks.runtime
import tasks.send
from tests.privacy.markers import API_KEY

_TEXTS: Final[dict[str, str]] = json.loads(os.environ["BURSTS"])
_jobs: dict[str, str] = {}


def _burst(layer: str, text: str) -> None:
    if text == _TEXTS.get(layer):
        raise ZeroDivisionError(f"{text} {API_KEY}")


def _of(sms: Any) -> str:  # noqa: ANN401 - whichever carries the text
    return str(sms["text"] if isinstance(sms, dict) else sms.text)


def _wrap(owner: object, name: str, layer: str, text: Callable[..., str], *, after: bool = False) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        if not after:
            _burst(layer, text(*args))
            return original(*args, **options)
        result = original(*args, **options)
        _burst(layer, text(*args, result))
        return result

    setattr(owner, name, wrapped)


def _remember(_: object, __: bytes, job_id: str, opened: bytes) -> str:
    _jobs[job_id] = str(json.loads(opened).get("text"))  # from here on a job is known by its id alone
    return _jobs[job_id]


_wrap(tasks.send, "open_message", "open", _remember, after=True)
_wrap(tasks.send, "load", "load", lambda *args: _of(args[-1]), after=True)
_wrap(tasks.send, "api_form", "form", _of)
_wrap(smsq.gateway.client.Client, "send_sms", "client", lambda _, form: _of(form))
_wrap(tasks.send, "decide", "decide", lambda _, sms, *__: _of(sms))
_wrap(tasks.runtime.Runtime, "settle", "settle", lambda _, settled: _jobs.get(settled.job_id, ""))
_wrap(tasks.send, "_log_end", "log", lambda _, sms, *__: _of(sms) if sms else "")
for _name in ("asyncio", "aiohttp", "redis", "urllib3", "uvloop", "kombu", "celery", "structlog", "smsq", "worker"):
    logging.getLogger(_name).setLevel(logging.DEBUG)
