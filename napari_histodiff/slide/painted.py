"""What the user painted at coarser levels, as conditions of the levels that are drawn from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.averages import repeat_up
from napari_histodiff.slide.store import SlideStore

__all__ = ["Painted", "painted_above", "twice"]


class Painted(NamedTuple):
    """Where edits of coarser levels show at a place, and the nuclei there.

    Attributes
    ----------
    mask : (h, w) bool
        Where.
    labels : (h, w) int32
        7 * instance + class; 0 outside the mask.
    """

    mask: NDArray[np.bool_]
    labels: NDArray[np.int32]


def painted_above(store: SlideStore, region: Region) -> Painted | None:
    """Return what the user painted at the levels above a region; None when that is nothing.

    Where edits of several levels lie over each other it is the finest one that holds: a coarser one
    that is made later takes it away.

    Parameters
    ----------
    store : SlideStore
        The slide.
    region : Region
        Any place of a level that the model draws, ARRAY coordinates.
    """
    places = [region]
    while places[-1].level < store.recipe.coarsest:
        finer = places[-1]
        # One pixel more on each side: outlines are smoothed by their neighbours.
        places.append(store.spec.at_level(finer, finer.level + 1).pad(1))
    found: Painted | None = None
    for here, finer in zip(reversed(places[1:]), reversed(places[:-1]), strict=True):
        own = store.edited(here)
        if own.any():
            found = _over(found, own, np.where(own, store.labels(here), 0))
        if found is not None:
            found = _one_finer(found, here, finer)
    return found if found is not None and found.mask.any() else None


def _over(below: Painted | None, mask: NDArray[np.bool_], labels: NDArray[np.int32]) -> Painted:
    if below is None:
        return Painted(mask, labels)
    return Painted(below.mask | mask, np.where(mask, labels, below.labels))


def _one_finer(painted: Painted, here: Region, finer: Region) -> Painted:
    """Return the part of a finer region of what is painted in a region around it."""
    y, x = finer.y - 2 * here.y, finer.x - 2 * here.x
    part = np.s_[y : y + finer.height, x : x + finer.width]
    mask = repeat_up(painted.mask, 2)[part]
    return Painted(mask, np.where(mask, twice(painted.labels)[part], 0))


def twice(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a map of labels at twice the scale, (2h, 2w), with slopes where there were steps.

    A quarter of a background pixel between two neighbours of one nucleus becomes part of it, as in
    Scale2x (Mazzoleni, 2001); nothing is taken from a nucleus, or the steps would stay.
    """
    wide = np.pad(labels, 1, mode="edge")
    up, down = wide[:-2, 1:-1], wide[2:, 1:-1]
    left, right = wide[1:-1, :-2], wide[1:-1, 2:]
    fine = repeat_up(labels, 2)
    for row, one, opposite in ((0, up, down), (1, down, up)):
        for col, other, across in ((0, left, right), (1, right, left)):
            agree = (one == other) & (one != across) & (other != opposite)
            fine[row::2, col::2] = np.where(agree & (labels == 0), one, labels)
    return fine
