"""The procedural layout of a synthetic slide: long-range structure before any detail is drawn."""

from __future__ import annotations

from napari_histodiff.layout.slide import SlideLayout

__all__ = ["SlideLayout"]
