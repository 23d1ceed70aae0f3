"""Tables of figures: one source for JSON, Markdown, HTML and the console."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from napari_histodiff.evaluation.metrics.agreement import Interval

__all__ = ["Cell", "ReportSection", "Table", "format_cell"]

#: A figure, a figure with its interval, a number of things, a word, or nothing to say.
Cell = float | int | str | Interval | None


@dataclass(slots=True)
class Table:
    """Named rows under named columns; `columns` leaves out the first, which names the rows."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]] = field(default_factory=dict)

    def get(self, row: str, column: str) -> float:
        """Return a figure without its interval; NaN where there is none or a word."""
        cells = self.rows.get(row)
        cell = None if cells is None else cells[self.columns.index(column)]
        if isinstance(cell, Interval):
            return cell.value
        return float(cell) if isinstance(cell, int | float) else math.nan

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Return {row: {column: figure}}, JSON-ready: undefined figures become None."""
        return {
            name: {c: _plain(v) for c, v in zip(self.columns, cells, strict=True)}
            for name, cells in self.rows.items()
        }

    def text(self) -> list[list[str]]:
        """Return all cells as text, the heading first."""
        body = [[name, *map(format_cell, cells)] for name, cells in self.rows.items()]
        return [["", *self.columns], *body]


@dataclass(slots=True)
class ReportSection:
    """A chapter of the report: what was asked, its tables and the sheets that show it."""

    key: str
    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    sheets: tuple[str, ...] = ()


def format_cell(cell: Cell) -> str:
    """Return a cell as text of three significant digits; an en dash where there is no figure."""
    if isinstance(cell, Interval):
        if not math.isfinite(cell.low) or not math.isfinite(cell.high):
            return format_cell(cell.value)
        return f"{cell.value:.3g} ({cell.low:.3g} to {cell.high:.3g})"
    if isinstance(cell, float):
        return f"{cell:.3g}" if math.isfinite(cell) else "–"
    return "–" if cell is None else str(cell)


def _plain(cell: Cell) -> object:
    if isinstance(cell, Interval):
        return {name: _plain(getattr(cell, name)) for name in ("value", "low", "high")}
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell
