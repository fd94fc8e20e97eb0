"""`enqueue_many` reads ahead while Redis works, and that shows in nothing but its speed."""

import threading
from collections.abc import Iterator

import pytest

from smsq import IdempotencyConflict, InvalidSms, Sms, SmsQueue
from smsq.bulk import CHUNK
from smsq.job import Job

_SMS = Sms(recipient="+77010000001", text="Код")


class Source:
    """Messages, which count how many of them were read, and by whom."""

    def __init__(self, count: int, then: Exception | None = None) -> None:
        self.read = 0
        self.threads: set[threading.Thread] = set()
        self._count, self._then = count, then

    def __iter__(self) -> Iterator[Sms]:
        """Gives them."""
        for _ in range(self._count):
            self.read += 1
            self.threads.add(threading.current_thread())
            yield _SMS
        if self._then:
            raise self._then


def _accepted(queue: SmsQueue) -> int:
    batch = queue.batch("autumn")
    return batch.total if batch else 0


def test_nothing_is_handed_over_before_what_came_before_it_was_yielded(queue: SmsQueue) -> None:
    """Lazy, in order, one chunk read ahead, and read in the caller's thread."""
    source = Source(10 * CHUNK)
    jobs = iter(queue.enqueue_many(source, batch_id="autumn"))
    assert source.read == 0
    for _ in range(CHUNK):
        next(jobs)
    assert _accepted(queue) == CHUNK
    assert CHUNK < source.read <= 2 * CHUNK
    next(jobs)
    assert _accepted(queue) == 2 * CHUNK
    assert sum(1 for _ in jobs) == 9 * CHUNK - 1
    assert _accepted(queue) == 10 * CHUNK
    assert source.threads == {threading.current_thread()}, "an iterable of a database's rows belongs to its thread"


@pytest.mark.parametrize("before", [0, 7, CHUNK, CHUNK + 7, 2 * CHUNK])
def test_what_the_iterable_gave_before_it_failed_is_enqueued(queue: SmsQueue, before: int) -> None:
    """And yielded; then its own exception comes."""
    jobs = iter(queue.enqueue_many(Source(before, then=LookupError("the database is gone")), batch_id="autumn"))
    ids = {next(jobs).id for _ in range(before)}
    with pytest.raises(LookupError, match="the database is gone"):
        next(jobs)
    assert len(ids) == before == _accepted(queue)


@pytest.mark.parametrize("before", [7, CHUNK, CHUNK + 7])
def test_nothing_after_a_conflict_is_enqueued(queue: SmsQueue, before: int) -> None:
    """Also where it is met at a chunk's first or last place."""
    queue.enqueue(Sms(recipient="+77010000001", text="Other"), idempotency_key=f"k{before}")
    numbers = iter(range(3 * CHUNK))
    jobs = iter(queue.enqueue_many(Source(3 * CHUNK), batch_id="autumn", idempotency_key=lambda _: f"k{next(numbers)}"))
    assert len([next(jobs) for _ in range(before)]) == before
    with pytest.raises(IdempotencyConflict):
        next(jobs)
    assert _accepted(queue) == before


@pytest.mark.parametrize("before", [7, CHUNK, CHUNK + 7])
def test_a_broken_rule_is_raised_or_yielded_in_its_place(queue: SmsQueue, before: int) -> None:
    """All before it is enqueued; nothing after it, or all."""
    given = [{"recipient": "+77010000001", "text": "Код"}] * before + [{"recipient": "x", "text": "Код"}]
    given += given
    jobs = iter(queue.enqueue_many(given, batch_id="autumn"))
    assert len([next(jobs) for _ in range(before)]) == before
    with pytest.raises(InvalidSms):
        next(jobs)
    assert _accepted(queue) == before
    outcomes = list(queue.enqueue_many(given, batch_id="autumn", on_invalid="yield"))
    assert [isinstance(each, Job) for each in outcomes] == ([True] * before + [False]) * 2
    assert _accepted(queue) == 3 * before
