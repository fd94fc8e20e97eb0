"""A producer: a process that enqueues its share of a soak's messages, and may be killed at any moment.

``python -m tests.soak.producers``: threads that use `enqueue` and `enqueue_many`, and an event loop that uses
`aenqueue`. A process that takes over from a killed one offers again what has a key and no answer, and goes on with the
rest.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from smsq import QueueUnavailable, Sms, SmsQueue
from tests.soak import promises
from tests.soak.promises import Book, Promise
from tests.soak.traffic import Group, Message, Traffic

_THREADS: Final = 6
#: Seconds until a key that has no answer is offered again.
_PAUSE: Final = 0.2


class Producer:
    """Offers messages, and writes down what it is promised.

    Args:
        queue: Where they go.
        book: What is written to.
        traffic: What there is to offer.
    """

    def __init__(self, queue: SmsQueue, book: Book, traffic: Traffic) -> None:
        self._queue = queue
        self._book = book
        self._traffic = traffic

    def offer(self, group: Group, numbers: Sequence[int]) -> None:
        """Enqueues messages of a group from a thread, then cancels what is to be cancelled.

        Args:
            group: The group.
            numbers: Which of its messages.
        """
        messages = [self._traffic.message(number) for number in numbers]
        sets = [messages] if group.way == "many" else [[message] for message in messages]
        for each in sets:
            self._persist(group, each)
            if repeated := [message for message in each if message.repeated]:
                time.sleep(group.repeat_after)
                self._persist(group, repeated)
        if group.cancels_batch and group.batch:
            self._book.cancelling_batch(group.batch)
            try:
                self._queue.cancel(batch_id=group.batch)
            except QueueUnavailable:
                return

    def _persist(self, group: Group, messages: Sequence[Message]) -> None:
        """Enqueues messages, again and again if they have keys; without one, a second try could send twice."""
        jobs: Mapping[int, str] | None = {}
        while messages and not (jobs := self._enqueue(group, messages)) and group.keyed:
            time.sleep(_PAUSE)
        for message in messages:
            if jobs and message.cancel_after is not None:
                time.sleep(message.cancel_after)
                self._book.cancelling(message.number)
                try:
                    stopped = self._queue.cancel(jobs[message.number])
                except QueueUnavailable:
                    continue
                self._book.cancelled(message.number, stopped=stopped)

    def _enqueue(self, group: Group, messages: Sequence[Message]) -> dict[int, str] | None:
        """Enqueues messages once and returns the jobs' ids by the messages' numbers, or None if nobody knows."""
        keys = {message.text: message.key or "" for message in messages}
        options = _options(group)
        self._book.offered(message.number for message in messages)
        try:
            if group.way == "many":
                key_of = (lambda sms: keys[sms.text]) if group.keyed else None
                jobs = list(self._queue.enqueue_many(map(_sms, messages), idempotency_key=key_of, **options))
            else:
                jobs = [self._queue.enqueue(_sms(each), idempotency_key=each.key, **options) for each in messages]
        except QueueUnavailable:
            self._book.maybe(message.number for message in messages)
            return None
        ids = {message.number: job.id for message, job in zip(messages, jobs, strict=True)}
        self._book.accepted(ids)
        return ids

    async def offer_async(self, group: Group, numbers: Sequence[int]) -> None:
        """Enqueues messages of a group from an event loop, all at once; otherwise like `offer`."""
        await asyncio.gather(*(self._persist_async(group, self._traffic.message(number)) for number in numbers))

    async def _persist_async(self, group: Group, message: Message) -> None:
        for again in range(1 + message.repeated):
            await asyncio.sleep(again * group.repeat_after)
            job_id = await self._enqueue_async(group, message)
            while group.keyed and not job_id:
                await asyncio.sleep(_PAUSE)
                job_id = await self._enqueue_async(group, message)
        if job_id and message.cancel_after is not None:
            await asyncio.sleep(message.cancel_after)
            self._book.cancelling(message.number)
            try:
                stopped = await self._queue.acancel(job_id)
            except QueueUnavailable:
                return
            self._book.cancelled(message.number, stopped=stopped)

    async def _enqueue_async(self, group: Group, message: Message) -> str | None:
        self._book.offered([message.number])
        try:
            job = await self._queue.aenqueue(_sms(message), idempotency_key=message.key, **_options(group))
        except QueueUnavailable:
            self._book.maybe([message.number])
            return None
        self._book.accepted({message.number: job.id})
        return job.id


def _sms(message: Message) -> Sms:
    return Sms(recipient=message.recipient, text=message.text)


def _options(group: Group) -> dict[str, Any]:
    return {
        "lane": group.lane,
        "batch_id": group.batch,
        "expires_in": group.expires_in,
        "send_at": None if group.delay is None else datetime.now(UTC) + timedelta(seconds=group.delay),
        "on_unknown": group.on_unknown,
    }


def _is_open(promise: Promise | None, *, keyed: bool) -> bool:
    """Whether a message is still to be offered: it never was, or it has a key and no answer."""
    return promise is None or not promise.offers or (keyed and not promise.job_ids)


@contextmanager
def _loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def produce(producer: Producer, work: Sequence[tuple[Group, list[int]]], seconds: float) -> None:
    """Offers groups, spread evenly over a time.

    Args:
        producer: Who offers.
        work: Groups, and which of their messages.
        seconds: How long it shall take, if Redis lets it.
    """
    begun = time.monotonic()
    with _loop_in_a_thread() as loop, ThreadPoolExecutor(_THREADS) as threads:
        running: list[Future[None]] = []
        for place, (group, numbers) in enumerate(work):
            time.sleep(max(0.0, begun + seconds * place / len(work) - time.monotonic()))
            if group.way == "async":
                running.append(asyncio.run_coroutine_threadsafe(producer.offer_async(group, numbers), loop))
            else:
                running.append(threads.submit(producer.offer, group, numbers))
        for each in running:
            each.result()


def main() -> None:
    """Runs the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.producers")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--predecessors", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    traffic = Traffic(given.seed, given.jobs)
    done = promises.read(given.predecessors, traffic)
    work = []
    for group in traffic.groups(given.first, given.end):
        numbers = [number for number in group.numbers if _is_open(done.get(number), keyed=group.keyed)]
        if numbers:
            work.append((group, numbers))
    with Book(given.book) as book:
        produce(Producer(SmsQueue(given.url), book, traffic), work, given.seconds)


if __name__ == "__main__":
    main()
