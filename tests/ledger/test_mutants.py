"""Each rule's own test fails when the rule is left out (`tests.ledger.mutants`)."""

import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from types import ModuleType

import pytest

from smsq import scripts
from tests.ledger.mutants import FOLLOWING, MUTANTS, TURNS, Mutant

#: Rules without which a search over a model of the protocol found a loss or a double; 13 is there as its test's test.
STARRED = {*range(1, 13), *range(14, 25)}


def mutated(source: str, mutant: Mutant) -> str:
    """Returns a text with a mutant's change, which must fit one place of it."""
    assert source.count(mutant.old) == 1, f"{mutant.file} has {mutant.old!r} {source.count(mutant.old)} times"
    return source.replace(mutant.old, mutant.new)


@pytest.fixture
def scripts_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the scripts that is used in place of the package's."""
    with as_file(files("smsq") / "lua") as folder:
        shutil.copytree(folder, tmp_path / "scripts" / "lua")
    monkeypatch.setattr(scripts, "files", lambda _: tmp_path / "scripts")
    scripts.script.cache_clear()
    yield tmp_path / "scripts" / "lua"
    scripts.script.cache_clear()


def run_mutated(module: ModuleType, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a test's module use a changed module's classes."""
    original = importlib.import_module(mutant.file)
    changed = ModuleType(f"{mutant.file}_mutant")
    monkeypatch.setitem(sys.modules, changed.__name__, changed)  # dataclasses look there
    exec(compile(mutated(inspect.getsource(original), mutant), mutant.file, "exec"), changed.__dict__)  # noqa: S102 - ours
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == mutant.file and inspect.isclass(value):
            monkeypatch.setattr(module, name, getattr(changed, name))
    monkeypatch.setattr(changed, "boot_time", vars(original)["boot_time"])  # which a test may have turned


@pytest.mark.parametrize("mutant", MUTANTS + FOLLOWING + TURNS, ids=lambda each: f"{each.rule} {each.what}")
def test_a_rule_that_is_left_out_is_noticed(
    mutant: Mutant, scripts_of_our_own: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Its own test fails, by what it asserts; and only then is it worth its name."""
    module_name, _, function_name = mutant.test.partition(".")
    module = importlib.import_module(f"tests.ledger.{module_name}")
    test = getattr(module, function_name)
    needed = [name for name in inspect.signature(test).parameters if name not in mutant.given]
    fixtures = {name: request.getfixturevalue(name) for name in needed}
    if mutant.file.endswith(".lua"):
        script = scripts_of_our_own / mutant.file
        script.write_text(mutated(script.read_text(encoding="utf-8"), mutant), encoding="utf-8")
    else:
        run_mutated(module, mutant, monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test(**fixtures, **mutant.given)


def test_every_starred_rule_is_left_out_once() -> None:
    """And each mutant's test names its rule."""
    assert {mutant.rule for mutant in MUTANTS} >= STARRED
    for mutant in MUTANTS:
        assert str(mutant.rule) in re.findall(r"\d+", mutant.test), mutant
