"""Django's settings for tests of the outbox; OUTBOX_DB names the file of its database."""

import os

INSTALLED_APPS = ["smsq.contrib.django"]
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OUTBOX_DB"]}}
