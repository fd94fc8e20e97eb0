"""What `smsq top` shows: looks at the ledger, the rates between them, and a frame of lines of both."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from smsq.cli_output import one_line
from smsq.cli_overview import gate_words, pace_words, span
from smsq.lanes import LANES, Lane
from smsq.overview import Overview, Worker

#: Columns of a frame: a terminal has eighty, and none scrolls when its last one stays empty.
WIDTH: Final = 79
#: Milliseconds that a rate is the mean of.
_WINDOW: Final = 10_000
_BAR: Final = 10


class Line(NamedTuple):
    """A line of a frame, and how it stands out."""

    text: str
    style: Literal["plain", "title", "heading", "warning"] = "plain"


@dataclass(frozen=True, slots=True)
class PerSecond:
    """What changes, a second; None where there is no telling yet.

    Attributes:
        jobs: Jobs that live workers begin.
        lanes: By how much what waits on each lane grows, or shrinks.
        workers: Jobs that each live worker begins.
    """

    jobs: float | None
    lanes: Mapping[Lane, float | None]
    workers: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Returns the rates as JSON types."""
        return {"jobs": self.jobs, "lanes": dict(self.lanes), "workers": dict(self.workers)}


class Rates:
    """Makes rates of one look after another."""

    def __init__(self) -> None:
        self._lanes: defaultdict[Lane, _Slope] = defaultdict(_Slope)
        self._workers: defaultdict[tuple[str, object, object], _Slope] = defaultdict(_Slope)

    def add(self, overview: Overview) -> PerSecond:
        """Adds a look, and returns the rates up to it."""
        lanes = {lane: self._lanes[lane].add(overview.now, each.jobs) for lane, each in overview.lanes.items()}
        workers = {each.name: self._of_worker(each, overview.now) for each in overview.live}
        known = [each for each in workers.values() if each is not None]
        return PerSecond(round(sum(known), 1) if known else None, lanes, workers)

    def _of_worker(self, worker: Worker, now: int) -> float | None:
        begun = worker.said.get("begun")
        if not isinstance(begun, int):  # an older version's, or a foreign hand's
            return None
        # A restart under the same name counts from nought again: it is another worker.
        life = (worker.name, str(worker.said.get("started")), str(worker.said.get("pid")))
        return self._workers[life].add(now - worker.heard, begun)


class _Slope:
    """How fast a number changes, over the last `_WINDOW`."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, int]] = deque()

    def add(self, at: int, value: int) -> float | None:
        """Adds the number at a moment (ms), and returns its change a second."""
        points = self._points
        if points and at < points[-1][0]:  # Redis's clock went back, or another server has taken over
            points.clear()
        if not points or at > points[-1][0]:
            points.append((at, value))
        while at - points[0][0] > _WINDOW:
            points.popleft()
        (first, then), (last, now) = points[0], points[-1]
        return round((now - then) * 1000 / (last - first), 1) if last > first else None


def frame(overview: Overview, rates: PerSecond) -> list[Line]:
    """Returns a look and its rates as lines of at most `WIDTH` characters, what matters most first."""
    lines = [*_head(overview, rates), Line(""), *_lanes(overview, rates), Line("")]
    lines += [*_states(overview), Line(""), *_workers(overview, rates)]
    return [Line(_cut(text.rstrip()), style) for text, style in lines]


def _head(overview: Overview, rates: PerSecond) -> Iterator[Line]:
    slots = sum(_number(each, "slots") or 0 for each in overview.live)
    parts = [
        f"smsq top  {_clock(overview.now)}",
        _many(len(overview.live), "worker"),
        f"{_rate(rates.jobs)} jobs/s",
        f"{overview.in_flight} of {_many(slots, 'call')}",
        *(f"limit {each}" for each in overview.rates),
    ]
    yield Line("   ".join(parts), "title")
    warnings: dict[str, str | None] = {
        "paused": overview.paused,
        "circuit": gate_words(overview.circuit, overview.now),
        "pace": pace_words(overview.pace),
        "overdue": f"{overview.overdue}, and no worker has looked at them" if overview.overdue else None,
        "parked": f"{overview.parked}; smsq parked lists them" if overview.parked else None,
    }
    for name, words in warnings.items():
        if words:
            yield Line(f"{name}: {one_line(words)}", "warning")


def _lanes(overview: Overview, rates: PerSecond) -> Iterator[Line]:
    yield Line(f"{'LANE':<8}{'WAITING':>10}{'CHANGE/S':>11}{'BATCHES':>9}  {'OLDEST':<10}", "heading")
    for lane, each in overview.lanes.items():
        oldest = "-" if each.oldest is None else span(overview.now - each.oldest)
        pause = overview.pause_of(lane)
        text = f"{lane:<8}{each.jobs:>10}{_rate(rates.lanes[lane], sign='+'):>11}{each.batches:>9}  {oldest:<10}"
        yield Line(f"{text}paused: {one_line(pause.reason)}", "warning") if pause else Line(text)


def _states(overview: Overview) -> Iterator[Line]:
    some = f"of the first {overview.looked}" if overview.looked < overview.scheduled else ""
    yield Line(f"{'STATE':<12}{'JOBS':>6}  {some}", "heading")
    for state, number in sorted(overview.states.items()):
        yield Line(f"{state:<12}{number:>6}")
    for state, number in overview.ended.items():
        yield Line(f"{state:<12}{number:>6}", "warning" if number else "plain")


def _workers(overview: Overview, rates: PerSecond) -> Iterator[Line]:
    yield Line(f"{'WORKER':<22}{'JOBS/S':>8}  {'CALLS':<20}{'RESERVED':>9}  LANES", "heading")
    for each in sorted(overview.workers, key=lambda each: not each.live):
        name = f"{_cut(one_line(each.name), 21):<22}"
        if not each.live:
            what = f"leaving, {each.in_use} calls out" if each.leaving else f"not heard of for {span(each.heard)}"
            yield Line(f"{name}{'-':>8}  {what}", "warning")
            continue
        slots = _number(each, "slots") or 0
        text = f"{name}{_rate(rates.workers.get(each.name)):>8}  {_bar(each.in_use, slots)} "
        text += f"{f'{each.in_use}/{slots}':<9}{_number(each, 'reserved') or 0:>9}  {_lanes_of(each)}"
        yield Line(text)
        if each.gate:
            what = "it lacks a key" if each.gate.keyless else "its account is refused"
            yield Line(f"  {what}, {one_line(gate_words(each.gate, overview.now) or '')}", "warning")


def _number(worker: Worker, name: str) -> int | None:
    found = worker.said.get(name)
    return found if isinstance(found, int) else None


def _lanes_of(worker: Worker) -> str:
    lanes = worker.said.get("lanes")
    if not isinstance(lanes, list):
        return "?"
    return "all" if set(LANES) == set(map(str, lanes)) else one_line(",".join(map(str, lanes))) or "none"


def _bar(part: int, whole: int) -> str:
    filled = min(_BAR, max(0, -(-part * _BAR // whole))) if whole > 0 else 0  # one call of a hundred shows too
    return "#" * filled + "." * (_BAR - filled)


def _rate(number: float | None, sign: Literal["", "+"] = "") -> str:
    if number is None:
        return "-"
    return f"{number:{sign}.1f}" if number else "0"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _clock(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S UTC")


def _cut(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
