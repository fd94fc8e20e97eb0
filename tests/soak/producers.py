"""A producer: a process that enqueues its share of the messages by every way there is, and writes down what it hears.

``python -m tests.soak.producers --folder F --index I --first A --count N --seed S``. It can be killed at any moment;
started again, it reads its own book and goes on: what had an idempotency key and no answer is offered again.
"""

import argparse
import asyncio
import random
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from smsq import Job, QueueUnavailable, SmsQueue
from tests.soak.messages import Draft, draft
from tests.soak.promises import Promise, PromiseBook, read

#: The share of the messages that may be offered by now (0 to 1), written by the conductor.
RELEASED: Final = "released"
#: Seconds between looks at it, and between tries of one message.
_LOOK: Final = 0.1
#: Messages of one `enqueue_many`.
_CHUNK: Final = 20
#: Messages that the event loop has out at the same time.
_AT_ONCE: Final = 4


class Share:
    """The messages that this producer hasn't offered yet, given out one by one as far as they are released.

    Args:
        folder: The soak's folder.
        drafts: The messages, in order.
        total: How many its whole share was, with those that an earlier process has offered.
    """

    def __init__(self, folder: Path, drafts: Sequence[Draft], total: int) -> None:
        self._released = folder / RELEASED
        self._drafts = list(reversed(drafts))
        self._total = total
        self._lock = threading.Lock()

    def take(self, count: int) -> list[Draft] | None:
        """Returns up to `count` messages; none if the next isn't released yet, None when all were given out."""
        with self._lock:
            if not self._drafts:
                return None
            allowed = float(self._released.read_text()) * self._total
            room = min(count, max(0, round(allowed) - (self._total - len(self._drafts))))
            return [self._drafts.pop() for _ in range(min(room, len(self._drafts)))]


class Producer:
    """Offers messages and keeps the book.

    Args:
        queue: Where to.
        book: What it was promised.
        seed: For its own pace; the messages have theirs.
    """

    def __init__(self, queue: SmsQueue, book: PromiseBook, seed: str) -> None:
        self._queue = queue
        self._book = book
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret

    # -- one by one, in a thread

    def one_by_one(self, share: Share) -> None:
        """Offers by `enqueue`."""
        while (drafts := share.take(1)) is not None:
            self.each(drafts)
            time.sleep(self._pause(drafts))

    def each(self, drafts: Iterable[Draft]) -> None:
        """Offers messages one after the other."""
        for message in drafts:
            self.offer(message)

    def offer(self, message: Draft) -> None:
        """Offers a message until it is accepted, if it has a key; once, if not."""
        job = None
        while job is None:
            job = self._try(message)
            if job is None and message.key is None:
                return  # it may have been accepted: without a key, offering it again could send it twice
            if job is None or message.offer_again:
                time.sleep(self._rng.uniform(0, _LOOK))
        if message.offer_again:
            self._try(message)
        if message.to_cancel:
            asked = self._book.cancelling([message.number])
            try:
                self._book.cancelled(asked, message.number, stopped=self._queue.cancel(job.id))
            except QueueUnavailable:
                return

    def _try(self, message: Draft) -> Job | None:
        asked = self._note(message)
        try:
            job = self._queue.enqueue(message.sms, idempotency_key=message.key, **_options(message))
        except QueueUnavailable:
            return None
        self._book.accepted(asked, [(message.number, job.id)])
        return job

    # -- many at once, in another thread

    def in_batches(self, share: Share) -> None:
        """Offers by `enqueue_many`, in batches, some of which are cancelled as a whole."""
        while (drafts := share.take(self._rng.randint(1, _CHUNK))) is not None:
            alike = [each for each in drafts if each.key and not each.expires_in and not each.send_in]
            if alike:
                self._offer_batch(alike, self._rng.choice((None, None, None, 30.0)))
            self.each(each for each in drafts if each not in alike)
            time.sleep(self._pause(drafts))

    def _offer_batch(self, drafts: Sequence[Draft], expires_in: float | None) -> None:
        numbers = {each.sms.text: each.number for each in drafts}
        keys = {each.sms.text: each.key or "" for each in drafts}
        batch_id = f"batch-{drafts[0].number}"
        waiting = list(drafts)
        while waiting:
            refused = [each.number for each in waiting if each.refused]
            offered = [numbers[each.sms.text] for each in waiting]
            asked = self._book.offer(offered, refused=refused, expires=expires_in is not None)
            jobs: list[tuple[int, str]] = []
            try:
                for job in self._queue.enqueue_many(
                    [each.sms for each in waiting],
                    lane=drafts[0].lane,
                    batch_id=batch_id,
                    idempotency_key=lambda sms: keys[sms.text],
                    expires_in=expires_in,
                ):
                    jobs.append((offered[len(jobs)], job.id))
            except QueueUnavailable:
                time.sleep(self._rng.uniform(0, _LOOK))
            if jobs:
                self._book.accepted(asked, jobs)
            waiting = waiting[len(jobs) :]
        if self._rng.random() < 0.05:
            self._book.cancelling([each.number for each in drafts])
            try:
                self._queue.cancel(batch_id=batch_id)
            except QueueUnavailable:
                return

    # -- on an event loop

    async def on_a_loop(self, share: Share) -> None:
        """Offers by `aenqueue`, several at the same time."""

        async def one_after_the_other() -> None:
            while (drafts := share.take(1)) is not None:
                for each in drafts:
                    await self._aoffer(each)
                await asyncio.sleep(self._pause(drafts))

        await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))
        await self._queue.aclose()

    async def _aoffer(self, message: Draft) -> None:
        job = None
        while job is None:
            asked = self._note(message)
            try:
                job = await self._queue.aenqueue(message.sms, idempotency_key=message.key, **_options(message))
            except QueueUnavailable:
                if message.key is None:
                    return
                await asyncio.sleep(self._rng.uniform(0, _LOOK))
        self._book.accepted(asked, [(message.number, job.id)])
        if message.to_cancel:
            asked = self._book.cancelling([message.number])
            try:
                self._book.cancelled(asked, message.number, stopped=await self._queue.acancel(job.id))
            except QueueUnavailable:
                return

    # -- the rest

    def _note(self, message: Draft) -> float:
        moment = {"not_before": time.time() + message.send_in} if message.send_in else {}
        refused = [message.number] if message.refused else []
        return self._book.offer([message.number], refused=refused, expires=message.expires_in is not None, **moment)

    def _pause(self, drafts: Sequence[Draft]) -> float:
        return self._rng.uniform(0, 0.05) if drafts else _LOOK


