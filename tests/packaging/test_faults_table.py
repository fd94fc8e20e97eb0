"""docs/faults.md: every fault has its row, and every test that a row names is there."""

import ast
import re
from functools import cache

import pytest

from tests.support.sandbox import ROOT

TABLE = ROOT / "docs" / "faults.md"
#: The numbers of the faults, in the order of the table: Redis; the worker; the gateway; texts; people.
NUMBERS = (
    *(1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21),
    *(24, 26, 28, 29, 30, 31, 32, 33, 34, 36, 37, 38, 40, 41, 42, 43, 44, 46, 48, 49, 51, 54, 92),
    *(55, 58, 59, 61, 62, 63, 64, 67, 68, 70, 93),
    *(72, 73, 74, 75, 76, 77, 80, 82),
    *(84, 85, 88, 89, 90),
)
FAULTS = [f"F{number:02}" for number in NUMBERS]
_ROW = re.compile(r"^\| (F\d\d) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    """Returns what checks each fault, as the table has it."""
    return {number: checks for number, _, checks in _ROW.findall(TABLE.read_text(encoding="utf-8"))}


@cache
def names_in(file: str) -> frozenset[str]:
    """Returns the names of a file's tests."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_fault_has_its_row() -> None:
    """Each number is there once, in the order of this list, and nothing else looks like a row."""
    found = re.findall(r"^\| (F\d+)", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found == FAULTS == list(rows())


@pytest.mark.parametrize("fault", FAULTS)
def test_the_tests_that_a_row_names_exist(fault: str) -> None:
    """A row names tests that are there, by file and function; one without any says that it isn't done yet."""
    checks = rows()[fault]
    named = _TEST.findall(checks)
    assert not [f"{file}::{name}" for file, name in named if name not in names_in(file)]
    assert len(named) == checks.count("::"), "something that looks like a test is none"
    assert named or "Not yet: " in checks
    assert len(named) == len(set(named))
