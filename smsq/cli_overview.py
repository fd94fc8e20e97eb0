"""How `smsq queues` and `smsq why` are printed for people; their JSON is `Overview.as_dict` and `Event.as_dict`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from smsq.cli_output import Exit, print_json, print_line, print_rows
from smsq.operate import Timeline
from smsq.overview import Gate, Overview, Worker
from smsq.timeline import Event

#: Seconds of doing nothing that are none of anybody's business: an idle worker looks once a second.
_QUIET = 10


def show_overview(overview: Overview, *, as_json: bool) -> Exit:
    """Prints the ledger at a glance: a table of the lanes, then a row for each thing there is to know."""
    if as_json:
        print_json(overview.as_dict())
        return Exit.DONE
    table = [("lane", "waiting", "batches", "oldest", "")]
    for lane, each in overview.lanes.items():
        pause = overview.pause_of(lane)
        oldest = "-" if each.oldest is None else span(overview.now - each.oldest)
        table.append((lane, str(each.jobs), str(each.batches), oldest, f"paused: {pause.reason}" if pause else ""))
    _print_table(table)
    some = f" (of the first {overview.looked})" if overview.looked < overview.scheduled else ""
    states = ", ".join(f"{number} {state}" for state, number in sorted(overview.states.items()))
    rows: dict[str, object] = {
        "paused": overview.paused,
        "due": f"{overview.scheduled}, {overview.overdue} of them overdue" + (f": {states}{some}" if states else ""),
        "in flight": overview.in_flight,
        "failed": overview.ended["failed"],
        "unknown": overview.ended["unknown"],
        "parked": overview.parked,
        "counted": ", ".join(f"{number} {name}" for name, number in sorted(overview.counters.items())) or None,
        "circuit": gate_words(overview.circuit, overview.now),
        "rate": " and ".join(overview.rates) or None,
        "pace": pace_words(overview.pace),
        "workers": f"{len(overview.live)} live",
    }
    print_rows(rows)
    for worker in overview.workers:
        print_line("  " + "  ".join(_worker(worker, overview.now)))
    return Exit.DONE


def show_timeline(timeline: Timeline, *, as_json: bool) -> Exit:
    """Prints what happened to a job, a line for each event, and what it waits for."""
    job, events, waits_for = timeline
    if as_json:
        found = {"id": job.id, "state": str(job.state), "attempts": job.attempts}
        print_json(found | {"events": [each.as_dict() for each in events], "waitsFor": waits_for})
        return Exit.DONE
    width = max(len(each.name) for each in events)
    for each in events:
        moment = datetime.fromtimestamp(each.at / 1000, UTC).isoformat(timespec="milliseconds")
        print_line(f"{moment}  {each.name:<{width}}  {_detail(each)}".rstrip())
    if waits_for:
        print_line(f"it is {job.state}, and waits for {waits_for}")
    return Exit.DONE


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_line("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def gate_words(gate: Gate | None, now: int) -> str | None:
    """Returns why a gate is closed, since when and when the next probe goes out (`now` in ms); None if it is open."""
    if gate is None:
        return None
    since = f"for {span(now - gate.since)}" if gate.since is not None else ""
    probe = f"; next probe in {span(max(0, gate.probe_at - now))}" if gate.probe_at is not None else ""
    return f"closed {since}: {gate.reason}{probe}"


def pace_words(pace: Mapping[str, Any] | None) -> str | None:
    """Returns what "too many calls" has done to the pace, None for nothing."""
    if pace is None:
        return None
    held = f"nobody calls until {pace['heldUntil']}; " if pace["heldUntil"] else ""
    return f"{held}slower by {pace['slowerBy']:g} until {pace['until']}: {pace['reason']}"


def _worker(worker: Worker, now: int) -> Iterator[str]:
    yield worker.name
    if not worker.live:
        yield f"leaving, {worker.in_use} calls out" if worker.leaving else f"not heard of for {span(worker.heard)}"
        return
    said = worker.said
    yield f"{worker.in_use} of {said.get('slots', '?')} calls, {said.get('reserved', '?')} reserved"
    yield ",".join(map(str, said.get("lanes", [])))
    stalled = said.get("stalled")
    if isinstance(stalled, int | float) and stalled >= _QUIET:
        yield f"has done nothing for {span(round(stalled * 1000))} though it should"
    if worker.gate:
        yield f"{'it lacks a key' if worker.gate.keyless else 'its account is refused'}, {gate_words(worker.gate, now)}"


def _detail(event: Event) -> str:
    added = []
    if event.calls is not None:
        added.append("1 call" if event.calls == 1 else f"{event.calls} calls")
    if event.took is not None:
        added.append(span(event.took))
    if event.waited:
        added.append(f"after {span(event.waited)} of waiting for {event.waited_for}")
    return f"{event.detail} ({', '.join(added)})".strip() if added else event.detail


def span(milliseconds: int) -> str:
    """Returns a time span for people, in the unit that suits it."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{milliseconds} ms"
