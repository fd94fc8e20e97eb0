"""FastAPI: async all the way, the queue as a dependency. `uvicorn examples.fastapi_app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from examples.codes import code_for
from smsq import IdempotencyConflict, InvalidSms, QueueUnavailable, Sms, SmsQueue


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keeps one queue for the application's life; it connects when it is used."""
    app.state.queue = SmsQueue.from_env()
    yield
    await app.state.queue.aclose()


async def get_queue(request: Request) -> SmsQueue:
    """The dependency. It is async, as all here: FastAPI runs what isn't in a pool of threads."""
    queue: SmsQueue = request.app.state.queue
    return queue


app = FastAPI(lifespan=lifespan)
Queue = Annotated[SmsQueue, Depends(get_queue)]


class CodeRequest(BaseModel):
    """Who wants a code."""

    phone: str


@app.post("/codes", status_code=202)
async def send_code(
    wanted: CodeRequest, queue: Queue, idempotency_key: Annotated[str, Header(min_length=1, max_length=200)]
) -> dict[str, str]:
    """Enqueues a one-time code. A repeated request, by the same key, sends nothing twice."""
    sms = Sms(recipient=wanted.phone, text=f"Код: {code_for(idempotency_key, wanted.phone)}", validity=60)
    job = await queue.aenqueue(sms, lane="urgent", idempotency_key=f"otp:{idempotency_key}", expires_in=180)
    return {"job": job.id}


@app.get("/codes/{job_id}")
async def look_up(job_id: str, queue: Queue) -> dict[str, Any]:
    """Says what became of it."""
    if (job := await queue.alookup(job_id)) is None:
        raise HTTPException(404, "no such job")
    return job.as_dict()


@app.exception_handler(RequestValidationError)
async def unreadable(_: Request, error: Exception) -> JSONResponse:
    """The request is of another shape: each part of it with what is wrong, and nothing of what it said."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"errors": {str(each["loc"][-1]): each["msg"] for each in found}}, 422)


@app.exception_handler(InvalidSms)
async def invalid(_: Request, error: Exception) -> JSONResponse:
    """The message breaks rules: each field with what is wrong."""
    return JSONResponse({"errors": error.errors if isinstance(error, InvalidSms) else {}}, 422)


@app.exception_handler(IdempotencyConflict)
async def conflict(_: Request, __: Exception) -> JSONResponse:
    """The key was used for another number."""
    return JSONResponse({"error": "this Idempotency-Key was used for another request"}, 409)


@app.exception_handler(QueueUnavailable)
async def unavailable(_: Request, __: Exception) -> JSONResponse:
    """Redis is away, which shows within two seconds. With the same key the client may try again."""
    return JSONResponse({"error": "try again"}, 503, {"Retry-After": "5"})
