"""The canary: the message that a list must show before "not there" is believed (rules 14, 25)."""

from dataclasses import replace

from smsq import ledger
from smsq.states import State
from tests.ledger.actor import BOUND, CIRCUIT_AFTER, RETENTION, SETTLING, WORKER, Actor, outcome

DELAY = SETTLING - BOUND


def sent(act: Actor, message_id: int) -> None:
    """Has another message sent, by a worker that knows how long lists may lag."""
    job_id = act.start(act.enqueue())
    settlement = replace(outcome(job_id, State.SENT), ids=(message_id, message_id * 10, 2), epoch=act.epoch)
    call = ledger.settle(
        [settlement], retention=RETENTION, worker=WORKER, circuit_after=CIRCUIT_AFTER, list_delay=DELAY
    )
    assert act.run(call).words == ["settled"]


def canary(act: Actor) -> int | None:
    """Returns the messageId that questions are given to look for."""
    looked = act.take_due()
    return looked.canary and looked.canary[0]


def test_a_message_is_no_canary_before_lists_must_show_it(act: Actor) -> None:
    """Its list may lag: what isn't on it yet must not make every question look unanswered."""
    sent(act, 1)
    assert canary(act) is None
    act.pass_time(DELAY)
    assert canary(act) == 1


def test_an_account_that_always_sends_has_a_canary(act: Actor) -> None:
    """Messages that come faster than lists show them don't push each other away; the newest that must show counts."""
    for number in range(1, 13):
        sent(act, number)
        act.pass_time(DELAY // 4)
        expected = 1 + (number // 4 - 1) * 4 if number >= 4 else None
        assert canary(act) == expected, f"after {number} messages"


def test_a_canary_is_of_its_epoch(act: Actor) -> None:
    """Rule 19: what was seen before Redis went back proves nothing after it."""
    sent(act, 1)
    act.pass_time(DELAY)
    sent(act, 2)
    assert canary(act) == 1
    act.new_epoch()
    assert canary(act) is None
