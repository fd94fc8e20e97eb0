"""The application for `INSTALLED_APPS`."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

from smsq.contrib.django import conf


class SmsqConfig(AppConfig):
    """Registers the system check."""

    name = "smsq.contrib.django"
    label = "smsq"
    verbose_name = "SMS"

    def ready(self) -> None:
        """Has `manage.py check`, and every start of a server, look at the settings."""
        checks.register(check_settings)


def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001 - Django's interface
    """Returns an error for each setting that is wrong."""
    return [checks.Error(problem, id="smsq.E001") for problem in conf.problems()]
