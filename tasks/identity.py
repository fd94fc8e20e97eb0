"""Who this worker is, in the ledger and for operators: Celery's name for it, such as ``celery@host``."""

import socket

from smsq.scripts import Known

#: What this process knows of the ledger; shared by all of its connections.
known = Known()

_name = f"celery@{socket.gethostname()}"


def name() -> str:
    """Returns the worker's name."""
    return _name


def call_it(given: str) -> None:
    """Sets the worker's name, before it forks or takes anything."""
    global _name  # noqa: PLW0603 - a process has one name
    _name = given
