"""Flask. `gunicorn --threads 8 examples.flask_app:app`: while Redis is away a request may take two seconds."""

from typing import Any

from flask import Flask, abort, request
from werkzeug.exceptions import HTTPException

from examples.codes import code_for
from smsq import IdempotencyConflict, InvalidSms, QueueUnavailable, Sms, SmsQueue

app = Flask(__name__)
queue = SmsQueue.from_env()  # thread-safe and fork-safe: one for the process, and for those that are forked of it

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


@app.post("/codes")
def send_code() -> Answer:
    """Enqueues a one-time code. A repeated request, by the same key, sends nothing twice."""
    key = request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= 200:  # noqa: PLR2004
        return {"errors": {"Idempotency-Key": "must be 1 to 200 characters"}}, 422
    try:
        given = request.get_json()
    except RecursionError:
        abort(400, "nested too deeply")
    phone = given.get("phone") if isinstance(given, dict) else None
    sms = Sms.model_validate({"recipient": phone, "text": f"Код: {code_for(key, str(phone))}", "validity": 60})
    job = queue.enqueue(sms, lane="urgent", idempotency_key=f"otp:{key}", expires_in=180)
    return {"job": job.id}, 202


@app.get("/codes/<job_id>")
def look_up(job_id: str) -> dict[str, Any]:
    """Says what became of it."""
    if (job := queue.lookup(job_id)) is None:
        abort(404, "no such job")
    return job.as_dict()


@app.errorhandler(HTTPException)
def refused(error: HTTPException) -> Answer:
    """What Flask itself refuses, in JSON as all else: a body that can't be read, a path that isn't there."""
    return {"error": error.description}, error.code or 500


@app.errorhandler(InvalidSms)
def invalid(error: InvalidSms) -> Answer:
    """The message breaks rules: each field with what is wrong."""
    return {"errors": error.errors}, 422


@app.errorhandler(IdempotencyConflict)
def conflict(_: IdempotencyConflict) -> Answer:
    """The key was used for another number."""
    return {"error": "this Idempotency-Key was used for another request"}, 409


@app.errorhandler(QueueUnavailable)
def unavailable(_: QueueUnavailable) -> Answer:
    """Redis is away, which shows within two seconds. With the same key the client may try again."""
    return {"error": "try again"}, 503, {"Retry-After": "5"}
