"""The project's settings."""

import os

SECRET_KEY = os.environ.get("EXAMPLE_SECRET", "for trying it out")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["smsq.contrib.django"]
ROOT_URLCONF = "examples.django_app.urls"

# What isn't here comes from the environment, as everywhere: SMSQ_DURABILITY and so on.
SMSQ = {"REDIS_URL": os.environ.get("SMSQ_REDIS_URL", "redis://127.0.0.1:6379/0")}
