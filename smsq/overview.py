"""What `smsq queues` shows: the ledger at a glance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from smsq.encryption import NO_KEY
from smsq.lanes import LANES, Lane
from smsq.ledger import Pause

#: Milliseconds since a worker's last heartbeat, from which it is lost (it gives one a second), and after which it isn't
#: shown any more.
LOST: Final = 30_000
_REMEMBERED: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits on a lane: jobs, their batches, and when the oldest was accepted (ms), as far as could be seen."""

    jobs: int
    batches: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that is closed: the gateway fails, or refuses a worker's account, or that lacks a key to what waits.

    Times in ms of Redis's clock.
    """

    reason: str
    since: int | None
    probe_at: int | None

    @property
    def keyless(self) -> bool:
        """Whether a worker closed it that can't decrypt what waits; else the gateway did."""
        return self.reason == NO_KEY

    @classmethod
    def read(cls, stored: Mapping[str, str] | None) -> Self | None:
        """Reads a gate; None if it is open."""
        if not stored:
            return None
        return cls(stored.get("reason", ""), _number(stored.get("since")), _number(stored.get("probe_at")))

    def as_dict(self) -> dict[str, Any]:
        """Returns the gate as JSON types."""
        return {"reason": self.reason, "since": iso(self.since), "probeAt": iso(self.probe_at)}


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, by its last heartbeat.

    Attributes:
        name: Its name, Celery's.
        heard: Milliseconds since that heartbeat.
        said: What it said of itself (`worker.app`).
        gate: Why its jobs wait, if the gateway refuses its account.
    """

    name: str
    heard: int
    said: Mapping[str, Any]
    gate: Gate | None

    @classmethod
    def read(cls, name: str, stored: Mapping[str, Any], now: int) -> Self:
        """Reads what `_watching.lua` tells of a worker. A foreign hand's word is a heartbeat of long ago.

        Args:
            name: The worker's.
            stored: Its heartbeat, and the gate of its account.
            now: Redis's time, ms.
        """
        beat, _, words = str(stored["said"]).partition(" ")
        try:
            said, heard = json.loads(words), int(beat)
        except ValueError:
            said, heard = None, 0
        if not isinstance(said, dict):
            said = {}
        return cls(name, max(0, now - heard), said, Gate.read(stored.get("gate")))

    @property
    def live(self) -> bool:
        """Whether it was heard of lately, and isn't leaving: it takes jobs, unless something is wrong with it."""
        return self.heard < LOST and not self.said.get("leaving")

    @property
    def leaving(self) -> bool:
        """Whether it takes no more, and waits for the answers to what it has out."""
        return self.heard < LOST and self.said.get("leaving") is True

    @property
    def in_use(self) -> int:
        """Calls that it has out."""
        number = self.said.get("in_use")
        return number if isinstance(number, int) else 0

    def as_dict(self) -> dict[str, Any]:
        """Returns the worker as JSON types."""
        gate = self.gate.as_dict() if self.gate else None
        return {**self.said, "name": self.name, "live": self.live, "heardMs": self.heard, "account": gate}


