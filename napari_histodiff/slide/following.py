"""Seeing what another program writes to a slide that is open for reading only."""

from __future__ import annotations

from typing import Final

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.growing import is_growing
from napari_histodiff.slide.history import Steps
from napari_histodiff.slide.ome import read_recipe
from napari_histodiff.slide.parts import SlideParts

__all__ = ["follow"]

# How often a slide may become another one while it is looked at.
_ATTEMPTS: Final = 3


def follow(slide: SlideParts, steps: Steps) -> list[Region]:
    """Read what the writer did since; return where pixels may have changed.

    Nothing is read while the slide grows or is refined: it is looked at again later.

    Raises
    ------
    StorageError
        When the slide can not be read any more.
    """
    seen: list[Region] = []
    for attempt in range(_ATTEMPTS):
        if is_growing(slide.path):
            break
        try:
            seen = slide.refresh()
            steps.resume()
        except StorageError:
            # Recipe and table are two files: they may be of before and after.
            if _is_settled(slide) or attempt + 1 == _ATTEMPTS:
                raise
        else:
            if _is_settled(slide):
                break
    return seen


def _is_settled(slide: SlideParts) -> bool:
    """Return whether what was read was of one slide: it still is that of the recipe known here."""
    return not is_growing(slide.path) and read_recipe(slide.path) == slide.recipe
