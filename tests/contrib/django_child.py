"""A web process that is killed at one step: `python -m tests.contrib.django_child STEP RECIPIENT`.

STEP is where it stops and says so: `before commit`, `after commit`, `after relay` (the queue has the job, the row isn't
marked), or `never`; `rollback` rolls back and ends.
"""

import sys
from typing import Any

import django

django.setup()

from django.db import transaction  # noqa: E402 - after the set-up, as Django asks for

from smsq import Sms, SmsQueue  # noqa: E402
from smsq.contrib.django.outbox import enqueue_on_commit  # noqa: E402

_enqueue = SmsQueue.enqueue


def stop_here(step: str, wanted: str) -> None:
    """Says that the step is reached, and waits to be killed."""
    if step == wanted:
        print("here", flush=True)
        sys.stdin.read()


def main(step: str, recipient: str) -> None:
    """Promises one message."""

    def enqueue(queue: SmsQueue, sms: Sms, **options: Any) -> Any:  # noqa: ANN401 - as the real one
        job = _enqueue(queue, sms, **options)
        stop_here(step, "after relay")
        return job

    SmsQueue.enqueue = enqueue  # type: ignore[method-assign, assignment]
    with transaction.atomic():
        transaction.on_commit(lambda: stop_here(step, "after commit"))
        row = enqueue_on_commit(Sms(recipient=recipient, text="text"), lane="urgent")
        print(row.pk, flush=True)
        stop_here(step, "before commit")
        if step == "rollback":
            transaction.set_rollback(True)


main(*sys.argv[1:])
