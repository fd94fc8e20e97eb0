"""What a worker's jobs came to, counted in plain integers: a scrape reads them, a job adds one."""

from bisect import bisect_left
from typing import Final

from celery.exceptions import Ignore, Retry

from smsq.errors import SmsNotSent, SmsUnknown

#: Upper bounds of the histogram's buckets, in seconds; what lasts longer is in one more.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: All that a worker's work on a job may come to; a job that is tried again is counted for each time.
OUTCOMES: Final = ("sent", "failed", "unknown", "expired", "cancelled", "retrying", "asking", "dropped", "crashed")


class Tally:
    """Counts since the worker started. Written in Celery's main thread alone, on each of its pools; read in any.

    Attributes:
        outcomes: How often work on a job came to what.
        buckets: Jobs that were sent, by the seconds they took, one number for each of `BOUNDS` and one for the rest.
        seconds: The sum of these.
    """

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def sent(self, seconds: float) -> None:
        """Counts a job that was sent, and the seconds from its start in the pool to its end in the ledger."""
        self.outcomes["sent"] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def ended(self, how: str) -> None:
        """Counts any other outcome."""
        self.outcomes[how] += 1


def outcome_of(error: BaseException) -> str:
    """Returns the outcome that an exception of the task stands for (`tasks.send`)."""
    match error:
        case Retry(exc=SmsUnknown()):
            return "asking"
        case Retry():
            return "retrying"
        case SmsUnknown():
            return "unknown"
        case SmsNotSent():
            return "failed"
        case Ignore():
            return "dropped"
    return "crashed"


tally = Tally()
