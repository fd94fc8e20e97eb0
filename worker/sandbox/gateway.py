"""The sandbox's state: an account, what it accepted, who called, and what is set up to go wrong."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from worker.sandbox import flags
from worker.sandbox.behaviours import Behaviour
from worker.sandbox.book import Book, Ids
from worker.sandbox.clock import Clock
from worker.sandbox.flags import Flags

MOST_CALLS: Final = 10_000
"""How many calls are kept; older ones are counted only."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a sandbox is started with.

    Attributes:
        api_key: The one key that is accepted, or None for any that isn't empty.
        senders: The registered signatures, at least one, the default one first.
        zone: The account's time zone.
    """

    api_key: str | None
    senders: Sequence[str]
    zone: ZoneInfo


@dataclass(slots=True)
class Call:
    """A call that came in.

    Attributes:
        method: As ``message/sendsmsmessage``.
        recipient: As it came, for sendSmsMessage; else empty.
        parameters: The names of the parameters.
        monotonic: When it came, in seconds on the machine's monotonic clock.
        outcome: The behaviour's name, ``accepted``, or the API's code (``code 12``); ``ok`` for a method that answered.
    """

    method: str
    recipient: str
    parameters: list[str]
    monotonic: float
    outcome: str = ""


@dataclass(slots=True)
class Failing:
    """What the next calls do.

    Attributes:
        behaviour: What they do.
        left: How many calls.
        method: The method that is meant, or None for all.
    """

    behaviour: Behaviour
    left: int
    method: str | None


class Gateway:
    """All that a sandbox remembers.

    Args:
        account: What it was started with.

    Attributes:
        account: The same.
        clock: What time it is.
        flags: What holds at present.
        book: What was accepted.
        latency_seconds: How long a call of sendSmsMessage waits for its answer.
        failing: What the next calls do, if anything is set.
        calls: The last calls, oldest first.
        call_count: How many calls there were.
        calls_by_recipient: How many calls of sendSmsMessage there were for each recipient.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forgets all but the account and the ids that were given out.

        A call that is still waiting belongs to what was before: it changes nothing in what comes after.
        """
        self.clock = Clock()
        self.flags = Flags()
        self.book = Book(self.clock, self._ids, self.account.senders)
        self.latency_seconds = 0.0
        self.failing: Failing | None = None
        self.calls: deque[Call] = deque(maxlen=MOST_CALLS)
        self.call_count = 0
        self.calls_by_recipient: Counter[str] = Counter()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of all times on the wire."""
        return self.account.zone if self.flags.timezone is None else flags.zone(self.flags.timezone)

    def record(self, method: str, recipient: str, parameters: list[str]) -> Call:
        """Notes that a call came in; its outcome is filled in later."""
        call = Call(method, recipient, parameters, time.monotonic())
        self.calls.append(call)
        self.call_count += 1
        if recipient:
            self.calls_by_recipient[recipient] += 1
        return call

    def next_failure(self, method: str) -> Behaviour | None:
        """Takes one of the failures that are set up for the next calls."""
        failing = self.failing
        if failing is None or failing.method not in {None, method}:
            return None
        failing.left -= 1
        if failing.left <= 0:
            self.failing = None
        return failing.behaviour

    def unused_ids(self) -> tuple[int, int]:
        """Returns ids of a message and a campaign that nobody has or will have."""
        return self._ids.next()
