"""Creates the orders."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The table."""

    initial = True
    dependencies: ClassVar = [("smsq", "0001_initial")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=200, unique=True)),
                ("phone", models.CharField(max_length=20)),
                (
                    "sms",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to="smsq.outboxmessage"),
                ),
            ],
        ),
    ]
