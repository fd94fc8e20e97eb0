"""The lanes, highest priority first, and the Celery names that go with them."""

from typing import Final, Literal, get_args

Lane = Literal["urgent", "normal", "bulk"]

LANES: Final[tuple[Lane, ...]] = get_args(Lane)

TASK_NAME: Final = "smsq.send"
QUEUE_PREFIX: Final = "sms."
#: Header of a task under a rate limit: when it may be called (CLOCK_BOOTTIME, seconds).
MOMENT: Final = "smsq_moment"


def queue_name(lane: Lane) -> str:
    """Returns the Celery queue (and Redis list) of a lane: ``sms.urgent``."""
    return QUEUE_PREFIX + lane


def lane_of(queue: str) -> Lane | None:
    """Returns the lane that a Celery queue stands for, or None for a queue that isn't ours."""
    return _BY_QUEUE.get(queue)


_BY_QUEUE: Final[dict[str, Lane]] = {queue_name(lane): lane for lane in LANES}
