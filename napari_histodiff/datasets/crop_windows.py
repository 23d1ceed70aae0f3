"""Where training crops are cut from packed images, whichever network they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Window", "class_places", "image_odds", "orient", "window_around"]

Window = tuple[slice, slice]
_Value = TypeVar("_Value", bound=np.generic)


def image_odds(
    areas: ArrayLike, sources: Sequence[str], mix: Mapping[str, float], *, other: float
) -> NDArray[np.float64]:
    """Return the odds, (n,), that a crop comes from each of n images.

    Parameters
    ----------
    areas : (n,) numbers
        Usable pixels of each image; larger images of one source are drawn more often.
    sources : sequence of str
        The set that each image comes from.
    mix : mapping
        Share of the draws that each set gets, `other` where it has none.
    """
    sizes, names = np.asarray(areas, np.float64), np.array(sources)
    odds = np.zeros(len(sizes))
    for source in set(sources):
        members = names == source
        odds[members] = mix.get(source, other) * sizes[members] / sizes[members].sum()
    odds /= odds.sum()
    return odds


def class_places(maps: Sequence[NDArray[np.uint8]], kind: int) -> NDArray[np.int64]:
    """Return (n, 3) rows of image, y, x: where (h, w) maps have a class, at every second pixel."""
    found = [
        np.insert(np.argwhere(classes[::2, ::2] == kind) * 2, 0, i, axis=1)
        for i, classes in enumerate(maps)
    ]
    return np.concatenate(found)


def window_around(centre: ArrayLike, size: int, shape: tuple[int, ...]) -> Window:
    """Return the window of `size` px with its middle at `centre`, moved into the image."""
    room = [side - size for side in shape[:2]]
    y, x = np.clip(np.asarray(centre) - size // 2, 0, room).tolist()
    return slice(y, y + size), slice(x, x + size)


def orient(array: NDArray[_Value], turns: int, flip: bool) -> NDArray[_Value]:
    """Return an image after quarter turns and, with `flip`, left to right; contiguous."""
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(turned[:, ::-1] if flip else turned)
