"""What a worker's jobs came to, counted in plain integers: a scrape reads them, a job adds one."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, get_args

from celery.exceptions import Ignore, Retry

from smsq.errors import SmsNotSent, SmsUnknown
from smsq.gateway.aftermath import FINAL_STATUSES
from smsq.gateway.answers import Kind
from smsq.lanes import LANES
from smsq.ledger.asking import ToldWord

#: Upper bounds of the histograms' buckets, in seconds; what lasts longer is in one more.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Of those that count how long jobs waited: a campaign's jobs wait for hours.
LONG_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
#: All that a worker's work on a job may come to; a job that is tried again is counted for each time.
OUTCOMES: Final = ("sent", "failed", "unknown", "expired", "cancelled", "retrying", "asking", "dropped", "crashed")
#: All that may become of a message after it was sent: a moderator's decision, or the final word about its delivery.
FOLLOWED: Final = ("passed", "declined", *sorted(FINAL_STATUSES))


class Histogram:
    """Durations in seconds.

    Args:
        bounds: The buckets' upper bounds.

    Attributes:
        bounds: These.
        buckets: How many, one number for each bound and one for the rest.
        seconds: Their sum.
    """

    __slots__ = ("bounds", "buckets", "seconds")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Counts one."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds


class Tally:
    """Counts since the process started; read in any thread.

    What jobs came to is written in Celery's main thread alone, on each of its pools. What calls and questions came to
    and how long jobs waited is written in the thread of the calls: under prefork, in children, whose counts nobody
    reads.

    Attributes:
        outcomes: How often work on a job came to what.
        sent_in: From a job's start in the pool to its end in the ledger, of those that were sent.
        calls: Calls to the gateway, by what is known after them.
        repeated: Calls that were made again in place.
        waits: From when a job might be sent (it was accepted, or its moment came) until a worker took it up, once more
            for one that was handed back.
        end_to_end: From then until it was sent, and in the ledger.
        answers: What questions about a job came to.
        followed: What became of messages after they were sent; one that a moderator let pass may be counted again for
            its delivery.
    """

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.sent_in = Histogram()
        self.calls = {kind: Histogram() for kind in Kind if kind is not Kind.NOT_CALLED}
        self.repeated = 0
        self.waits = {lane: Histogram(LONG_BOUNDS) for lane in LANES}
        self.end_to_end = {lane: Histogram(LONG_BOUNDS) for lane in LANES}
        self.answers: dict[ToldWord, int] = dict.fromkeys(get_args(ToldWord), 0)
        self.followed = dict.fromkeys(FOLLOWED, 0)

    def sent(self, seconds: float) -> None:
        """Counts a job that was sent, and the seconds from its start in the pool to its end in the ledger."""
        self.outcomes["sent"] += 1
        self.sent_in.add(seconds)

    def ended(self, how: str, number: int = 1) -> None:
        """Counts any other outcome."""
        self.outcomes[how] += number

    def called(self, kind: Kind, seconds: float) -> None:
        """Counts a call, and its seconds; one that wasn't made doesn't count."""
        if kind is not Kind.NOT_CALLED:
            self.calls[kind].add(seconds)


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
