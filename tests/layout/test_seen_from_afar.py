"""Planned slides at 16 um/px have the shares that overviews of real ones have.

The ranges are of the sections of the Pathology Atlas (MIT, images by L. Happonen and others) as
`tools/layout_measures.py` measures them; its scale is estimated, its cases are few.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_histodiff.core.geometry import Region
from tests.layout.slides import layout

SIDE = 32_768
LEVEL = 5


def haematoxylin(picture: NDArray[np.uint8]) -> float:
    """Share of tissue that is rich in haematoxylin, as the tool has it."""
    light = ndimage.gaussian_filter(picture.astype(np.float32), (1, 1, 0))
    tissue = (light.min(axis=-1) < 215) & (light.max(axis=-1) - light.min(axis=-1) > 12)
    tissue = ndimage.binary_opening(tissue)
    red = -np.log10(np.clip(light[..., 0], 1, 250) / 250)
    dark = ndimage.binary_opening(tissue & (red > threshold_otsu(red[tissue])))
    return float(dark.sum() / tissue.sum())


def overview(caption: str, seed: int) -> NDArray[np.uint8]:
    side = SIDE >> LEVEL
    return layout(caption, side=SIDE, seed=seed).colours(Region(LEVEL, 0, 0, side, side))


@pytest.mark.parametrize("seed", range(3))
def test_haematoxylin_of_a_colon_is_that_of_its_mucosa(seed: int) -> None:
    # Ten overviews of colon: 0.26 to 0.52; muscle, pink, has about half the red density.
    assert 0.22 < haematoxylin(overview("colon, gland", seed)) < 0.52


@pytest.mark.parametrize("seed", range(2))
def test_a_node_is_nearly_all_haematoxylin(seed: int) -> None:
    # One overview of two lymph nodes in fat: 0.75.
    assert 0.55 < haematoxylin(overview("lymph node", seed)) < 0.95
