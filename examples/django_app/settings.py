"""The project's settings. `python -m django migrate --settings examples.django_app.settings` makes its tables."""

import os

SECRET_KEY = os.environ.get("EXAMPLE_SECRET", "for trying it out")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["smsq.contrib.django", "examples.django_app"]
ROOT_URLCONF = "examples.django_app.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("EXAMPLE_DATABASE", "example.sqlite3"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # who reads and then writes waits for others before it reads
    }
}

# What isn't here comes from the environment, as everywhere: SMSQ_DURABILITY and so on.
SMSQ = {"REDIS_URL": os.environ.get("SMSQ_REDIS_URL", "redis://127.0.0.1:6379/0")}
