"""Where fibres point: along them nuclei lie, and along the wall its muscle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import regionprops

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, FIBRE_TURNS, TISSUE_NAMES
from tests.layout.slides import layout

SPINDLE = CLASS_NAMES.index("connective") + 1
WHOLE = Region(0, 0, 0, 4096, 4096)


def between(fibres: NDArray[np.uint8], nuclei: NDArray[np.int32]) -> list[float]:
    """Cosine of twice the angle between each drawn-out nucleus and the fibres under it."""
    found = []
    for nucleus in regionprops(nuclei):
        row, col = map(int, nucleus.centroid)
        if nucleus.axis_major_length > 2 * nucleus.axis_minor_length and fibres[row, col]:
            fibre = (fibres[row, col] - 1) * np.pi / FIBRE_TURNS
            own = np.pi / 2 - nucleus.orientation  # from columns towards rows, as fibres
            found.append(float(np.cos(2 * (own - fibre))))
    return found


@pytest.mark.parametrize("caption", ["colon, gland", "bladder"])
def test_drawn_out_nuclei_lie_along_fibres(caption: str) -> None:
    slide = layout(caption)
    tissue, fibres = slide.tissue(WHOLE), slide.fibres(WHOLE)
    classes, instances = slide.nuclei(WHOLE)
    for name in ("muscle", "stroma"):
        within = (tissue == TISSUE_NAMES.index(name)) & (classes == SPINDLE)
        angles = between(fibres, np.where(within, instances, 0))
        assert len(angles) > 50
        assert np.mean(angles) > 0.7


def test_muscle_that_is_cut_across_points_nowhere() -> None:
    slide, place = layout("colon, gland", side=16_384), Region(4, 0, 0, 1024, 1024)
    muscle = slide.tissue(place) == TISSUE_NAMES.index("muscle")
    across = slide.fibres(place) == 0
    assert 0.1 < across[muscle].mean() < 0.9  # one of the coats, and not the other
    assert layout("brain").fibres(WHOLE).all()


def test_neighbouring_places_point_much_alike() -> None:
    angles = (layout("skin").fibres(WHOLE)[::8, ::8].astype(int) - 1) * 2 * np.pi / FIBRE_TURNS
    assert np.cos(angles[1:] - angles[:-1]).mean() > 0.97
    assert len(np.unique(angles)) == FIBRE_TURNS
