"""Layouts made up: tissue and nuclei sampled together, by caption, counts or an example."""

from __future__ import annotations

from napari_histodiff.layout.invention.invent import SAMPLER, Invention, invent
from napari_histodiff.layout.invention.sampler import EVALUATIONS

__all__ = ["EVALUATIONS", "SAMPLER", "Invention", "invent"]
