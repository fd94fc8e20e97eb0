"""What kombu's channel hands out for a lane's job, and its count of what was handed out, kept in memory."""

from contextlib import suppress
from typing import Any

from kombu.transport import redis, virtual
from redis.exceptions import OutOfMemoryError

from smsq.lanes import LANES, TASK_NAME, Lane, queue_name
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
        self.headers = {"task": TASK_NAME, "id": job_id, "root_id": job_id, "lang": "py", "ignore_result": False}
        self.properties = {"correlation_id": job_id}
        self.body = b""
        self._decoded_cache = {"args": (), "kwargs": {}, "argsrepr": "()", "kwargsrepr": "{}"}
        self._state = "RECEIVED"
        self.accept = None
        self.lane = lane
        self.job_id = job_id


class QoS(redis.QoS):
    """Counts delivered lane messages in memory; kombu's own stay in Redis as ever."""

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401
        """Notes a delivered message."""
        if isinstance(message, LaneMessage):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Frees a message's place in the window. For a lane that never touches Redis and never raises."""
        if isinstance(delivery_tag, LaneTag):
            virtual.QoS.ack(self, delivery_tag)
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
        virtual.QoS.ack(self, delivery_tag)

    def room(self) -> int:
        """Returns how many more messages the window holds."""
        window = -int(-self.prefetch_count // 1) or len(LANES) * 100
        return window - (len(self._delivered) - len(self._dirty))

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
        for tag in lanes:
            del self._delivered[tag]
        if lanes and stopping.is_set():
            self.channel.hand_back([message.job_id for message in lanes.values()])
        if self._delivered:
            super().restore_unacked(client)
