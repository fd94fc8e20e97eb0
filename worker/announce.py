"""Tells monitors such as Flower, and our metrics, what became of a job that was asked about: no task runs for it."""

from typing import Any

from smsq.ledger import Told
from smsq.ledger.asking import AnswerWord
from tasks.tally import OUTCOMES, tally


class Announcer:
    """Sends the events that end a task's life, from the worker's main thread.

    Args:
        parent: Celery's worker.
    """

    def __init__(self, parent: Any) -> None:  # noqa: ANN401
        self._parent = parent

    def __call__(self, told: Told, word: AnswerWord) -> None:
        """Takes in an answer; thread-safe."""
        hub = getattr(self._parent, "hub", None)
        if hub is not None and word not in ("again", "later", "stale"):
            hub.call_soon(self._send, told, word)

    def _send(self, told: Told, word: AnswerWord) -> None:
        if word in OUTCOMES:
            tally.ended(word)
        events = getattr(getattr(self._parent, "consumer", None), "event_dispatcher", None)
        if events is None or not events.enabled:
            return
        match word:
            case "sent":
                message_id, campaign_id, status = told.ids[0]
                result = {"campaignId": campaign_id, "messageId": message_id, "status": status}
                events.send("task-succeeded", uuid=told.job_id, result=repr(result), runtime=0.0)
            case "expired" | "cancelled":
                revoked = {"terminated": False, "signum": None, "expired": word == "expired"}
                events.send("task-revoked", uuid=told.job_id, **revoked)
            case _:
                name = "SmsUnknown" if word == "unknown" else "SmsNotSent"
                events.send("task-failed", uuid=told.job_id, exception=f"{name}({told.reason!r})", traceback="")
