"""`make run`: everything on this machine alone, with messages sent through all of it.

Starts a Redis-protocol server, the sandbox gateway, a Celery worker and Flower on loopback, sends samples, prints what
became of each and where to look, and stays until Ctrl-C. ``--once`` ends after the samples.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json import loads
from pathlib import Path
from typing import Final

from smsq import Job, QueueUnavailable, Settings, Sms, SmsQueue, State
from worker import embedded
from worker.children import ChildEnded, Children, Interrupted

ROOT: Final = Path(__file__).resolve().parents[1]
_OURS = ("SMSQ_", "MOBIZON_", "FLOWER_", "CELERY_")
_API_KEY = "demo0123456789abcdefdemo0123456789abcdef"
_START_TIMEOUT = 60.0
_SEND_TIMEOUT = 60.0
_FAILED, _INTERRUPTED = 1, 130


@dataclass(frozen=True, slots=True)
class _Sample:
    """A message to send, and how it should end."""

    about: str
    sms: Sms
    lane: str = "normal"
    batch_id: str | None = None
    expires_in: float | None = None
    ends: State = State.SENT

    def ended_well(self, job: Job) -> bool:
        """Returns whether the job ended as it should: sent with its ids, or refused with the gateway's code."""
        if self.ends is State.SENT:
            return job.state is State.SENT and bool(job.message_id and job.campaign_id and job.campaign_status)
        return job.state is self.ends and bool(job.error and job.error.code)
