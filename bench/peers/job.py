"""The one job that all of them do: POST one SMS, return its ids."""

import json
import os
from typing import Any

REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379")
#: For those whose pool of connections is redis-py's: by itself it ends at 100, which the worker's slots need alone.
POOLED = f"{REDIS}/0?max_connections=1000"
_URL = os.environ.get("BENCH_GATEWAY", "http://127.0.0.1:8080") + (
    "/service/message/sendsmsmessage?output=json&api=v1&apiKey=k"
)
#: More than anyone has in flight.
_CONNECTIONS = 200

_pool: Any = None
_session: Any = None


def _form(recipient: str, text: str) -> dict[str, str]:
    return {"recipient": recipient, "text": text, "params[validity]": "60"}


def send(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """POSTs it from a thread."""
    global _pool  # noqa: PLW0603 - one for the process
    if _pool is None:
        import urllib3

        _pool = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False, timeout=30)
    answer = _pool.request("POST", _URL, fields=_form(recipient, text), encode_multipart=False)
    return json.loads(answer.data)["data"]


async def asend(recipient: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """POSTs it from an event loop."""
    global _session  # noqa: PLW0603 - one for the process
    if _session is None:
        import aiohttp

        _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
    async with _session.post(_URL, data=_form(recipient, text)) as answer:
        return (await answer.json(content_type=None))["data"]
