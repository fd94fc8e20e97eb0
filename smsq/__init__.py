"""Send SMS through the Mobizon API from web applications, by a queue that loses nothing and sends nothing twice."""

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
