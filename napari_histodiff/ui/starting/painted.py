"""A painting to begin with: two glands in a stroma with inflammatory cells."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.draw import ellipse

from napari_histodiff.core.maps import CLASS_NAMES, decode_labels, label_of
from napari_histodiff.ui.workspace.placement import Indices, Scatter

__all__ = ["DEMO_CAPTION", "paint_demo"]

DEMO_CAPTION: Final = (
    "colon, high epithelial cells, low lymphocytes, low connective cells, gland, stroma"
)

#: (centre y, x, radius y, x as shares of the side, rotation in radians) of the glands.
_GLANDS: Final = ((0.37, 0.29, 0.28, 0.20, 0.35), (0.69, 0.70, 0.24, 0.25, -0.5))
#: Centre and radius of the lymphocyte cluster, as shares of the side.
_CLUSTER: Final = (0.19, 0.77, 0.17)
#: Micrometres between epithelial nuclei along a gland's wall.
_PITCH: Final = 5.6
#: Share of a tall nucleus that must be free for it to be placed.
_LEAST_FREE: Final = 0.75
#: Nuclei per mm^2.
_DENSITY: Final = {"connective": 3600.0, "lymphocyte": 9000.0, "plasma": 400.0, "eosinophil": 150.0}


def paint_demo(
    height: int, width: int, *, mpp: float = 0.5, seed: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Paint glands, stroma and inflammatory cells; the same arguments give the same painting.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    mpp : float
        Micrometres per pixel.
    seed : int
        Another seed shuffles the nuclei, not the glands.

    Returns
    -------
    class_map, instance_map : (h, w) uint8, (h, w) int32
        What stands where.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.int32)
    painter = _Painter(labels, mpp, rng)
    stroma = np.ones(labels.shape, bool)
    for gland in _GLANDS:
        painter.palisade(gland, 0.92)
        painter.palisade(gland, 0.76)
        stroma &= _ellipse(labels.shape, gland) > 1.15**2
    y, x, radius = _CLUSTER
    cluster = _ellipse(labels.shape, (y, x, radius, radius, 0.0)) < 1
    painter.scatter("lymphocyte", cluster & stroma)
    painter.scatter("plasma", stroma)
    painter.scatter("eosinophil", stroma)
    painter.scatter("connective", stroma & ~cluster)
    instance_map, class_map = decode_labels(labels)
    return class_map, instance_map


class _Painter:
    """Places nuclei on one label map, numbering them from 1."""

    def __init__(self, labels: NDArray[np.int32], mpp: float, rng: np.random.Generator) -> None:
        self._labels = labels
        self._mpp = mpp
        self._rng = rng
        self._count = 0

    def palisade(self, gland: tuple[float, ...], at: float) -> None:
        """Line a gland's wall at `at` of its radius with tall nuclei that point to the lumen."""
        height, width = self._labels.shape
        y, x, ry, rx, turn = gland
        semi_y, semi_x = ry * height * at, rx * width * at
        around = 2 * math.pi * math.sqrt((semi_y**2 + semi_x**2) / 2) * self._mpp
        for k in range(int(around / _PITCH)):
            angle = 2 * math.pi * k * _PITCH / around
            wave = 0.07 * math.sin(3 * angle + 9 * turn) + 0.04 * math.sin(5 * angle)
            off = 1 + wave + self._rng.normal(0, 0.02)
            dy, dx = semi_y * off * math.sin(angle), semi_x * off * math.cos(angle)
            centre = (
                y * height + dy * math.cos(turn) + dx * math.sin(turn),
                x * width - dy * math.sin(turn) + dx * math.cos(turn),
            )
            outwards = math.atan2(centre[0] - y * height, centre[1] - x * width)
            self._put_tall(centre, outwards + self._rng.normal(0, 0.2))

    def scatter(self, name: str, area: NDArray[np.bool_]) -> None:
        """Scatter nuclei of a class over an area."""
        class_id = CLASS_NAMES.index(name) + 1
        scatter = Scatter(self._labels, class_id, _DENSITY[name], self._mpp, self._rng)
        for nucleus in scatter.fill(area):
            self._write(nucleus, class_id)

    def _put_tall(self, centre: tuple[float, float], direction: float) -> None:
        """Place an epithelial nucleus of 9 x 4.6 um along `direction`, beside its neighbours."""
        long = self._rng.normal(4.5, 0.5) / self._mpp
        short = self._rng.normal(2.3, 0.25) / self._mpp
        nucleus = ellipse(*centre, short, long, shape=self._labels.shape, rotation=-direction)
        free = self._labels[nucleus] == 0
        if free.mean() > _LEAST_FREE:
            self._write((nucleus[0][free], nucleus[1][free]), CLASS_NAMES.index("epithelial") + 1)

    def _write(self, nucleus: Indices, class_id: int) -> None:
        if nucleus[0].size:
            self._count += 1
            self._labels[nucleus] = label_of(self._count, class_id)


def _ellipse(shape: tuple[int, ...], gland: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the squared radius of each pixel in units of an ellipse's own."""
    height, width = shape
    cy, cx, ry, rx, turn = gland
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y - cy * height, x - cx * width
    along_y = y * math.cos(turn) - x * math.sin(turn)
    along_x = y * math.sin(turn) + x * math.cos(turn)
    squared: NDArray[np.float64] = (along_y / (ry * height)) ** 2 + (along_x / (rx * width)) ** 2
    return squared
