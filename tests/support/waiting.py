"""Waiting on conditions, never on time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout: float = 30.0, what: str = "") -> T:
    """Waits until a condition holds and returns what it returned.

    Args:
        condition: Called again and again until it returns something true.
        timeout: Seconds after which the test fails.
        what: What is waited for, for the failure's message.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout} s: {what or condition}; last answer: {result!r}")
        time.sleep(0.01)
