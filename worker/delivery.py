"""What kombu's channel hands out for a lane's job, and its count of what was handed out, kept in memory."""

import threading
from contextlib import suppress
from typing import Any

from kombu.transport import redis, virtual
from redis.exceptions import OutOfMemoryError

from smsq.lanes import LANES, TASK_NAME, Lane, queue_name
from tasks.slots import own_share
from worker.lifecycle import pulse, stopping


class LaneTag(str):
    """A lane message's delivery tag: new for each take, and known for what it is even on a channel that was closed."""

    __slots__ = ()


class LaneMessage(virtual.Message):
    """A Celery message made up for a job id, decoded already. Nothing of the SMS is in it."""

    def __init__(self, channel: Any, job_id: str, lane: Lane, tag: LaneTag) -> None:  # noqa: ANN401 - the transport's
        self._raw = None
        self.errors: list[Any] = []
        self.channel = channel
        self.delivery_tag = tag
        self.content_type = "application/json"
        self.content_encoding = "utf-8"
        self.delivery_info = {"exchange": "", "routing_key": queue_name(lane), "redelivered": False}
        self.headers = {
            "task": TASK_NAME,
            "id": job_id,
            "root_id": job_id,
            "lang": "py",
            "ignore_result": False,
            "headers": {},  # no others: where it isn't said, Celery's `Context` looks through fifty names for each task
        }
        self.properties = {"correlation_id": job_id}
        self.body = b""
        self._decoded_cache = {"args": (), "kwargs": {}, "argsrepr": "()", "kwargsrepr": "{}"}
        self._state = "RECEIVED"
        self.accept = None
        self.lane = lane
        self.job_id = job_id


class QoS(redis.QoS):
    """Counts delivered lane messages in memory; kombu's own stay in Redis as ever.

    All lanes share the window, and beside it each has a part of its own, as with slots: a window full of a campaign's
    jobs still has room for a code.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._held: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._counting = threading.Lock()  # Celery's thread pool acknowledges in its threads

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401
        """Notes a delivered message."""
        if isinstance(message, LaneMessage):
            virtual.QoS.append(self, message, delivery_tag)
            self._count(message.lane, 1)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Frees a message's place in the window. For a lane that never touches Redis and never raises."""
        if isinstance(delivery_tag, LaneTag):
            self._let_go(delivery_tag)
            pulse.beat()
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Hands a lane's id back, or drops the message; the job stays the ledger's."""
        if not isinstance(delivery_tag, LaneTag):
            super().reject(delivery_tag, requeue=requeue)
            return
        message = self._delivered.get(delivery_tag)
        if requeue and message:
            self.channel.hand_back([message.job_id])
        self._let_go(delivery_tag)

    def _let_go(self, tag: LaneTag) -> None:
        message = self._delivered.get(tag)
        if message and tag not in self._dirty:
            self._count(message.lane, -1)
        virtual.QoS.ack(self, tag)

    def _count(self, lane: Lane, change: int) -> None:
        with self._counting:
            self._held[lane] += change

    def can_consume(self) -> bool:
        """Returns whether any lane has room: the bells of those are listened to."""
        return bool(super().can_consume()) or any(self.own_room(lane) > 0 for lane in LANES)

    @property
    def window(self) -> int:
        """How many messages of all lanes may be held at once."""
        return -int(-self.prefetch_count // 1) or len(LANES) * 100

    def room(self) -> int:
        """Returns how many more messages the window holds."""
        return self.window - (len(self._delivered) - len(self._dirty))

    def own_room(self, lane: Lane) -> int:
        """Returns how many more messages of a lane may be held beside a window that is full."""
        return own_share(self.window) - self._held[lane]

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Looks for messages of kombu's own queues that nobody acknowledged; later, if Redis has no memory for it."""
        with suppress(OutOfMemoryError):
            super().restore_visible(*args, **kwargs)

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ANN401
        """Hands back at shutdown what was taken and not begun.

        Never at a lost connection: there the pool still holds these jobs.
        """
        self._flush()
        lanes = {tag: each for tag, each in self._delivered.items() if isinstance(each, LaneMessage)}
        for tag, message in lanes.items():
            del self._delivered[tag]
            self._count(message.lane, -1)
        if lanes and stopping.is_set():
            self.channel.hand_back([message.job_id for message in lanes.values()])
        if self._delivered:
            super().restore_unacked(client)
