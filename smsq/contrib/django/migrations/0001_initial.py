"""Creates the outbox."""

import uuid
from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """The table, and an index for what waits."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waits for the relay"),
                            ("relayed", "is a job"),
                            ("refused", "put aside, a person decides"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("payload", models.TextField(editable=False)),
                ("job_id", models.CharField(blank=True, default="", max_length=32)),
                ("error", models.TextField(blank=True, default="")),
            ],
            options={
                "db_table": "smsq_outbox",
                "indexes": [models.Index(fields=["state", "created_at"], name="smsq_outbox_state")],
            },
        ),
    ]
