"""The steps at which a web process of the outbox's tests stops, to be killed; the names that its command line takes."""

import sys
from typing import Any, Final

from smsq import SmsQueue

BEFORE_COMMIT: Final = "before commit"
AFTER_COMMIT: Final = "after commit"
#: The queue has the job, the row isn't marked.
AFTER_HANDING_OVER: Final = "after handing over"
ROLLED_BACK: Final = "rolled back"
SAVEPOINT_ROLLED_BACK: Final = "savepoint rolled back"
NEVER: Final = "never"

#: In the order in which they are taken: the first one holds SQLite's lock until it is killed.
STEPS: Final = (BEFORE_COMMIT, AFTER_COMMIT, AFTER_HANDING_OVER, ROLLED_BACK, SAVEPOINT_ROLLED_BACK, NEVER)
#: After these, there is a row.
COMMITTED: Final = (AFTER_COMMIT, AFTER_HANDING_OVER, NEVER)
#: These end by themselves.
ENDING: Final = (ROLLED_BACK, SAVEPOINT_ROLLED_BACK, NEVER)


def stop_here(step: str, wanted: str) -> None:
    """Says that the step is reached, and waits to be killed."""
    if step == wanted:
        print("here", flush=True)
        sys.stdin.read()


def stop_after_handing_over(wanted: str) -> None:
    """Has the process stop once the queue has a job."""
    enqueue, aenqueue = SmsQueue.enqueue, SmsQueue.aenqueue

    def then_stop(queue: SmsQueue, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the real one
        job = enqueue(queue, *arguments, **options)
        stop_here(AFTER_HANDING_OVER, wanted)
        return job

    async def athen_stop(queue: SmsQueue, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the real one
        job = await aenqueue(queue, *arguments, **options)
        stop_here(AFTER_HANDING_OVER, wanted)
        return job

    SmsQueue.enqueue = then_stop  # type: ignore[method-assign, assignment]
    SmsQueue.aenqueue = athen_stop  # type: ignore[method-assign, assignment]
