"""Invented layouts beside real ones: where nuclei stand, what they look like, what lies between."""

from __future__ import annotations

from napari_histodiff.evaluation.layouts.compare import Comparison, compare
from napari_histodiff.evaluation.layouts.fields import Field, fields_of, invented_like
from napari_histodiff.evaluation.layouts.report import write_report
from napari_histodiff.evaluation.layouts.statistics import Measured, measure

__all__ = [
    "Comparison",
    "Field",
    "Measured",
    "compare",
    "fields_of",
    "invented_like",
    "measure",
    "write_report",
]
