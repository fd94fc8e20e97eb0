"""Django: the queue by Django's settings, checked by `manage.py check`.

`INSTALLED_APPS += ["smsq.contrib.django"]`, and in the settings what differs from the environment::

    SMSQ = {"REDIS_URL": "redis://redis:6379/0", "DURABILITY": "disk"}

The names are those of the variables `SMSQ_…`, without the prefix; what isn't given comes from the environment.
"""

from smsq.extras import require

require(__name__, "django", "django")

from smsq.contrib.django.conf import get_queue  # noqa: E402 - what is missing is said first

__all__ = ["get_queue"]
