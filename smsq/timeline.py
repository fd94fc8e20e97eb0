"""What `smsq why` shows: a job's life, of its record and the lines that the scripts have noted in it.

Only what was out of the ordinary is noted (`note` in `_record.lua`): a job that was sent at the first try has no lines,
and its one attempt is told by its fields. Nothing here holds a number, a text or a key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from smsq.ledger import Pause, Story
from smsq.overview import Overview, iso
from smsq.states import State

_LINE: Final = re.compile(r"([0-9]{1,14}) (\w+) ?(.*)")
_ATTEMPT: Final = re.compile(r"calls=([0-9]+) took=([0-9]+) ?(.*)")
#: What a job waits for after each of these; else for its turn on the lane.
_WAITED_FOR: Final = {"scheduled": "its moment", "retrying": "its next try"}
#: What ends a wait for a call; unless it was one for an answer about a call.
_ENDS_A_WAIT: Final = ("attempt", "expired", "cancelled")
_AFTER_SENT: Final = ("moderation", "passed")
_ASKED: Final = ("asking", "asked")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        at: When, or when it was over; ms of Redis's time.
        name: What: ``accepted``, ``attempt``, ``asked``, a final state, ….
        detail: In a few words.
        calls: With an attempt: calls to the gateway, several if it was tried again in place; None if nobody knows.
        took: With an attempt: ms from its begin to its outcome.
        waited: With an attempt, an end without one, and when its moment came: ms since what happened before.
        waited_for: What for.
    """

    at: int
    name: str
    detail: str = ""
    calls: int | None = None
    took: int | None = None
    waited: int | None = None
    waited_for: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the event as JSON types."""
        found: dict[str, Any] = {"at": iso(self.at), "event": self.name, "detail": self.detail}
        if self.name == "attempt":
            found |= {"calls": self.calls, "tookMs": self.took}
        if self.waited is not None:
            found |= {"waitedMs": self.waited, "waitedFor": self.waited_for}
        return found


def events_of(story: Story) -> list[Event]:
    """Returns what happened to a job, in order."""
    events = [Event(_accepted(story), "accepted", _where(story)), *_came_due(story)]
    sent_at = None if story.job.state is not State.SENT else _done(story)
    for event in _noted(story):
        if event.name in _AFTER_SENT and not any(each.name == "sent" for each in events):
            # What follows, a moderator's decision too, came after it was sent; a forgotten job's first line is gone.
            sent_at = event.at if event.name == "moderation" else _done(story)
            events += _sent(story, events, sent_at)
        events.append(_with_wait(event, events[-1], story))
    if sent_at is not None and not any(each.name == "sent" for each in events):
        events += _sent(story, events, sent_at)
    if story.job.state.final and story.job.state is not State.SENT:
        end = Event(_done(story), str(story.job.state), _outcome(story))
        events.append(_with_wait(end, events[-1], story))
    return events


def waits_for_moderator(story: Story) -> str | None:
    """Returns what a job waits for that was sent and isn't let pass yet; None if it doesn't."""
    moderated = story.job.state is State.SENT and story.job.campaign_status == 1 and "follow" in story.record
    return "a moderator's decision" if moderated else None


def waits_for(story: Story, overview: Overview) -> str | None:
    """Returns what a job waits for now, in a few words; None if it has ended.

    Args:
        story: The job's.
        overview: The ledger's, read at about the same time.
    """
    job, due = story.job, iso(story.due)
    asking = '"from"' in story.record.get("ask", "")
    match job.state:
        case State.SCHEDULED:
            return f"its moment, {due}"
        case State.RETRYING:
            return f"its next try, {due}"
        case State.SENDING if asking:
            about = "a call that Redis may have forgotten" if story.doubt else "its call"
            return f"an answer of the gateway about {about}; the next question is due {due}"
        case State.SENDING:
            return f"the end of its call; asked about if nothing is heard until {due}"
        case State.QUEUED if story.due is not None:
            return f"the worker that took it to begin; another may from {due}"
        case State.QUEUED:
            return "; ".join(_held_back(story, overview)) or "its turn on the lane"
    return None


def _held_back(story: Story, overview: Overview) -> Iterator[str]:
    """What keeps a job on its lane; nothing if it is other jobs alone."""
    lane = story.job.lane
    if pause := overview.pause_of(lane):
        yield _resumed(pause)
    if overview.circuit:
        yield f"the gateway to be well again ({overview.circuit.reason})"
    serving = [each for each in overview.live if lane in each.said.get("lanes", [lane])]
    gates = [each.gate for each in serving if each.gate]
    if not serving:
        yield f"a worker: none that is live takes {lane} jobs"
    elif len(gates) == len(serving):
        what = "a worker that has the key" if gates[0].keyless else "the account to be accepted again"
        yield f"{what} ({gates[0].reason})"
    if overview.pace:
        yield f"the common pace ({overview.pace['reason']})"
    if story.doubt:
        yield "then the gateway is asked first: Redis may have forgotten a call"


def _accepted(story: Story) -> int:
    return round(story.job.accepted_at.timestamp() * 1000)


def _done(story: Story) -> int:
    done = story.job.done_at
    return round(done.timestamp() * 1000) if done else story.now


def _where(story: Story) -> str:
    batch = story.job.batch_id
    return f"lane {story.job.lane}" + (f", batch {batch}" if batch else "")


def _came_due(story: Story) -> Iterator[Event]:
    """The moment of its `send_at`, once it has come."""
    moment = story.record.get("send_at", "")
    deferred = " scheduled " in story.record.get("log", "")  # by its worker: that wait is told where it began
    if moment.isdigit() and int(moment) <= _done(story) and not deferred:
        yield Event(int(moment), "due", waited=int(moment) - _accepted(story), waited_for="its moment")


def _noted(story: Story) -> Iterator[Event]:
    for line in story.record.get("log", "").splitlines():
        if found := _LINE.fullmatch(line):
            at, name, detail = int(found[1]), found[2], found[3]
            if attempt := _ATTEMPT.fullmatch(detail):
                outcome = f"{name}: {attempt[3]}" if attempt[3] else name
                yield Event(at, "attempt", outcome, int(attempt[1]), int(attempt[2]))
            else:
                yield Event(at, name, detail)


def _sent(story: Story, events: list[Event], at: int) -> Iterator[Event]:
    """How a job was sent, and its ids."""
    job, last = story.job, events[-1]
    if (attempt := _unnoted_attempt(story, events, at)) is not None:
        yield (last := _with_wait(attempt, last, story))
    delivery = f", {job.delivery}" if job.delivery else ""
    end = Event(at, "sent", f"messageId {job.message_id}, campaignId {job.campaign_id}{delivery}")
    yield _with_wait(end, last, story)


def _unnoted_attempt(story: Story, events: list[Event], at: int) -> Event | None:
    """The attempt by which a job was sent: it is in the record's fields alone."""
    took = story.record.get("took", "")
    if not took.isdigit() or events[-1].name in ("found", "marked"):
        return None
    before = sum(each.calls or 0 for each in events) + sum(each.name == "lost" for each in events)
    calls = story.job.attempts - before
    return Event(at, "attempt", "sent", calls if calls > 0 else None, int(took))


def _with_wait(event: Event, before: Event, story: Story) -> Event:
    """Adds for how long a job had waited, and what for, to what ended its waiting."""
    if event.name not in _ENDS_A_WAIT or before.name in _ASKED:
        return event
    begin = event.at - (event.took or 0)
    state = before.detail.partition(":")[0] if before.name == "attempt" else before.name
    paused = [pause for until, pause in story.pauses if until > before.at and (pause.since or 0) < begin]
    waited_for = _resumed(paused[0]) if paused else _WAITED_FOR.get(state, "its turn")
    return replace(event, waited=max(0, begin - before.at), waited_for=waited_for)


def _resumed(pause: Pause) -> str:
    return f"operators to resume {pause.lane if pause.lane != 'all' else 'all lanes'} ({pause.reason})"


def _outcome(story: Story) -> str:
    return str(story.job.error) if story.job.error else ""
