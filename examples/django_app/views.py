"""The project's views."""

import json
from collections.abc import Callable
from functools import wraps

from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from examples.codes import code_for
from examples.django_app.models import Order
from smsq import IdempotencyConflict, InvalidSms, QueueUnavailable, Sms
from smsq.contrib.django import get_queue
from smsq.contrib.django.outbox import enqueue_on_commit

View = Callable[..., JsonResponse]


class BadRequestError(Exception):
    """The request can't be read; its arguments are the answer and the status."""


def answers_errors(view: View) -> View:
    """Answers what smsq raises: each broken rule by its field; 503 within two seconds if Redis is away."""

    @wraps(view)
    def answer(request: HttpRequest, **given: str) -> JsonResponse:
        try:
            return view(request, **given)
        except BadRequestError as error:
            body, status = error.args
            return JsonResponse(body, status=status)
        except InvalidSms as error:
            return JsonResponse({"errors": error.errors}, status=422)
        except IdempotencyConflict:
            return JsonResponse({"error": "this Idempotency-Key was used for another request"}, status=409)
        except QueueUnavailable:
            return JsonResponse({"error": "try again"}, status=503, headers={"Retry-After": "5"})

    return answer


def read(request: HttpRequest) -> tuple[str, object]:
    """Returns a request's idempotency key, and the phone number that it names."""
    key = request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= 200:  # noqa: PLR2004
        raise BadRequestError({"errors": {"Idempotency-Key": "must be 1 to 200 characters"}}, 422)
    try:
        given = json.loads(request.body)
    except RequestDataTooBig:
        raise BadRequestError({"error": "too large"}, 413) from None
    except (ValueError, RecursionError):
        raise BadRequestError({"error": "must be JSON"}, 400) from None
    return key, given.get("phone") if isinstance(given, dict) else None


@csrf_exempt  # an API, without cookies
@require_POST
@answers_errors
def send_code(request: HttpRequest) -> JsonResponse:
    """Enqueues a one-time code. A repeated request, by the same key, sends nothing twice."""
    key, phone = read(request)
    sms = Sms.model_validate({"recipient": phone, "text": f"Код: {code_for(key, str(phone))}", "validity": 60})
    job = get_queue().enqueue(sms, lane="urgent", idempotency_key=f"otp:{key}", expires_in=180)
    return JsonResponse({"job": job.id}, status=202)


@csrf_exempt
@require_POST
@answers_errors
def place_order(request: HttpRequest) -> JsonResponse:
    """Saves an order and promises its SMS, both or neither; also while Redis is away: the relay sends later."""
    key, phone = read(request)
    sms = Sms.model_validate({"recipient": phone, "text": "We have your order."})
    with transaction.atomic():
        order, new = Order.objects.get_or_create(key=key, defaults={"phone": sms.recipient})
        if new:
            order.sms = enqueue_on_commit(sms)
            order.save()
    return JsonResponse({"order": order.pk}, status=202)


@require_GET
@answers_errors
def look_up(_: HttpRequest, job_id: str) -> JsonResponse:
    """Says what became of it."""
    if (job := get_queue().lookup(job_id)) is None:
        return JsonResponse({"error": "no such job"}, status=404)
    return JsonResponse(job.as_dict())
