"""A gateway that loses hundreds of answers at once: asking about them mustn't become an outage of its own (F93)."""

import pytest

from smsq import keys
from tests.faults.conftest import MakeSite
from tests.faults.site import Site

SEND = "message/sendsmsmessage"
#: The part of the common pace that questions may take.
SHARE = 5


def lose(here: Site, count: int) -> None:
    """Has the gateway accept that many messages, which come all at once, and lose each answer."""
    here.sandbox.post("/sandbox/fail", **{"next": count, "as": "closed-accepted", "method": SEND})
    with here.server.client() as client:
        client.hset(keys.PAUSE, "all", "1 a test")
        here.enqueue(count)
        client.delete(keys.PAUSE)


def questions(here: Site) -> list[float]:
    """Returns the moments of the calls that asked."""
    return sorted(call["monotonic"] for call in here.sandbox.calls() if call["method"] != SEND)


def test_many_lost_answers_are_settled_by_few_questions(site: MakeSite) -> None:
    """F93: a thousand are lost together; pages of one list answer for all, and each job has its ids.

    Ten pages hold them, and on a busy machine more rounds begin before all have gone out: still far fewer than jobs.
    """
    here = site()
    here.start("-c", "1000", SMSQ_CIRCUIT_AFTER="10000")
    lose(here, 1000)
    here.check_all_sent_once()
    asked = len(questions(here))
    assert 0 < asked < 300


def test_questions_leave_the_pace_to_calls(site: MakeSite) -> None:
    """F93: under a rate a fifth of it is theirs at most, in any second, while new jobs wait to be called."""
    here, rate = site(), 40
    here.start(SMSQ_RATE_LIMIT=f"{rate}/s", SMSQ_CIRCUIT_AFTER="10000")
    lose(here, 30)
    here.enqueue(4 * rate)
    here.check_all_sent_once()
    asked = questions(here)
    assert asked
    assert max(sum(first <= each < first + 0.95 for each in asked) for first in asked) <= rate / SHARE


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_thousand_lost_answers_under_a_low_rate(site: MakeSite) -> None:
    """F93: a worker dies with a thousand calls out; another settles them at ten calls a second, beside new jobs."""
    here = site()
    doomed = here.start("-c", "1000", SMSQ_CIRCUIT_AFTER="10000")
    lose(here, 1000)
    here.calls_are_out(1000)
    doomed.kill()
    here.start(SMSQ_RATE_LIMIT="10/s")
    here.enqueue(200)
    here.check_all_sent_once()
    assert 0 < len(questions(here)) < 100
