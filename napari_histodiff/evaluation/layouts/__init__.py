"""Invented layouts beside real ones: where nuclei stand, what they look like, what lies between."""

from __future__ import annotations

from napari_histodiff.evaluation.layouts.compare import SETS, Comparison, Part, compare, parts_of
from napari_histodiff.evaluation.layouts.fields import Field, fields_of, invented_like
from napari_histodiff.evaluation.layouts.report import write_report
from napari_histodiff.evaluation.layouts.statistics import (
    CLASSES,
    KINDS,
    Grouping,
    Measured,
    measure,
)

__all__ = [
    "CLASSES",
    "KINDS",
    "SETS",
    "Comparison",
    "Field",
    "Grouping",
    "Measured",
    "Part",
    "compare",
    "fields_of",
    "invented_like",
    "measure",
    "parts_of",
    "write_report",
]
