"""Each mechanism that is taken out costs a loss or a double, and the soak reports it (`make faults`)."""

from pathlib import Path

import pytest

from smsq.durability import Durability
from tests.soak.books import Defect
from tests.soak.mutants import MUTANTS
from tests.soak.plant import Plan
from tests.soak.run import soak
from tests.soak.tempo import LONG

#: What the faults meet is chance: where one seed's do no harm, the next one's may.
_SEEDS = (4, 5, 6)
_POOLS = (("-c", "20"), ("-c", "20"), ("-P", "prefork", "-c", "3"))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_missing_mechanism_is_reported(name: str, tmp_path: Path) -> None:
    """Without it messages are lost, or sent twice, under the faults that it is there for."""
    mutant = MUTANTS[name]
    for seed in _SEEDS:
        plan = Plan(
            seed=seed,
            jobs=700,
            faults=16,
            kinds=mutant.faults,
            seconds=45,
            durability=Durability.MEMORY,
            tempo=LONG,
            pools=mutant.pools or _POOLS,
            mutant=name,
        )
        folder = tmp_path / str(seed)
        folder.mkdir()
        report = soak(plan, folder, lambda _: None)
        if report.verdict.count(Defect.TWICE) or report.verdict.count(Defect.LOST):
            return
    pytest.fail(f"nothing was lost or sent twice:\n{report.as_text()}")
