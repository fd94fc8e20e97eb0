"""What a worker of a staging environment holds back, so that no test reaches a stranger's phone."""

from collections.abc import Sequence
from typing import Final

from smsq.job import JobError

#: In the record of a job that was held back. It names no number, as no error does.
HELD_BACK: Final = JobError("SMSQ_ONLY_TO doesn't name this recipient", fields={"recipient": "is not called for here"})


def allows(recipient: str, only_to: Sequence[str]) -> bool:
    """Returns whether a message may go out.

    Args:
        recipient: Its number, digits only.
        only_to: Numbers and beginnings of numbers, digits only; none: every message may.
    """
    return not only_to or recipient.startswith(tuple(only_to))
