"""The pinned versions: complete, and what this suite runs on."""

import tomllib
from importlib.metadata import version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.environment import ROOT, needed
from tests.packaging.image import pinned

_PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared(*groups: list[str]) -> list[Requirement]:
    """Returns the requirements of some lists of pyproject.toml."""
    return [Requirement(line) for group in groups for line in group]


def versions(pins: list[Requirement]) -> dict[str, str]:
    """Returns each pin's version by its name."""
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def test_the_worker_is_pinned_whole_and_nothing_else() -> None:
    """requirements/worker.txt pins what its first line names, and what that needs, directly or by others; no more."""
    extras = _PROJECT["project"]["optional-dependencies"]
    of_the_worker = [extras[name] for name in ("worker", "flower", "encryption", "otel", "sentry")]
    wanted = declared(_PROJECT["project"]["dependencies"], *of_the_worker)
    assert versions(pinned("worker.txt")).keys() == needed(wanted).keys()


def test_development_is_pinned_whole_and_nothing_else() -> None:
    """requirements/dev.txt pins what the group `dev` and the build need besides, and no more."""
    wanted = declared(_PROJECT["dependency-groups"]["dev"], _PROJECT["build-system"]["requires"])
    besides = needed(wanted).keys() - versions(pinned("worker.txt")).keys()
    assert versions(pinned("dev.txt")).keys() == besides


@pytest.mark.parametrize("file", ["worker.txt", "dev.txt"])
def test_the_suite_runs_on_what_is_pinned(file: str) -> None:
    """The pinned versions are those that are installed here, so they are the tested ones."""
    pins = versions(pinned(file))
    assert pins == {name: version(name) for name in pins}
