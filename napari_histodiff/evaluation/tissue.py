"""Whether the tissue segmenter finds the given tissue again, in drawn images and beside in real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.evaluation.panels import ImageSet, NucleiLike, blurred
from napari_histodiff.evaluation.tables import Cell, ReportSection, Table
from napari_histodiff.evaluation.tiles import Tile

__all__ = ["TissueLike", "tissue_overlap", "tissue_section"]

_SOFTER: Final = 0.5  # px, less than scanners differ by
_HOLDS: Final = 0.01  # of a tile
_LEAST_SHARE: Final = 0.002  # of the labelled pixels, below which a class has no figure


class TissueLike(Protocol):
    """A network that names the tissue of an image; `segmenter.tissue.TissueSegmenter` is one."""

    def propose(
        self, image: NDArray[np.uint8], *, mpp: float, nuclei: NucleiLike
    ) -> NDArray[np.uint8]:
        """Return the tissue map, (h, w) uint8, of an (h, w, 3) uint8 image with nuclei."""


def tissue_section(real: ImageSet, drawn: ImageSet, segmenter: TissueLike) -> ReportSection:
    """Return how well each class is found again: intersection over union with the tiles' maps."""
    softer = [blurred(image, _SOFTER) for image in real.images]
    again = ImageSet("real tissue, softer", real.tiles, softer, real.judge)
    on_drawn, on_real, on_softer = (_found(images, segmenter) for images in (drawn, real, again))
    table = Table(
        "tissue",
        "Tissue of the maps found again",
        ("drawn", "real tissue", "drawn / real", "softer / real", "tiles"),
    )
    holding = _holding(real.tiles)
    for name, whole in on_real.items():
        ratios = (_ratio(found[name], whole) for found in (on_drawn, on_softer))
        table.rows[name] = (on_drawn[name], whole, *ratios, holding.get(name))
    text = (
        "Intersection over union of what the tissue segmenter finds with the tissue map of the "
        "tiles, over all tiles, where the map says something; `drawn / real` is what drawn tissue "
        "reaches of real. The segmenter works by the rules that most of these maps were set by, "
        "with nuclei that it finds itself, so that real tissue nearly agrees with itself: "
        f"`softer / real` is what the same images reach after a Gaussian of {_SOFTER:g} px, and "
        "`tiles` on how many tiles, of which it covers 1 % or more, a class rests. Classes "
        "that cover less than 0.2 % are left out; the model is not told of those it does not know."
    )
    return ReportSection("tissue", "Does tissue follow the tissue map?", text, [table])


def _found(images: ImageSet, segmenter: TissueLike) -> dict[str, float]:
    parts = zip(images.images, images.tiles, images.nuclei, strict=True)
    return tissue_overlap(
        images.tiles,
        [segmenter.propose(image, mpp=tile.mpp, nuclei=nuclei) for image, tile, nuclei in parts],
    )


def _holding(tiles: Sequence[Tile]) -> dict[str, int]:
    """Return how many tiles hold enough of each class to tell something of it."""
    maps = [tile.tissue_map for tile in tiles if tile.tissue_map is not None]
    return {
        name: sum(float((ids == i).mean()) >= _HOLDS for ids in maps)
        for i, name in enumerate(TISSUE_NAMES)
    }


def tissue_overlap(tiles: Sequence[Tile], found: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Return the intersection over union of each class that the tiles' maps hold, and their mean.

    Pixels that a map leaves unspecified do not count.
    """
    n = len(TISSUE_NAMES)
    pairs = np.zeros((n, n))
    for tile, ids in zip(tiles, found, strict=True):
        if tile.tissue_map is not None:
            known = tile.tissue_map > 0
            joint = tile.tissue_map[known].astype(np.int64) * n + ids[known]
            pairs += np.bincount(joint, minlength=n * n).reshape(n, n)
    said, got = pairs.sum(1), pairs.sum(0)
    scores = {
        name: float(pairs[i, i] / (said[i] + got[i] - pairs[i, i]))
        for i, name in enumerate(TISSUE_NAMES)
        if i and said[i] > _LEAST_SHARE * said.sum()
    }
    return scores | ({"mean": float(np.mean(list(scores.values())))} if scores else {})


def _ratio(drawn: float, real: float) -> Cell:
    return drawn / real if real > 0 else math.nan
