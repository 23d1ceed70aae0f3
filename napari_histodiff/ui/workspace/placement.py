"""Put nuclei into a label map: one at a point, or many over an area without overlap.

Labels are those of `core.maps.encode_labels`: 7 * instance + class. Functions return index arrays
and leave writing to the caller, who may want an undo step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.nucleus_shapes import draw_nucleus
from napari_histodiff.layout.completion.grain import TissueGrain

__all__ = ["Indices", "Scatter", "place_nucleus"]

#: Row and column indices of the pixels of one nucleus.
Indices = tuple[NDArray[np.intp], NDArray[np.intp]]

# Darts thrown per nucleus before a crowded place is given up.
_DARTS: Final = 20
# Smallest distance of centres as a share of the mean distance at the density. Dart throwing jams at
# about 0.83 / sqrt(density); closer to it the pattern turns into a grid, which tissue is not.
_SPACING: Final = 0.55


def place_nucleus(
    labels: NDArray[np.int32],
    centre: tuple[float, float],
    class_id: int,
    mpp: float,
    rng: np.random.Generator,
    *,
    overwrite: bool = False,
    rotation: float | None = None,
) -> Indices:
    """Draw one nucleus around a point of a label map.

    Parameters
    ----------
    labels : (h, w) int32
        What is painted already; not changed.
    centre : tuple of float
        (y, x) in pixels; pixels outside the map are cut off.
    class_id : int
        1-6.
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Source of size, shape and orientation.
    overwrite : bool
        Whether pixels of other nuclei are included.
    rotation : float, optional
        Of its long axis, in radians; at random when None.

    Returns
    -------
    Indices
        Pixels of the nucleus, in one piece; empty when nothing is free around the centre.
    """
    nucleus = draw_nucleus(class_id, mpp, rng, rotation)
    rows, cols = _inside(nucleus, _whole(centre), labels.shape)
    if overwrite or not rows.size:
        return rows, cols
    free = labels[rows, cols] == 0
    return _piece_nearest(rows[free], cols[free], centre)


@dataclass(slots=True)
class _Centres:
    """Placed centres in square bins of one spacing, for near-neighbour look-ups."""

    spacing: float
    bins: dict[tuple[int, int], list[tuple[float, float]]]

    def is_near(self, y: float, x: float) -> bool:
        row, col = int(y // self.spacing), int(x // self.spacing)
        return any(
            math.hypot(y - cy, x - cx) < self.spacing
            for r in range(row - 1, row + 2)
            for c in range(col - 1, col + 2)
            for cy, cx in self.bins.get((r, c), ())
        )

    def add(self, y: float, x: float) -> None:
        key = int(y // self.spacing), int(x // self.spacing)
        self.bins.setdefault(key, []).append((y, x))


class Scatter:
    """Fills a growing area with nuclei of one class at a density, Poisson-disc spaced.

    Calling it with areas one after another (as a drag does) fills each pixel once, however often
    it is visited.

    Parameters
    ----------
    labels : (h, w) int32
        The label map that is being painted; read at each call, so write the result before the next.
    class_id : int
        1-6.
    density : float
        Nuclei per mm^2; more than fit are silently fewer.
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Source of places and shapes.
    grain : TissueGrain, optional
        How nuclei lie; at random where it does not tell.
    """

    def __init__(
        self,
        labels: NDArray[np.int32],
        class_id: int,
        density: float,
        mpp: float,
        rng: np.random.Generator,
        grain: TissueGrain | None = None,
    ) -> None:
        self._grain = grain
        self._labels = labels
        self._class_id = class_id
        self._mpp = mpp
        self._rng = rng
        self._per_pixel = density * (mpp / 1000) ** 2
        spacing = _SPACING / math.sqrt(self._per_pixel) if self._per_pixel > 0 else 1.0
        self._centres = _Centres(spacing, {})
        self._done = np.zeros(labels.shape, np.bool_)
        self._taken = np.zeros(labels.shape, np.bool_)
        self._owed = 0.0

    def fill(
        self,
        area: NDArray[np.bool_],
        origin: tuple[int, int] = (0, 0),
        is_left: Callable[[], bool] = lambda: False,
    ) -> list[Indices]:
        """Return the nuclei for the pixels of `area` that were not filled before.

        Parameters
        ----------
        area : (n, m) bool
            Pixels to fill; nuclei have their centres in it.
        origin : tuple of int
            Where its first pixel lies in the label map; parts outside are ignored.
        is_left : callable
            Whether nobody waits for the nuclei any more; asked before each.
        """
        rows, cols = np.nonzero(area)
        rows, cols = _clip(rows + origin[0], cols + origin[1], self._labels.shape)
        new = ~self._done[rows, cols]
        rows, cols = rows[new], cols[new]
        if not rows.size:
            return []
        self._done[rows, cols] = True
        # A fraction of a nucleus is kept for the next call; the first one is rounded at random.
        self._owed += self._per_pixel * rows.size
        wanted = int(self._owed + self._rng.random())
        self._owed -= wanted
        found: list[Indices] = []
        for _ in range(wanted):
            if is_left():
                break
            nucleus = self._throw(rows, cols)
            if nucleus is not None:
                found.append(nucleus)
        return found

    def _throw(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Indices | None:
        nucleus, surroundings = _apart(draw_nucleus(self._class_id, self._mpp, self._rng))
        shape, grain = self._labels.shape, self._grain
        word = 0 if grain is None else int(self._rng.integers(2**63))
        for dart in self._rng.integers(rows.size, size=_DARTS):
            centre = int(rows[dart]), int(cols[dart])
            if self._labels[centre] or self._centres.is_near(*centre):
                continue
            if grain is not None:
                turn = grain.rotation(self._class_id, *centre, self._rng)
                alike = np.random.default_rng(word)  # another place, but the same size and shape
                nucleus, surroundings = _apart(draw_nucleus(self._class_id, self._mpp, alike, turn))
            around = _inside(surroundings, centre, shape)
            if self._labels[around].any() or self._taken[around].any():
                continue
            # The border may have cut it in two, and the tip of a long one touch by a corner only.
            inside = _piece_nearest(*_inside(nucleus, centre, shape), centre)
            self._taken[inside] = True
            self._centres.add(*centre)
            return inside
        return None


def _apart(nucleus: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a nucleus, and it with the pixels around that scattered nuclei keep free."""
    side = nucleus.shape[0]
    around = np.zeros((side + 2, side + 2), np.bool_)
    for y, x in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
        around[y : y + side, x : x + side] |= nucleus
    return nucleus, around


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return math.floor(point[0] + 0.5), math.floor(point[1] + 0.5)


def _inside(outline: NDArray[np.bool_], centre: tuple[int, int], shape: tuple[int, ...]) -> Indices:
    rows, cols = np.nonzero(outline)
    reach = outline.shape[0] // 2
    return _clip(rows + (centre[0] - reach), cols + (centre[1] - reach), shape)


def _clip(rows: NDArray[np.intp], cols: NDArray[np.intp], shape: tuple[int, ...]) -> Indices:
    kept = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return rows[kept], cols[kept]


def _piece_nearest(
    rows: NDArray[np.intp], cols: NDArray[np.intp], centre: tuple[float, float]
) -> Indices:
    """Keep the connected piece (4 neighbours) nearest to the centre: one click, one nucleus."""
    if not rows.size:
        return rows, cols
    nearest = np.argmin(np.hypot(rows - centre[0], cols - centre[1]))
    y, x = rows.min(), cols.min()
    mask = np.zeros((np.ptp(rows) + 1, np.ptp(cols) + 1), np.bool_)
    mask[rows - y, cols - x] = True
    pieces, _ = ndimage.label(mask)
    number = pieces[rows - y, cols - x]
    kept = number == number[nearest]
    return rows[kept], cols[kept]
