"""Django's settings for tests of the outbox; DJANGO_DATABASE is its database, as JSON."""

import json
import os

INSTALLED_APPS = ["smsq.contrib.django"]
USE_TZ = True
DATABASES = {"default": json.loads(os.environ["DJANGO_DATABASE"])}
