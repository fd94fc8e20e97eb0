"""Django's setting `SMSQ`, and the queue that is made by it."""

import threading
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from smsq import ConfigurationError, Settings, SmsQueue

_queue: SmsQueue | None = None
_lock = threading.Lock()


def problems() -> list[str]:
    """Returns what is wrong with the setting, one line each, by name; never a value, which may hold a password."""
    given = getattr(django_settings, "SMSQ", {})
    if not isinstance(given, dict):
        return ["SMSQ must be a dict, such as {'REDIS_URL': 'redis://127.0.0.1:6379/0'}"]
    known = sorted(name.upper() for name in Settings.model_fields)
    wrong = [f"SMSQ[{name!r}] isn't a setting; there are {', '.join(known)}" for name in given if name not in known]
    try:
        Settings.load(**_fields(given))
    except ConfigurationError as error:
        wrong += [_in_django(problem, given) for problem in error.problems]
    return wrong


def get_queue() -> SmsQueue:
    """Returns the process's queue, made by Django's settings when it is used first.

    Raises:
        ImproperlyConfigured: `SMSQ`, or a variable `SMSQ_…` of the environment, is wrong.
    """
    global _queue  # noqa: PLW0603 - one for the process, as Django's caches
    with _lock:
        if _queue is None:
            if wrong := problems():
                raise ImproperlyConfigured("; ".join(wrong))
            _queue = SmsQueue(settings=Settings.load(**_fields(getattr(django_settings, "SMSQ", {}))))
        return _queue


def _fields(given: dict[Any, Any]) -> dict[str, Any]:
    """The names that are known, as the fields of `Settings`."""
    return {name: given[name.upper()] for name in Settings.model_fields if name.upper() in given}


def _in_django(problem: str, given: dict[Any, Any]) -> str:
    """Names the setting as Django's, if it stands there."""
    variable, _, what = problem.partition(": ")
    name = variable.removeprefix("SMSQ_")
    return f"SMSQ[{name!r}] {what}" if name in given else problem


def _forget(*, setting: str, **_: object) -> None:
    """Has the queue made anew when a test overrides the setting."""
    global _queue  # noqa: PLW0603
    if setting == "SMSQ":
        with _lock:
            _queue = None


setting_changed.connect(_forget)
