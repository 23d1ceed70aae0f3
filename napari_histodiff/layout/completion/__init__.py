"""What is not painted, suggested: tissue that fits nuclei, nuclei that fit tissue, both by plan."""

from __future__ import annotations

from napari_histodiff.layout.completion.by_tissue import by_tissue
from napari_histodiff.layout.completion.complete import (
    Completion,
    Maps,
    complete_paint,
    completed_on,
)
from napari_histodiff.layout.completion.request import completed, joined, structure_seed

__all__ = [
    "Completion",
    "Maps",
    "by_tissue",
    "complete_paint",
    "completed",
    "completed_on",
    "joined",
    "structure_seed",
]
