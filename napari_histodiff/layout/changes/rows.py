"""The rows of nuclei of glands, which go along with a border that moves."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.layout.changes.nuclei import NucleiEdit

__all__ = ["Rows"]

_EPITHELIAL: Final = CLASS_NAMES.index("epithelial") + 1
_HOMES: Final = [TISSUE_NAMES.index(name) for name in ("gland", "mucus")]

_LEAST: Final = 1.0  # um that a border moves where its nuclei do
_ROWS: Final = 0.9  # of the nuclei stand in the rows; above them are few
_SMOOTH: Final = 2.0  # um
#: Shares of the way that are tried, where others stand in it.
_WAYS: Final = (1.0, 0.85, 0.7, 0.5, 0.25, 0.0)


class Rows:
    """Epithelial nuclei of glands, as they stand before the border moves.

    Parameters
    ----------
    nuclei : NucleiEdit
    body : (h, w) bool
        The glands with what they enclose.
    mpp : float
    """

    def __init__(self, nuclei: NucleiEdit, body: NDArray[np.bool_], mpp: float) -> None:
        self.ids = nuclei.within(body, (_EPITHELIAL,))
        self._nuclei, self._mpp = nuclei, mpp
        self._deep = _depth(body, mpp)

    def follow(
        self, body: NDArray[np.bool_], tissue: NDArray[np.uint8], farthest: float
    ) -> tuple[NDArray[np.bool_], int]:
        """Move each nucleus until it lies as deep below the new border as below the old one.

        Parameters
        ----------
        body : (h, w) bool
            The glands now.
        tissue : (h, w) uint8
            Tissue now.
        farthest : float
            Um that nuclei move at most.

        Returns
        -------
        bare : (h, w) bool
            Where nuclei may be missing now: as deep as they stand, where the border moved outwards.
        lost : int
            How many nuclei found no room.
        """
        deep = _depth(body, self._mpp)
        shift = np.clip(deep - self._deep, -farthest, farthest)
        smooth = ndimage.gaussian_filter(deep, _SMOOTH / self._mpp)
        slope = np.stack([ndimage.sobel(smooth, axis=axis) for axis in (0, 1)])
        slope /= np.maximum(np.hypot(*slope), np.float32(1e-6))
        moved = np.abs(shift) >= _LEAST
        middles = self._nuclei.middles(self.ids)
        at = middles[:, 0], middles[:, 1]
        goes = moved[at]
        ways = -(slope * shift / np.float32(self._mpp))[:, at[0], at[1]].T
        # Those at the border first: the others come after them.
        order = np.flatnonzero(goes)[np.argsort(self._deep[at][goes], kind="stable")]
        home = np.isin(tissue, _HOMES)
        lost = self._nuclei.move(self.ids[order], ways[order], home, _WAYS)
        rows = np.quantile(self._deep[at], _ROWS) if len(middles) else np.inf
        return (shift >= _LEAST) & body & (deep <= rows), lost


def _depth(body: NDArray[np.bool_], mpp: float) -> NDArray[np.float32]:
    # Um inside, below 0 outside; a body that fills the frame has no border.
    if body.all() or not body.any():
        return np.zeros(body.shape, np.float32)
    away = ndimage.distance_transform_edt(body) - ndimage.distance_transform_edt(~body)
    return np.asarray(away * mpp, np.float32)
