"""Nuclei of a place: found, taken away, added where there is room."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, TISSUE_NAMES
from napari_histodiff.core.nucleus_shapes import draw_nucleus
from napari_histodiff.layout.completion.grain import TissueGrain

__all__ = ["NucleiEdit", "counted"]

_GAP: Final = 0.6  # um between outlines
_MOST: Final = 30_000.0  # nuclei per mm^2 that are tried; real tissue has no more
_HALF: Final = 4.0  # um by which a nucleus in a place may reach out of it
_TRIES: Final = 25  # places that are looked at for a nucleus
_AT_HOME: Final = 0.9  # of a nucleus that lies where such nuclei are
_EPITHELIAL: Final = CLASS_NAMES.index("epithelial") + 1
_BARE: Final = [TISSUE_NAMES.index(name) for name in ("lumen", "glass", "mucus", "fat")]
_GLAND: Final = TISSUE_NAMES.index("gland")
_NOUNS: Final = ("neutrophil", "epithelial nucleus", "lymphocyte", "plasma cell", "eosinophil",
                 "connective nucleus")  # fmt: skip


def counted(number: int, classes: tuple[int, ...]) -> str:
    """Return a number of nuclei in words.

    >>> counted(1, (3,)), counted(20, (2,)), counted(4, (1, 3))
    ('1 lymphocyte', '20 epithelial nuclei', '4 nuclei')
    """
    noun = _NOUNS[classes[0] - 1] if len(classes) == 1 else "nucleus"
    if number != 1:
        noun = noun[:-2] + "i" if noun.endswith("us") else noun + "s"
    return f"{number} {noun}"


class NucleiEdit:
    """Class map and instance map that are changed nucleus by nucleus.

    Parameters
    ----------
    classes : (h, w) uint8
    instances : (h, w) int32
        Patches of a class without an id get one each.
    mpp : float
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        classes: NDArray[np.uint8],
        instances: NDArray[np.int32],
        mpp: float,
        rng: np.random.Generator,
    ) -> None:
        self.classes, self.instances = classes.copy(), instances.copy()
        self._mpp, self._rng = mpp, rng
        for class_id in range(1, N_CLASSES + 1):
            areas, count = ndimage.label((classes == class_id) & (instances == 0))
            if count:
                fresh = areas > 0
                self.instances[fresh] = areas[fresh] + int(self.instances.max())

    def within(
        self, zone: NDArray[np.bool_], classes: tuple[int, ...] | None = None
    ) -> NDArray[np.int64]:
        """Return the ids of nuclei of which more than half lies in a zone."""
        ids = self.instances.ravel()
        size = np.bincount(ids)
        inside = np.bincount(ids, weights=zone.ravel())
        chosen = 2 * inside > size
        chosen[0] = False
        if classes is not None:
            of_class = np.zeros(len(size), np.bool_)
            of_class[np.unique(self.instances[np.isin(self.classes, classes)])] = True
            chosen &= of_class
        return np.flatnonzero(chosen)

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Take nuclei away; returns how many."""
        gone = np.isin(self.instances, ids)
        self.classes[gone], self.instances[gone] = 0, 0
        return len(ids)

    def turn(self, ids: NDArray[np.int64], class_id: int) -> int:
        """Give nuclei another class; returns how many."""
        self.classes[np.isin(self.instances, ids)] = class_id
        return len(ids)

    def some(self, ids: NDArray[np.int64], share: float) -> NDArray[np.int64]:
        """Return a share of nuclei by chance, at least one where there is one; of 0, none."""
        least = 1 if share > 0 else 0
        return self.pick(ids, max(least, round(share * len(ids))))

    def pick(self, ids: NDArray[np.int64], many: int) -> NDArray[np.int64]:
        """Return so many of some ids by chance, or all."""
        return self._rng.permutation(ids)[:many]

    def middles(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pixel in the middle of each nucleus, (n, 2)."""
        found = ndimage.center_of_mass(self.instances > 0, self.instances, ids)
        middles: NDArray[np.int64] = np.rint(np.reshape(found, (-1, 2))).astype(np.int64)
        return middles

    def move(
        self,
        ids: NDArray[np.int64],
        ways: NDArray[np.float32],
        home: NDArray[np.bool_],
        shares: tuple[float, ...],
    ) -> int:
        """Move nuclei, the first ones first, as far as there is room; returns how many had none.

        Parameters
        ----------
        ids : (n,) int64
        ways : (n, 2) float32
            Rows and columns.
        home : (h, w) bool
            Where most of a nucleus has to lie.
        shares : tuple of float
            Of the way, in the order in which they are tried.
        """
        places = ndimage.find_objects(self.instances)
        shapes = []
        for number in ids.tolist():
            rows, cols = np.nonzero(self.instances[places[number - 1]] == number)
            top, left = (side.start for side in places[number - 1])
            shapes.append((rows + top, cols + left))
        kinds = [self.classes[shape] for shape in shapes]
        self.remove(ids)
        gap = max(1, round(_GAP / self._mpp))
        closed = ndimage.maximum_filter(self.instances > 0, 2 * gap + 1)
        height, width = home.shape
        lost = 0
        for number, (rows, cols), kind, way in zip(ids.tolist(), shapes, kinds, ways, strict=True):
            for share in shares:
                ys, xs = (rows + round(share * way[0])), (cols + round(share * way[1]))
                seen = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
                ys, xs = ys[seen], xs[seen]
                if len(ys) and not closed[ys, xs].any() and home[ys, xs].mean() >= _AT_HOME:
                    self.classes[ys, xs], self.instances[ys, xs] = kind[seen], number
                    _close(closed, ys, xs, gap)
                    break
            else:
                lost += 1
        return lost

    def merge(self, classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> int:
        """Add nuclei where there is none, with ids of their own; returns how many."""
        fresh = (instances > 0) & (self.instances == 0)
        self.classes[fresh] = classes[fresh]
        self.instances[fresh] = instances[fresh] + int(self.instances.max(initial=0))
        return len(np.unique(instances[fresh]))

    def add(
        self, class_id: int, many: int, zone: NDArray[np.bool_], tissue: NDArray[np.uint8]
    ) -> int:
        """Add nuclei of a class in a zone where they find room; returns how many did.

        Epithelium goes into gland where there is some; the others into what is no lumen.
        """
        home = ~np.isin(tissue, _BARE)
        if class_id == _EPITHELIAL and (tissue == _GLAND).any():
            home &= tissue == _GLAND
        gap = max(1, round(_GAP / self._mpp))
        closed = ndimage.maximum_filter(self.instances > 0, 2 * gap + 1) | ~home
        rows, cols = np.nonzero(zone & ~closed)
        if not len(rows):
            return 0
        grain = TissueGrain(tissue, self._mpp)
        number, placed = int(self.instances.max(initial=0)) + 1, 0
        height, width = tissue.shape
        for _ in range(min(many, self._most(zone))):
            shape = None
            for at in self._rng.integers(len(rows), size=_TRIES).tolist():
                y, x = int(rows[at]), int(cols[at])
                if closed[y, x]:
                    continue
                if shape is None:
                    turn = grain.rotation(class_id, y, x, self._rng)
                    dy, dx = np.nonzero(draw_nucleus(class_id, self._mpp, self._rng, turn))
                    reach = int(max(dy.max(), dx.max())) // 2
                    shape = dy - reach, dx - reach
                ys, xs = shape[0] + y, shape[1] + x
                inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
                ys, xs = ys[inside], xs[inside]
                if closed[ys, xs].any():
                    continue
                self.classes[ys, xs], self.instances[ys, xs] = class_id, number
                _close(closed, ys, xs, gap)
                number, placed = number + 1, placed + 1
                break
        return placed

    def _most(self, zone: NDArray[np.bool_]) -> int:
        # A million would find no room either, and take hours to say so.
        reached = ndimage.distance_transform_edt(~zone) * self._mpp <= _HALF
        return ceil(float(reached.sum()) * self._mpp**2 / 1e6 * _MOST)


def _close(
    closed: NDArray[np.bool_], ys: NDArray[np.int64], xs: NDArray[np.int64], gap: int
) -> None:
    height, width = closed.shape
    for sy, sx in ((0, 0), (-gap, 0), (gap, 0), (0, -gap), (0, gap)):
        closed[(ys + sy).clip(0, height - 1), (xs + sx).clip(0, width - 1)] = True
