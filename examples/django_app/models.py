"""The project's tables."""

from django.db import models


class Order(models.Model):
    """An order, and the message that was promised with it."""

    key: "models.CharField[str, str]" = models.CharField(max_length=200, unique=True)
    """Names the request: who repeats it gets the same order."""
    phone: "models.CharField[str, str]" = models.CharField(max_length=20)
    sms: "models.ForeignKey[models.Model | None, models.Model | None]" = models.ForeignKey(
        "smsq.OutboxMessage", null=True, on_delete=models.SET_NULL
    )

    def __str__(self) -> str:
        """Its number: the rest is personal."""
        return str(self.pk)
