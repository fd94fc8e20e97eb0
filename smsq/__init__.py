"""Send SMS through the Mobizon API from web applications, by a queue that loses nothing and sends nothing twice.

Each name is imported when it is first used: pytest imports this package in every run, for its plugin.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smsq.batch import Batch
    from smsq.errors import ConfigurationError, IdempotencyConflict, InvalidSms, QueueUnavailable, SmsqError
    from smsq.job import Job, JobError
    from smsq.message import Sms
    from smsq.queue import SmsQueue
    from smsq.settings import Settings
    from smsq.states import State

__all__ = [
    "Batch",
    "ConfigurationError",
    "IdempotencyConflict",
    "InvalidSms",
    "Job",
    "JobError",
    "QueueUnavailable",
    "Settings",
    "Sms",
    "SmsQueue",
    "SmsqError",
    "State",
]

_MODULES = {
    "Batch": "batch",
    "Job": "job",
    "JobError": "job",
    "Settings": "settings",
    "Sms": "message",
    "SmsQueue": "queue",
    "State": "states",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'smsq' has no attribute {name!r}")
    value: object = getattr(import_module(f"smsq.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
