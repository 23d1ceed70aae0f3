"""What a store of tiles lies on: a layout, where a model draws, or a scan, whose pixels are there.

A store holds only tiles that were drawn or edited. Its base tells what shows elsewhere, and its
recipe what has to be known of the slide to keep tiles of it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region

__all__ = ["Base", "Layout", "LayoutBase", "StoreRecipe"]


class StoreRecipe(Protocol):
    """What a store knows of its slide; `core.recipe.SlideRecipe` has what each of it means."""

    @property
    def height(self) -> int:
        """Rows of level 0."""

    @property
    def width(self) -> int:
        """Columns of level 0."""

    @property
    def coarsest(self) -> int:
        """The coarsest level that pixels are put into; coarser ones are means of it."""

    @property
    def margin(self) -> int:
        """How far around it a tile reads the level above to be drawn."""

    @property
    def origin(self) -> tuple[int, int]:
        """Position (y, x) of the first pixel on the endless plane, in pixels of level 0."""

    @property
    def refined(self) -> int:
        """How many finer levels were added."""

    @property
    def spec(self) -> PyramidSpec:
        """The pyramid."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""


class Base(Protocol):
    """What shows where nothing is stored; regions are in ARRAY coordinates."""

    @property
    def has_pixels(self) -> bool:
        """Whether it has pixels of its own at every place and level.

        They show wherever the user changed nothing: a stored tile counts only where it was edited,
        and no model draws the rest.
        """

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return what shows of a region of any place, (h, w, 3) uint8.

        Raises
        ------
        StorageError
            When it cannot be read.
        """


class Layout(Protocol):
    """What the store asks of `layout.SlideLayout`; regions are on the endless plane."""

    @property
    def sketch_reach(self) -> int:
        """How many pixels of level 0 beyond a changed sketch pixel the layout may change."""

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the picture shown where nothing is drawn, (h, w, 3) uint8."""

    def tissue(self, region: Region) -> NDArray[np.uint8]:
        """Return ids of `TISSUE_NAMES`, (h, w) uint8."""

    def tissue_to_draw(self, region: Region) -> NDArray[np.uint8]:
        """Return the same as a model is told it: fat as its cells and what parts them."""


class LayoutBase:
    """The colours of a layout; a `Base`.

    Parameters
    ----------
    layout : Layout
        On the plane.
    origin : tuple of int
        Where the slide's first pixel lies on the plane.
    """

    has_pixels = False

    def __init__(self, layout: Layout, origin: tuple[int, int]) -> None:
        self._layout = layout
        self._origin = origin

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the layout's colours of a region of the slide."""
        y, x = self._origin
        return self._layout.colours(region.translate(y >> region.level, x >> region.level))
