"""Draws whole slides on a dask cluster: workers of this machine, or any scheduler's."""

from napari_histodiff.rendering.render import RenderProgress, RenderReport, render_slide

__all__ = ["RenderProgress", "RenderReport", "render_slide"]