@dataclass(frozen=True, slots=True)
class Overview:
    """The ledger at one moment; times in ms of Redis's clock.

    Attributes:
        now: The moment.
        lanes: What waits on each.
        scheduled: Jobs that wait for a moment of their own: an entry of `due` each.
        overdue: Those whose moment has come, and that no worker has looked at.
        states: In what state the first of them are; ``reserved`` (taken, not begun) and ``asking`` besides.
        looked: How many these are.
        ended: Jobs that failed, and that are unknown.
        parked: What was put aside.
        counters: What was dropped from lanes or put back, by kind, since the ledger was new.
        pauses: What operators hold back, by lane or ``all``.
        circuit: The gate of a gateway that fails, if it is closed.
        pace: What `SMSQ_RATE_LIMIT` was lowered by, if it is.
        workers: Those that were heard of in the last hour, by name.
    """

    now: int
    lanes: Mapping[Lane, Waiting]
    scheduled: int
    overdue: int
    states: Mapping[str, int]
    looked: int
    ended: Mapping[str, int]
    parked: int
    counters: Mapping[str, int] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    circuit: Gate | None = None
    pace: Mapping[str, Any] | None = None
    workers: tuple[Worker, ...] = ()

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Reads what `overview.lua` answers."""
        now, due = found["now"], found["due"]
        lanes = {
            lane: Waiting(
                found["lanes"][lane]["waiting"], found["lanes"][lane]["batches"], found["lanes"][lane].get("oldest")
            )
            for lane in LANES
        }
        return cls(
            now,
            lanes,
            due["entries"],
            due["come"],
            dict(due["states"]),
            due["looked"],
            found["ended"],
            found["parked"],
            {name: number for name, stored in found["counters"].items() if (number := _number(stored)) is not None},
            {lane: Pause.read(lane, stored) for lane, stored in found["pauses"].items()},
            Gate.read(found.get("circuit")),
            _pace(found["pace"], now),
            tuple(_workers(found["workers"], now)),
        )

    @property
    def rates(self) -> list[str]:
        """What live workers have as `SMSQ_RATE_LIMIT`; it should be one, of all."""
        return sorted({str(each.said["rate"]) for each in self.live if each.said.get("rate")})

    @property
    def live(self) -> list[Worker]:
        """The workers that live."""
        return [each for each in self.workers if each.live]

    @property
    def in_flight(self) -> int:
        """Calls that workers have out, those that are leaving too."""
        return sum(each.in_use for each in self.workers if each.live or each.leaving)

    def pause_of(self, lane: Lane) -> Pause | None:
        """Returns what operators hold a lane back by, or None."""
        return self.pauses.get("all") or self.pauses.get(lane)

    @property
    def paused(self) -> str | None:
        """Why nothing is sent but probes; None if something is."""
        held = [self.pause_of(lane) for lane in LANES]
        if all(held):
            return "operators: " + "; ".join(dict.fromkeys(each.reason for each in held if each))
        if self.circuit:
            return f"the gateway fails: {self.circuit.reason}"
        gates = [each.gate for each in self.live]
        if gates and all(gates):
            reasons = "; ".join(dict.fromkeys(gate.reason for gate in gates if gate))
            keyless = all(gate.keyless for gate in gates if gate)
            what = "no live worker can read what waits" if keyless else "the account of every live worker is refused"
            return f"{what}: {reasons}"
        return None

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON types."""
        lanes = {
            lane: {
                "waiting": each.jobs,
                "batches": each.batches,
                "oldestAt": iso(each.oldest),
                "paused": pause.reason if (pause := self.pause_of(lane)) else None,
            }
            for lane, each in self.lanes.items()
        }
        return {
            "lanes": lanes,
            "due": {
                "total": self.scheduled,
                "overdue": self.overdue,
                "looked": self.looked,
                "states": dict(self.states),
            },
            "inFlight": self.in_flight,
            **{state: self.ended[state] for state in ("failed", "unknown")},
            "parked": self.parked,
            "counters": dict(self.counters),
            "paused": self.paused,
            "pauses": {lane: {"since": iso(each.since), "reason": each.reason} for lane, each in self.pauses.items()},
            "circuit": self.circuit.as_dict() if self.circuit else None,
            "rates": self.rates,
            "pace": self.pace,
            "workers": [each.as_dict() for each in self.workers],
        }


def iso(milliseconds: int | None) -> str | None:
    """Returns a moment of Redis's clock (ms) as JSON has it, None for none."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # a foreign hand's
        return None


def _number(stored: str | None) -> int | None:
    try:
        return int(float(stored)) if stored else None
    except (ValueError, OverflowError):
        return None


def _pace(stored: Mapping[str, str], now: int) -> dict[str, Any] | None:
    """What "too many calls" has done to the pace, while it lasts."""
    hold, until = _number(stored.get("hold")) or 0, _number(stored.get("factor_until")) or 0
    if max(hold, until) <= now:
        return None
    return {
        "reason": stored.get("reason", ""),
        "heldUntil": iso(hold) if hold > now else None,
        "slowerBy": (_number(stored.get("factor")) or 1) if until > now else 1,
        "until": iso(max(hold, until)),
    }


def _workers(stored: Mapping[str, Mapping[str, Any]], now: int) -> list[Worker]:
    found = []
    for name, each in sorted(stored.items()):
        worker = Worker.read(name, each, now)
        if worker.heard < _REMEMBERED:
            found.append(worker)
    return found
