"""A web process on Django that is killed at one step: `python -m tests.contrib.django_child STEP RECIPIENT`."""

import sys

import django

django.setup()

from django.db import transaction  # noqa: E402 - after the set-up, as Django asks for

from smsq import Sms  # noqa: E402
from smsq.contrib.django.outbox import enqueue_on_commit  # noqa: E402
from tests.contrib import steps  # noqa: E402


def main(wanted: str, recipient: str) -> None:
    """Promises one message."""
    steps.stop_after_handing_over(wanted)
    with transaction.atomic():
        transaction.on_commit(lambda: steps.stop_here(steps.AFTER_COMMIT, wanted))
        with transaction.atomic():
            row = enqueue_on_commit(Sms(recipient=recipient, text="text"), lane="urgent")
            if wanted == steps.SAVEPOINT_ROLLED_BACK:
                transaction.set_rollback(True)
        print(row.pk, flush=True)
        steps.stop_here(steps.BEFORE_COMMIT, wanted)
        if wanted == steps.ROLLED_BACK:
            transaction.set_rollback(True)


if __name__ == "__main__":
    main(*sys.argv[1:])