def _options(message: Draft) -> dict[str, Any]:
    moment = datetime.now(UTC) + timedelta(seconds=message.send_in) if message.send_in else None
    return {"lane": message.lane, "expires_in": message.expires_in, "send_at": moment}


def unfinished(drafts: Iterable[Draft], promises: dict[int, Promise]) -> tuple[list[Draft], list[Draft]]:
    """Tells what is left to do after a producer's death.

    Returns:
        The messages that were offered with a key and got no answer, and those that were never offered.
    """
    again, rest = [], []
    for each in drafts:
        promise = promises.get(each.number)
        if promise is None:
            rest.append(each)
        elif each.key and not promise.accepted:
            again.append(each)
    return again, rest


def main() -> int:
    """Runs a producer to the end of its share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("--index", "--first", "--count", "--seed"):
        parser.add_argument(name, type=int, required=True)
    wanted = parser.parse_args()
    path = book_of(wanted.folder, wanted.index)
    drafts = [draft(wanted.seed, number) for number in range(wanted.first, wanted.first + wanted.count)]
    again, rest = unfinished(drafts, read([path]))
    queue = SmsQueue.from_env()
    with PromiseBook(path) as book:
        producer = Producer(queue, book, f"{wanted.seed} {wanted.index}")
        share = Share(wanted.folder, rest, wanted.count)
        with ThreadPoolExecutor() as threads:
            ways = [
                threads.submit(producer.each, again),
                threads.submit(producer.one_by_one, share),
                threads.submit(producer.in_batches, share),
                threads.submit(asyncio.run, producer.on_a_loop(share)),
            ]
        for way in ways:
            way.result()
    queue.close()
    return 0


def book_of(folder: Path, index: int) -> Path:
    """Returns the file that a producer writes its promises into."""
    return folder / f"promises-{index}.jsonl"


if __name__ == "__main__":
    sys.exit(main())
