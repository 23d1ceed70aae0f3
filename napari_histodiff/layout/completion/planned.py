"""A frame in which nothing is painted: a part of the slide that its caption and seed describe."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, parse_caption
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.nuclei import LayoutNuclei
from napari_histodiff.layout.plan import EPITHELIAL, plan_of
from napari_histodiff.layout.tissues.kinds import GLAND, GLASS, known_to, to_draw

__all__ = ["planned_maps"]

_FINEST: Final = 0.75  # um; the slide is laid out in pixels smaller than this
_HOME: Final = 2400.0  # um, side of the slide
_VIEW: Final = 320.0  # um, side of the part that is looked at to choose a place
_STEP: Final = 16.0  # um between the points that are looked at
_PLACES: Final = 24
_ENOUGH: Final = 0.15  # share of a tissue that is asked for
_GLANDS: Final = 0.3  # of the liking for what is named, for glands that are not
_ENOUGH_GLASS: Final = 0.02  # more than this is disliked
_WORD_OF: Final = {"smooth muscle": "muscle"}


def planned_maps(
    frame: Region, caption: str, mpp: float, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Return class map (uint8), instance map (int32) and tissue map (uint8) of a frame, (h, w).

    Frames of one seed, caption and mpp show parts of one slide: neighbours fit together.
    """
    level = 0
    while mpp / 2**level > _FINEST:
        level += 1
    anatomy, nuclei, (y, x) = _slide(caption, mpp / 2**level, seed)
    step = 1 << level
    points = Pixels(frame.y * step + y, frame.x * step + x, step, *frame.shape)
    classes, instances = nuclei.maps(points)
    return classes, instances, to_draw(anatomy.parts(points), TISSUE_NAMES)


@lru_cache(maxsize=2)
def _slide(caption: str, mpp: float, seed: int) -> tuple[Anatomy, LayoutNuclei, tuple[int, int]]:
    side = round(_HOME / mpp)
    anatomy = Anatomy(seed, plan_of(caption), mpp, (side, side), None)
    place = _best_place(anatomy, parse_caption(caption).caption, side, seed)
    return anatomy, LayoutNuclei(anatomy), place


def _best_place(anatomy: Anatomy, caption: Caption, side: int, seed: int) -> tuple[int, int]:
    # The place, of some by chance, that shows most of what the caption names.
    step, view = max(1, round(_STEP / anatomy.mpp)), round(_VIEW / anatomy.mpp)
    wanted = [
        TISSUE_NAMES.index(_WORD_OF.get(word, word))
        for word in caption.tissue
        if _WORD_OF.get(word, word) in TISSUE_NAMES
    ]
    if (caption.levels[EPITHELIAL] or 0) > 1:
        wanted.append(GLAND)
    places = np.random.default_rng(seed).integers(0, max(1, side - view), (_PLACES, 2)).tolist()
    best, highest = (0, 0), -np.inf
    for y, x in places:
        row, col = y // step * step, x // step * step
        points = Pixels(row, col, step, view // step, view // step)
        seen = known_to(anatomy.parts(points), TISSUE_NAMES)
        shares = np.bincount(seen.ravel(), minlength=len(TISSUE_NAMES)) / seen.size
        score = sum(min(float(shares[number]) / _ENOUGH, 1.0) for number in wanted)
        score += _GLANDS * min(float(shares[GLAND]) / _ENOUGH, 1.0)
        score -= 4 * max(0.0, float(shares[GLASS]) - _ENOUGH_GLASS)
        if score > highest + 1e-9:
            best, highest = (row, col), score
    return best
