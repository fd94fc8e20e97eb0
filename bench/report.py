"""Tables."""

from pathlib import Path

from rich.console import Console

from bench.store import Results


def show(results: Results, console: Console) -> None:
    """Shows."""


def write(results: Results, docs: Path) -> None:
    """Writes."""
