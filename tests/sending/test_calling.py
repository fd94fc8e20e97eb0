"""Tries in place: what certainly did not reach the gateway is called again, for a short while, and nothing else."""

import asyncio
from collections.abc import Iterable

import pytest

from smsq.gateway.answers import NOT_CALLED, Kind, Outcome
from tasks.calling import LONGEST_WAIT, call, wait_after

ACCEPTED = Outcome(kind=Kind.ACCEPTED, reason="accepted")
AGAIN = Outcome(kind=Kind.TRY_AGAIN, reason="too many calls", code=30, retry_after=0.0)
UNKNOWN = Outcome(kind=Kind.UNKNOWN, reason="no complete answer in time")
LATER = Outcome(kind=Kind.TRY_AGAIN, reason="too many calls", code=30, retry_after=LONGEST_WAIT)


class Gateway:
    """Gives outcomes in turn, the last one again and again; counts how often it was asked."""

    def __init__(self, outcomes: Iterable[Outcome], *, stopping: asyncio.Event | None = None) -> None:
        self._outcomes = list(outcomes)
        self._stopping = stopping
        self.asked = 0

    async def __call__(self) -> Outcome:
        """One call; tells the worker to stop during it if so made."""
        self.asked += 1
        if self._stopping:
            self._stopping.set()
        return self._outcomes[min(self.asked, len(self._outcomes)) - 1]


def run(gateway: Gateway, *, window: float = 30.0, stopping: asyncio.Event | None = None) -> tuple[Outcome, int]:
    """Calls with tries in place and returns the outcome and the number of calls."""
    return asyncio.run(call(gateway, window=window, stopping=stopping or asyncio.Event()))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([ACCEPTED], (ACCEPTED, 1)),
        ([UNKNOWN], (UNKNOWN, 1)),
        ([Outcome(kind=Kind.REFUSED, reason="")], (Outcome(kind=Kind.REFUSED, reason=""), 1)),
        ([Outcome(kind=Kind.ACCOUNT, reason="")], (Outcome(kind=Kind.ACCOUNT, reason=""), 1)),
        ([NOT_CALLED], (NOT_CALLED, 0)),
        ([AGAIN, ACCEPTED], (ACCEPTED, 2)),
        ([AGAIN, AGAIN, ACCEPTED], (ACCEPTED, 3)),
        ([AGAIN, UNKNOWN], (UNKNOWN, 2)),
        ([AGAIN, NOT_CALLED], (AGAIN, 1)),
        ([AGAIN, AGAIN, NOT_CALLED], (AGAIN, 2)),
        ([LATER], (LATER, 1)),
        ([AGAIN, LATER], (LATER, 2)),
    ],
    ids=lambda value: " ".join(each.kind for each in value) if isinstance(value, list) else None,
)
def test_only_what_certainly_did_not_arrive_is_called_again(
    outcomes: list[Outcome], expected: tuple[Outcome, int]
) -> None:
    """The last outcome that says something comes back, with the number of calls that were made."""
    gateway = Gateway([*outcomes, ACCEPTED])
    assert run(gateway) == expected
    assert gateway.asked == len(outcomes)


def test_without_a_window_there_is_one_call() -> None:
    """A window of no time leaves further tries to the schedule."""
    gateway = Gateway([AGAIN])
    assert run(gateway, window=0.0) == (AGAIN, 1)
    assert gateway.asked == 1


def test_tries_in_place_end_with_the_window() -> None:
    """A gateway that puts us off again and again is left alone in the end."""
    gateway = Gateway([AGAIN])
    last, calls = run(gateway, window=0.3)
    assert (last, calls) == (AGAIN, gateway.asked)


def test_a_stop_ends_a_wait_without_another_call() -> None:
    """F61: a worker that stops doesn't sit a wait out, and the wait's end is no reason to call."""
    stopping = asyncio.Event()
    gateway = Gateway([AGAIN, ACCEPTED], stopping=stopping)
    assert run(gateway, stopping=stopping) == (AGAIN, 1)
    assert gateway.asked == 1


def test_a_bug_in_a_call_is_not_swallowed() -> None:
    """An exception of the first call or of a later one comes out as it is."""

    async def main(before: list[Outcome]) -> None:
        gateway = Gateway(before)

        async def failing() -> Outcome:
            if gateway.asked == len(before):
                raise ZeroDivisionError
            return await gateway()

        with pytest.raises(ZeroDivisionError):
            await call(failing, window=30.0, stopping=asyncio.Event())

    asyncio.run(main([]))
    asyncio.run(main([AGAIN]))


def test_a_cancelled_wait_is_cancelled() -> None:
    """Cancelling the caller ends the wait with an ordinary cancellation and no further call."""

    async def main() -> int:
        called = asyncio.Event()
        gateway = Gateway([Outcome(kind=Kind.TRY_AGAIN, reason="", retry_after=LONGEST_WAIT / 2)])

        async def send() -> Outcome:
            called.set()
            return await gateway()

        task = asyncio.create_task(call(send, window=30.0, stopping=asyncio.Event()))
        await called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return gateway.asked

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(1, 0.5, 1.0), (2, 1.0, 2.0), (3, 2.0, 4.0), (4, 4.0, 8.0), (5, 4.0, 8.0), (9999, 4, 8)],
)
def test_our_own_waits_double_up_to_a_limit(attempt: int, least: float, most: float) -> None:
    """Each wait is half to all of the step, so that jobs don't come back together."""
    waits = [wait_after(UNKNOWN, attempt, first=1.0, longest=8.0) for _ in range(100)]
    assert least <= min(waits) < max(waits) <= most


@pytest.mark.parametrize(("attempt", "jitter"), [(1, 0.25), (2, 0.5), (3, 1.0), (9, 1.0)])
def test_the_gateways_wait_is_kept_and_spread(attempt: int, jitter: float) -> None:
    """Never shorter than the gateway asks, at most a second longer."""
    asked = Outcome(kind=Kind.TRY_AGAIN, reason="", retry_after=20.0)
    waits = [wait_after(asked, attempt, first=0.25, longest=8.0) for _ in range(100)]
    assert 20.0 <= min(waits) < max(waits) <= 20.0 + jitter
