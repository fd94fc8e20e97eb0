"""The outbox's table."""

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.db import models

from smsq.contrib import outbox

if TYPE_CHECKING:
    from datetime import datetime


class OutboxMessage(models.Model):
    """A message that was promised by a committed transaction, and what became of it.

    The payload holds the number and the text until the queue has them, and is erased then.
    """

    class State(models.TextChoices):
        """Where it is."""

        WAITING = outbox.State.WAITING.value, "waits for the relay"
        RELAYED = outbox.State.RELAYED.value, "is a job"
        REFUSED = outbox.State.REFUSED.value, "put aside, a person decides"

    id: "models.UUIDField[uuid.UUID, uuid.UUID]" = models.UUIDField(
        primary_key=True, default=uuid.uuid4, editable=False
    )
    state: "models.CharField[str, str]" = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField(auto_now_add=True)
    payload: "models.TextField[str, str]" = models.TextField(editable=False)
    job_id: "models.CharField[str, str]" = models.CharField(max_length=32, default="", blank=True)
    error: "models.TextField[str, str]" = models.TextField(default="", blank=True)

    objects: ClassVar[models.Manager["OutboxMessage"]] = models.Manager()

    class Meta:
        """Django's options."""

        db_table = "smsq_outbox"
        indexes: ClassVar = [models.Index(fields=["state", "created_at"], name="smsq_outbox_state")]

    def __str__(self) -> str:
        """Its id: the rest may be personal."""
        return str(self.id)
