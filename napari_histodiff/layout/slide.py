"""`SlideLayout`: tissue, nuclei and colours of any place of a synthetic slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.colours import Colours
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.nuclei import LayoutNuclei
from napari_histodiff.layout.plan import plan_of
from napari_histodiff.layout.sketched import coarser
from napari_histodiff.layout.tissues.fibres import FibreDirections
from napari_histodiff.layout.tissues.kinds import WHITE, known_to, to_draw

if TYPE_CHECKING:
    from napari_histodiff.layout.sketch import Sketch

__all__ = ["SlideLayout"]

_RIM: Final = 2.0  # um
_KEPT: Final = 2**21  # pixels: what is asked for with a block of tiles, and no overview


class SlideLayout:
    """What lies where on a slide before any model has drawn it.

    A pure function of (seed, caption, mpp, home, sketch, place); regions are in plane coordinates
    of their level and may lie anywhere. A slide that was refined n times has at level k + n what it
    had at level k before; its finer levels show the same shapes, sampled between those pixels.

    Parameters
    ----------
    recipe : SlideRecipe
    sketch : Sketch, optional
        Overrides the procedure where it is not 0; in pixels of the recipe's level 0. A slide that
        is refined keeps its layout when its sketch's `pixel` and `origin` are doubled.
    """

    def __init__(self, recipe: SlideRecipe, sketch: Sketch | None = None) -> None:
        self.recipe, self.sketch = recipe, sketch
        # Everything is laid out in pixels of level 0 of the slide that was not refined yet.
        scale = 1 << recipe.refined
        height, width = (max(1, side // scale) for side in recipe.home)
        drawn = None if sketch is None else coarser(sketch, scale)
        plan = plan_of(recipe.caption, recipe.layout)
        mpp = recipe.mpp * scale
        self._anatomy = Anatomy(recipe.seed, plan, mpp, (height, width), drawn)
        self._nuclei = LayoutNuclei(self._anatomy)
        self._fibres = FibreDirections(self._anatomy)
        self._last: tuple[Region, NDArray[np.uint8]] | None = None
        stain = recipe.stains[recipe.refined]
        self._colours = Colours(self._anatomy, self._nuclei, stain, recipe.glass)

    @property
    def sketch_reach(self) -> int:
        """How many pixels of level 0 beyond a changed sketch pixel the layout may change.

        0 without a sketch. Glands make room for each other, and nuclei for their neighbours.
        """
        anatomy = self._anatomy
        if anatomy.sketch is None or anatomy.sketched is None:
            return 0
        glands = 0.85 + 2 * 0.85 + 0.85
        reach = 2 * anatomy.sketch.pixel + anatomy.sketched.reach + glands * anatomy.glands.pitch
        return (int(reach + self._nuclei.reach) + 1) << self.recipe.refined

    def tissue(self, region: Region) -> NDArray[np.uint8]:
        """Return ids of `TISSUE_NAMES`, (h, w) uint8; level k is level 0 at every 2**k-th pixel.

        Those that the recipe's schema lacks are the nearest tissues that it has.
        """
        return known_to(self._parts(region), self.recipe.tissue_names)

    def tissue_to_draw(self, region: Region) -> NDArray[np.uint8]:
        """Return the same as it is told to a model: fat cell by cell, see `tissues.kinds`."""
        return to_draw(self._parts(region), self.recipe.tissue_names)

    def nuclei(self, region: Region) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the class map (h, w) uint8 and the instance map (h, w) int32; see `core.maps`.

        Nuclei never overlap; ids are unique within any 4096 pixels of level 0.
        """
        return self._nuclei.maps(self._points(region))

    def fibres(self, region: Region) -> NDArray[np.uint8]:
        """Return where fibres point, (h, w) uint8, see `EditRequest.fibres`; along them nuclei lie.

        Also where another tissue lies than one that has fibres.
        """
        return self._fibres.map(region, self.recipe.refined)

    def glass(self, region: Region) -> NDArray[np.bool_]:
        """Return where nothing lies on the glass within about 2 um, (h, w) bool.

        Outside the tissue, in lumina and vessels. Nearer, the model draws the border of the tissue,
        and glass in the tone of its stain.
        """
        reach = max(1, round(_RIM / self.recipe.mpp / 2**region.level))
        empty = np.isin(self._parts(region.pad(reach)), WHITE)
        bare: NDArray[np.bool_] = ndimage.minimum_filter(empty, 2 * reach + 1)
        return bare[reach:-reach, reach:-reach]

    def colours(self, region: Region) -> NDArray[np.uint8]:
        """Return the picture to show where nothing is drawn, (h, w, 3) uint8."""
        return self._colours.on(self._points(region))

    def _parts(self, region: Region) -> NDArray[np.uint8]:
        """What is drawn is asked for its glass, then for its tissue: the last answer is kept."""
        last = self._last
        if last is not None and last[0].level == region.level:
            place, parts = last
            if place.intersect(region) == region:
                return parts[region.relative_to(place).slices]
        parts = self._anatomy.parts(self._points(region))
        if region.area <= _KEPT:
            self._last = region, parts
        return parts

    def _points(self, region: Region) -> Pixels:
        return Pixels.of(region, self.recipe.refined)
