"""FastAPI: the gateway's delivery reports have a worker ask sooner. `uvicorn examples.delivery_reports:app`.

In Mobizon's panel: a webhook for delivery reports to `https://YOUR.HOST/delivery-reports`, in JSON, with a secret key,
which this application gets as `EXAMPLE_WEBHOOK_SECRET`. Workers have `SMSQ_DELIVERY=on`.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request

from smsq import QueueUnavailable, SmsQueue
from smsq.errors import WebhookRefused
from smsq.webhook import MOST_BYTES, reported_message

_SECRET = os.environ.get("EXAMPLE_WEBHOOK_SECRET", "")
if not _SECRET.strip():
    sys.exit("EXAMPLE_WEBHOOK_SECRET: is needed; without it anybody could call")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keeps one queue for the application's life."""
    app.state.queue = SmsQueue.from_env()
    yield
    await app.state.queue.aclose()


app = FastAPI(lifespan=lifespan)


async def read(request: Request) -> bytes:
    """Reads a body, and no more of it than a report may have: anybody may post here."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    return body


@app.post("/delivery-reports", status_code=204)
async def delivery_report(request: Request) -> None:
    """Takes a report for what it is: a hint. 204 for all that may come again without harm, other events too."""
    queue: SmsQueue = request.app.state.queue
    try:
        message_id = reported_message(await read(request), _SECRET, zone=queue.settings.zone)
    except WebhookRefused as refused:
        raise HTTPException(403, str(refused)) from None
    if message_id is None:
        return
    try:
        await queue.aask_delivery(message_id)
    except QueueUnavailable:
        raise HTTPException(503, "try again") from None  # the gateway does
