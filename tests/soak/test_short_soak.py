"""A soak in short: a fixed seed, every kind of fault that fits into a minute; and that each mutant is one."""

from pathlib import Path

import pytest

from smsq.durability import Durability
from tests.soak.faults import FAULTS
from tests.soak.mutants import MUTANTS
from tests.soak.plant import Plan
from tests.soak.run import soak
from tests.soak.tempo import SHORT


@pytest.mark.timeout(400)  # on a busy machine; the faults themselves take half a minute
def test_nothing_is_lost_and_nothing_sent_twice(tmp_path: Path) -> None:
    """Kills, freezes, restarts, an older copy restored, lost and late answers: the three books agree."""
    plan = Plan(
        seed=7,
        jobs=150,
        faults=10,
        kinds=tuple(FAULTS),
        seconds=25,
        durability=Durability.MEMORY,
        tempo=SHORT,
        pools=(("-c", "10"), ("-P", "threads", "-c", "4")),
        producers=2,
    )
    report = soak(plan, tmp_path, lambda _: None)
    assert report.clean, report.as_text()


@pytest.mark.parametrize("name", [name for name, mutant in MUTANTS.items() if mutant.lines])
def test_each_mutant_replaces_lines_that_are_there(name: str) -> None:
    """A script that has changed must take its mutants along, or a soak would prove nothing with them."""
    folder = Path(__file__).parents[2] / "smsq" / "lua"
    for lines in MUTANTS[name].lines:
        text = (folder / f"{lines.file}.lua").read_text(encoding="utf-8")
        assert lines.replace(text) != text
