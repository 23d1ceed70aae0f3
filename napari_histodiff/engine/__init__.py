"""Runs edit requests on a backend, in this process or in a worker of its own."""

from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.engine.local import LocalEngine

__all__ = ["InlineEngine", "LocalEngine"]
