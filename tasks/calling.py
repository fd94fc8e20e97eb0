"""Calls the gateway, and again while it certainly doesn't have the message, in place and for a short while.

What might have been accepted is never called again here. Longer waits are the ledger's: a worker that sleeps for
minutes holds a job that another could send.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_before_delay
from tenacity.wait import wait_base

from smsq.gateway.answers import Kind, Outcome

#: Seconds that one wait in place may last. A longer one goes to the schedule, whose resolution is about a second.
LONGEST_WAIT: Final = 2.0
_FIRST_WAIT: Final = 0.25


class _Stopping(Exception):  # noqa: N818 - not an error
    """The worker stops while a job waits for its next try."""


class _GatewaysWait(wait_base):
    """As long as the gateway asks, else exponential with full jitter."""

    def __call__(self, retry_state: RetryCallState) -> float:
        return wait_after(_outcome(retry_state), retry_state.attempt_number, first=_FIRST_WAIT, longest=LONGEST_WAIT)


def wait_after(outcome: Outcome, attempt: int, *, first: float, longest: float) -> float:
    """Returns seconds to wait before the next try: what the gateway asks for, and jitter, so that jobs don't gang up.

    Args:
        outcome: The last try's.
        attempt: How many tries there were, from 1.
        first: Seconds that the first wait may last.
        longest: Seconds that our own waits grow to; the gateway's may be longer.
    """
    ours = min(longest, first * 2.0 ** min(attempt - 1, 30))
    if outcome.retry_after is not None:
        return outcome.retry_after + random.uniform(0, min(ours, 1.0))  # noqa: S311 - not a secret
    return random.uniform(ours / 2, ours)  # noqa: S311


async def call(
    send: Callable[[], Awaitable[Outcome]], *, window: float, stopping: asyncio.Event
) -> tuple[Outcome, int]:
    """Calls, and tries again what certainly did not reach the gateway.

    Args:
        send: Makes one call. It returns `Kind.NOT_CALLED` when it was too late for one.
        window: Seconds for tries in place.
        stopping: Ends a wait at once, without another call.

    Returns:
        The last outcome that says something about the message, and how many calls were made.
    """
    outcome = await send()
    calls = int(outcome.kind is not Kind.NOT_CALLED)
    if outcome.kind is not Kind.TRY_AGAIN:
        return outcome, calls  # nearly every job: no retry machinery for it

    first: Outcome | None = outcome

    async def attempt() -> Outcome:
        nonlocal first, outcome, calls
        if first is not None:
            first = None
            return outcome
        latest = await send()
        if latest.kind is Kind.NOT_CALLED:
            return latest
        calls += 1
        outcome = latest
        return latest

    async def sleep(seconds: float) -> None:
        if seconds > LONGEST_WAIT:
            raise _Stopping
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            return
        raise _Stopping  # a sleep that raises makes no further call; stop_when_event_set would make one

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda result: result.kind is Kind.TRY_AGAIN),
        stop=stop_before_delay(window),
        wait=_GatewaysWait(),
        sleep=sleep,
        retry_error_callback=_outcome,
    )
    with contextlib.suppress(_Stopping):
        await retrying(attempt)
    return outcome, calls


def _outcome(state: RetryCallState) -> Outcome:
    result: Outcome = state.outcome.result()  # type: ignore[union-attr] # after an attempt there is one
    return result
