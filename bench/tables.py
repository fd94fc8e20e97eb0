"""Tables, for the terminal and for documents."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

NONE = "–"


def number(value: float | None, unit: str = "") -> str:
    """Returns a figure with three digits that count, or a dash if there is none."""
    if value is None:
        return NONE
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def times(ratio: float | None) -> str:
    """Returns a ratio."""
    return NONE if ratio is None else f"{ratio:.2f}×"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headers; the first column is words, the others are figures.

    Attributes:
        title: What it shows.
        headers: One for each column.
        rows: As many cells each.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Returns it as a document has it, without its title."""
        lines = [self.headers, ["---", *("---:" for _ in self.headers[1:])], *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def show(self, console: Console) -> None:
        """Prints it."""
        shown = RichTable(title=self.title, title_justify="left")
        for index, header in enumerate(self.headers):
            shown.add_column(header, justify="right" if index else "left")
        for row in self.rows:
            shown.add_row(*(cell.replace("**", "") for cell in row))
        console.print(shown, markup=False)
