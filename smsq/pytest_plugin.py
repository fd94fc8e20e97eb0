"""The pytest plugin. Every test run of an environment that has smsq loads it: it imports nothing before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smsq.testing.outbox import Outbox


@pytest.fixture
def sms_outbox() -> Iterator[Outbox]:
    """Keeps in memory what every SmsQueue is given during the test, and shows it; needs no Redis (`smsq.testing`)."""
    from smsq.testing.outbox import outbox

    with outbox() as made:
        yield made
