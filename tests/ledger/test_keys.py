"""The names of Redis's keys: the same in the scripts, in Python and in the table that people read."""

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from smsq import keys, ledger
from smsq.job import RECORD_VERSION
from smsq.lanes import LANES, Lane, queue_name
from smsq.ledger import Heard, Look
from smsq.scripts import SHARED
from smsq.states import FINAL, State
from tests.ledger.actor import IDS, POLICY, Actor, outcome
from tests.ledger.snapshot import JOB_ID

FOLDER = files("smsq") / "lua"
SCRIPTS = sorted(each.name.removesuffix(".lua") for each in FOLDER.iterdir())
URGENT_AND_NORMAL: tuple[Lane, ...] = ("urgent", "normal")


def test_the_scripts_and_python_agree(act: Actor) -> None:
    """Keys, states, lanes and the record's version are the same on both sides."""
    parts = [(FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in SHARED]
    names = """
    local function names(set) local found = {} for name in pairs(set) do found[#found + 1] = name end return found end
    return {job_key('x'), batch_key('x'), DUE, ENDED .. 'x', CIRCUIT, worker_gate('x'), PACE, VERSION, names(LANES),
            names(FINAL), names(OPEN)}
    """
    found = act.client.eval("\n".join(["local READS_ONLY = true", *parts, names]), 0, 0, 0)
    *named, version, lanes, final, still_open = found
    assert named == [
        keys.job("x"), keys.batch("x"), keys.DUE, keys.ended("x"), keys.CIRCUIT, keys.worker_gate("x"), keys.PACE,
    ]  # fmt: skip
    assert version == RECORD_VERSION
    assert set(lanes) == set(LANES)
    assert set(final) == FINAL
    assert set(still_open) == set(State) - FINAL


def test_every_key_is_one_that_python_knows(act: Actor) -> None:
    """Whatever the scripts write has its name in `smsq.keys`, with the type that its table says."""
    sent, waiting, damaged = act.enqueue(batch_id="b", key="k"), act.enqueue(batch_id="c"), act.enqueue()
    act.start(sent, tokens=False)
    act.settle(replace(outcome(sent, State.SENT), heard=Heard("slow", "code 30", 1)))
    act.client.set(keys.job(damaged), "x")
    act.begin(damaged)
    act.client.rpush(keys.waiting("bulk", "d"), act.new_id())
    act.client.rpush(keys.ring("bulk"), "d")
    act.take(1, ("bulk",))
    act.pass_time(1)
    lost = act.start(act.enqueue(), "n", tokens=False)
    act.run(ledger.watch(lost))
    act.settle(replace(outcome(lost, State.UNKNOWN, token="n"), heard=Heard("failing", "down")), circuit_after=1)
    act.run(ledger.untake([waiting]))
    act.client.set(keys.waiting("urgent", ""), "x")
    urgent, scheduled = act.enqueue(lane="urgent"), act.enqueue(delay=1000)
    act.run(ledger.take_due(Look(10, 0, 1, "n", "w"), POLICY))
    named = {keys.job(each) for each in (sent, waiting, damaged, lost, urgent, scheduled)}
    named |= {keys.batch("b"), keys.batch("c"), keys.idempotency("k"), keys.wake(lost)}
    named |= {key for lane in URGENT_AND_NORMAL for key in (keys.ring(lane), keys.bell(lane), queue_name(lane))} | {
        keys.waiting("urgent", "")
    }
    named |= {
        keys.PARKED,
        keys.COUNTERS,
        keys.EPOCH,
        keys.CANARY,
        keys.PACE,
        keys.CIRCUIT,
        keys.WORKERS,
        keys.DUE,
        keys.WELL,
    }
    named |= {keys.waiting("normal", "c"), keys.ended("unknown"), f"smsq:aside:{keys.waiting('urgent', '')}"}
    named |= {f"smsq:message:{IDS[0] // 100}", f"smsq:campaign:{IDS[1] // 100}"}
    kinds = act.look().kinds
    twins = {key for key in kinds if key.startswith(keys.twins(""))}
    assert len(twins) == 1
    assert set(kinds) == named | twins
    rows = documented()
    for key, kind in kinds.items():
        said = next(kind for pattern, kind in rows.items() if re.fullmatch(pattern, key))
        assert said in ("any", kind.replace("string", "str")) or key == keys.job(damaged), key


def documented() -> dict[str, str]:
    """Returns the table of `smsq.keys`: a pattern for each key, and its type; longer names first."""
    assert keys.__doc__
    rows = re.findall(r"^(sms\S+) +(\w+) ", keys.__doc__, re.MULTILINE)
    patterns = {re.sub(r"<\w+>", ".*", re.escape(key)): kind for key, kind in rows}
    return dict(sorted(patterns.items(), key=lambda row: -len(row[0])))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_key_in_a_script_has_its_row_in_the_table(name: str) -> None:
    """Whoever gives a script a new key writes down what it is."""
    rows = [pattern.split(".*")[0] for pattern in documented()]
    named = re.findall(r"'(smsq?[.:][a-z:]*)", (FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
    assert [key for key in named if not any(re.escape(key) in (row, row[: len(re.escape(key))]) for row in rows)] == []


def test_f13_members_are_bare_ids(act: Actor) -> None:
    """After every kind of life, lists and `due` hold ids of the documented form, and `due` those that wait for it."""
    every = {state: act.in_state(state) for state in State}
    handed_back = act.enqueue()
    act.take()
    assert act.run(ledger.untake([handed_back])) == 1
    taken = act.look()
    assert set(taken.due) == {job_id for state, job_id in every.items() if state not in FINAL}
    for lane in LANES:
        assert all(JOB_ID.fullmatch(job_id) for ids in taken.waiting(lane).values() for job_id in ids)
