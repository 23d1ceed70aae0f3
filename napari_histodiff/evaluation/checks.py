"""Figures against what the project asks of its bundled model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.tables import ReportSection, Table, format_cell

__all__ = ["Check", "check_table", "checks"]

_LEAST_JUDGE_F1: Final = 0.4  # below, the judge itself cannot tell the class in real tissue


@dataclass(frozen=True, slots=True)
class Check:
    """A figure and its target; `met` is None where the figure was not measured."""

    name: str
    figure: float
    bound: Literal[">=", "<=", ">"]
    target: float

    @property
    def met(self) -> bool | None:
        """Whether the figure is on the right side of its target."""
        if not math.isfinite(self.figure):
            return None
        if self.bound == "<=":
            return self.figure <= self.target
        return self.figure > self.target or (self.bound == ">=" and self.figure == self.target)

    @property
    def verdict(self) -> str:
        """Return "met", "short by ..." or "not measured"."""
        if self.met is None:
            return "not measured"
        return "met" if self.met else f"short by {abs(self.figure - self.target):.3g}"


def checks(sections: Sequence[ReportSection], options: StudyOptions) -> list[Check]:
    """Return every check of a study."""
    tables = {table.key: table for section in sections for table in section.tables}

    def get(key: str, row: str, column: str) -> float:
        table: Table | None = tables.get(key)
        return math.nan if table is None else table.get(row, column)

    few, many = min(options.steps), max(options.steps)
    column = f"{few} / {many} steps"
    return [
        Check("Dice, drawn / real", get("fidelity", "Dice", "drawn / real"), ">=", 0.95),
        Check("PQ, drawn / real", get("fidelity", "PQ", "drawn / real"), ">=", 0.85),
        *_class_checks(get),
        Check("critic AUC", get("critic", "drawn", "AUC"), "<=", 0.70),
        Check(
            "FD, drawn / real",
            get("distances", f"FD {options.size // 4} px", "drawn / real"),
            "<=",
            0.3,
        ),
        Check(f"FD, {column}", get("steps_ratio", "FD ratio", column), "<=", 1.5),
        Check("caption kappa", get("captions", "all classes", "kappa drawn"), ">=", 0.6),
        Check("seam p", get("seams_overall", "drawn", "p"), ">", 0.05),
    ]


def check_table(entries: Sequence[Check]) -> Table:
    """Return the checks as a table."""
    table = Table("checks", "Targets", ("figure", "target", "verdict"))
    for c in entries:
        table.rows[c.name] = (c.figure, f"{c.bound} {format_cell(c.target)}", c.verdict)
    return table


def _class_checks(get: Callable[[str, str, str], float]) -> list[Check]:
    entries = []
    for name in CLASS_NAMES:
        row = f"F1 {name}"
        if get("fidelity", row, "real tissue") >= _LEAST_JUDGE_F1:
            figure = get("fidelity", row, "drawn / real")
            entries.append(Check(f"{row}, drawn / real", figure, ">=", 0.85))
    return entries
