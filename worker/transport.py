"""kombu's Redis transport, with our lanes in it.

Lanes aren't kombu's lists: ids wait in the ledger, `take` hands out as many as the channel has room for in one round
trip, and the channel's bookkeeping of what it has delivered is in memory (the ledger is the truth, so kombu's `unacked`
sets and their visibility timeout have no job left). Everything else, replies, broadcasts and queues that a user adds,
keeps kombu's own ways.

Waiting is a BRPOP on the lanes' doorbells, beside kombu's own queues. A bell is a hint and no more: each time-out of
the wait takes too, so a lost one costs a second at most. A wait that doesn't listen to all lanes' bells is a short one.
"""

import itertools
import time
from typing import TYPE_CHECKING, Any

import structlog
from kombu import Connection
from kombu.asynchronous import get_event_loop
from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import OutOfMemoryError, ResponseError
from structlog.typing import FilteringBoundLogger

from config.celery_options import TRANSPORTS
from smsq import keys, ledger
from smsq.errors import QueueUnavailable
from smsq.lanes import LANES, MOMENT, Lane, lane_of
from smsq.scripts import boot_time
from tasks import identity
from tasks.slots import own_share
from tasks.tally import tally
from worker.delivery import LaneMessage, LaneTag, QoS
from worker.lane_queues import TIMEOUT, LaneQueues
from worker.lifecycle import pulse, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

log: FilteringBoundLogger = structlog.get_logger()

#: Seconds until the next try after one that failed.
_PAUSE = 1.0
#: The part of the window that must be free before a busy worker takes again: many ids a round trip, not one.
_SHARE = 16
_BELL = keys.bell("")
#: Seconds of a wait that doesn't listen to all bells: a lane of which all was taken meanwhile is heard by the next.
_HALF_DEAF = 0.1
#: Seconds until the next take after one that mostly met jobs that had ended: Redis has time for others in between.
_SOON = 0.01


def _lane_of_bell(answer: Any) -> Lane | None:  # noqa: ANN401 - a Redis reply
    """Returns whose bell rang; None after a time-out."""
    rang = bytes_to_str(answer[0]).removeprefix(_BELL) if answer else ""
    return next((lane for lane in LANES if lane == rang), None)


class Channel(LaneQueues):
    """A channel that consumes lanes from the ledger."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._deliver_to: dict[Lane, Callable[[LaneMessage], None]] = {}
        self._tags = itertools.count(1)
        self._left: set[Lane] = set()  # lanes that may have ids whose bell isn't listened to: `refill` looks there
        self._not_before = 0.0
        self._held_back = False  # by a pause, a gate or the pace, not by Redis
        self._refusal, self._wait_from = "", 0.0

    # -- consuming

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Starts consuming a queue; of a lane at once, as ids may be waiting without a bell."""
        if lane := lane_of(queue):
            self._deliver_to[lane] = callback
            self._left.add(lane)
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Writes down where a queue's messages come from; a Redis without memory for that is consumed all the same.

        A worker that starts, or connects again, would not empty a full one otherwise. Lanes and broadcasts don't need
        it; replies to remote commands do, and have no memory either.
        """
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError as error:
            log.warning("bind.refused", queue=queue, reason=str(error))

    def _basic_cancel(self, consumer_tag: str) -> Any:  # noqa: ANN401
        lane = lane_of(self._tag_to_queue.get(consumer_tag, ""))
        if lane:
            self._deliver_to.pop(lane, None)
            self._left.discard(lane)
        return super()._basic_cancel(consumer_tag)

    def refill(self) -> None:
        """Takes again where ids may have been left behind and there is room for a good many."""
        if not (wanted := self._wanted()):
            return
        if time.monotonic() >= self._not_before:
            self._take(wanted)
        elif self._held_back:
            pulse.beat()

    def _wanted(self) -> Lane | None:
        """Returns the highest lane that may have ids left and has room for a good many; another's may be full."""
        lanes = [lane for lane in self._lanes() if lane in self._left]
        return next((lane for lane in lanes if self._roomy() or self._roomy_for(lane)), None)

    def _roomy(self) -> bool:
        return bool(self.qos.room() * _SHARE >= self.qos.window)

    def _roomy_for(self, lane: Lane) -> bool:
        return bool(self.qos.own_room(lane) * 2 >= own_share(self.qos.window))

    def _bells(self) -> list[str]:
        """The bells to listen to.

        A lane with ids left needs none: `refill` takes them. With little room only a job is worth a take of its own
        that will be called before those that wait here for a slot: of the highest lane, or of one with room of its own.
        Another's bell isn't heard, also when room for it comes during this wait: `refill` looks there then.
        """
        lanes, room = self._lanes(), self.qos.room()
        heard = [lane for lane in lanes if lane not in self._left]
        if not self._roomy():
            heard = [lane for lane in heard if lane == lanes[0] or self._roomy_for(lane)]
        if room <= 0:
            heard = [lane for lane in heard if self.qos.own_room(lane) > 0]
        self._left.update(lane for lane in lanes if lane not in heard)
        return [keys.bell(lane) for lane in heard]

    def _lanes(self) -> list[Lane]:
        return [lane for lane in LANES if lane in self._deliver_to]

    def _take(self, wanted: Lane | None = None) -> None:
        """Takes ids for the room that there is and delivers them. An error of Redis costs a second, nothing else.

        Args:
            wanted: The lane that is known to have ids, for which room is found beside a full window. None: any lane.
        """
        lanes, room = self._lanes(), self.qos.room()
        if room <= 0:
            lanes = [lane for lane in lanes if wanted in (None, lane) and self.qos.own_room(lane) > 0][:1]
            room = self.qos.own_room(lanes[0]) if lanes else 0
        if not lanes and wanted:
            self._left.add(wanted)  # its bell was heard, and rings no more
        if not lanes or stopping.is_set():
            return
        settings = self._settings
        call = ledger.take(
            room,
            lanes,
            reservation=int(settings.reservation * 1000),
            retention=settings.retention_ms,
            lease=int(settings.lease * 1000),
            worker=identity.name(),
            interval=settings.interval_ms,
        )
        try:
            taken = self._runner.run(call, TIMEOUT)
        except QueueUnavailable as error:
            if not self._not_before or self._held_back:
                log.warning("take.unavailable", reason=str(error))
            self._left, self._held_back = set(self._lanes()), False
            self._not_before = time.monotonic() + _PAUSE
            return
        pulse.beat()
        tally.ended("expired", taken.expired)
        tally.ended("cancelled", taken.cancelled)
        self._not_before, self._held_back = 0.0, False
        self._note_left(lanes, taken.left)
        if taken.come_back is not None:
            self._hold_back(taken.come_back / 1000)
        elif taken.left and len(taken.jobs) < room and (hub := get_event_loop()):
            hub.call_later(_SOON, self.refill)  # jobs that had ended were in the way, or the pace; go on without a bell
        now = boot_time()
        for job_id, lane, moment in taken.jobs:
            message = LaneMessage(self, job_id, lane, LaneTag(f"{job_id}.{next(self._tags)}"))
            if settings.rate_limit:
                message.headers[MOMENT] = now + moment / 1000
            self.qos.append(message, message.delivery_tag)
            self._deliver_to[lane](message)

    def _note_left(self, lanes: list[Lane], left: Lane | None) -> None:
        """Notes on which lanes ids may be left, after a take from some lanes; of the others nothing new is known."""
        self._left.difference_update(lanes)
        if left:
            self._left.update(lanes[lanes.index(left) :])

    def _hold_back(self, seconds: float) -> None:
        """Takes nothing, and listens to no bell, until something may pass; a gate may open earlier than it said."""
        seconds = min(seconds, _PAUSE)
        self._left, self._held_back = set(self._lanes()), True
        self._not_before = time.monotonic() + seconds
        if hub := get_event_loop():
            hub.call_later(seconds, self.refill)

    def _refused(self, reason: str) -> None:
        """Waits no more for a second: the refusal may come at once, each time. Lanes are looked at meanwhile."""
        if reason != self._refusal:
            log.warning("wait.refused", reason=reason)
        self._refusal, self._wait_from = reason, time.monotonic() + _PAUSE
        if hub := get_event_loop():
            hub.call_later(_PAUSE, lambda: None)  # wakes it

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Waits for a bell of the lanes, or for a message of kombu's own queues."""
        queues = [queue for queue in self._queue_cycle.consume(len(self.active_queues)) if not lane_of(queue)]
        bells = self._bells()
        own = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        if self.qos.room() <= 0:
            own = []
        if (not bells and not own) or time.monotonic() < self._wait_from:
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        if not self._held_back and len(bells) < len(self._deliver_to):
            timeout = _HALF_DEAF
        self.client.connection.send_command("BRPOP", *bells, *own, timeout or self.brpop_timeout)

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401
        connection = self.client.connection
        try:
            answer = self.client.parse_response(connection, "BRPOP", **options)
        except ResponseError as error:
            self._refused(str(error))
            answer = None
        except self.connection_errors:
            connection.disconnect()
            raise
        else:
            self._refusal = ""
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if answer and not bytes_to_str(answer[0]).startswith(_BELL):
            queue = bytes_to_str(answer[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self.connection._deliver(loads(bytes_to_str(answer[1])), queue)  # noqa: SLF001 - kombu's own way in
            return True
        if self._deliver_to:
            self._take(_lane_of_bell(answer))
        if answer:
            return True
        raise redis.Empty


class Poller(redis.MultiChannelPoller):
    """kombu's poller, which looks whether lanes want another take before it waits."""

    def on_poll_start(self) -> None:
        """Runs before each wait of the hub."""
        for channel in list(self._channels):
            channel.refill()
        super().on_poll_start()


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.cycle = Poller()


class SentinelChannel(Channel, redis.SentinelChannel):
    """The same, which asks the sentinels where the master is."""


class SentinelTransport(Transport, redis.SentinelTransport):
    """What `broker_transport` names with a `sentinel://` address."""

    Channel = SentinelChannel


# Flower reads queue lengths by itself, and only for transports that it knows by name.
Connection.resolve_aliases = {
    **Connection.resolve_aliases,
    TRANSPORTS["redis"]: "redis",
    TRANSPORTS["sentinel"]: "sentinel",
}
