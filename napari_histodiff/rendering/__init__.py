"""Draws whole slides on a dask cluster: workers of this machine, or any scheduler's."""

from napari_histodiff.rendering.render import render_slide
from napari_histodiff.rendering.report import RenderProgress, RenderReport

__all__ = ["RenderProgress", "RenderReport", "render_slide"]
