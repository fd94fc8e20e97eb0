"""How far a run is: a bar on a terminal, plain lines otherwise."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Steps:
    """Shows steps as they are made. Use it as a context.

    Args:
        console: Where it is shown.
        total: How many steps there are.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True)
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        """Shows the bar, on a terminal."""
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Takes it away."""
        if self._console.is_terminal:
            self._bar.stop()

    def begin(self, name: str) -> None:
        """Says what is being measured."""
        self._bar.update(self._task, description=name)

    def end(self, name: str, outcome: str) -> None:
        """Says what came of it."""
        self._done += 1
        self._bar.advance(self._task)
        self._console.print(f"[{self._done}/{self._total}] {name}: {outcome}", markup=False, highlight=False)
