"""Nuclei that are suggested for painted tissue lie as close as those of real tissue."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.plan import plan_of

SIDE = 384
FRAME = Region(0, 0, 0, SIDE, SIDE)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    # As counted in training images: 2,800 in muscle, 8,300 in stroma, 8,700 in glands, 19,000 to
    # 24,000 in lymphoid tissue.
    [
        ("muscle", 2_200, 3_300),
        ("stroma", 6_000, 10_000),
        ("gland", 6_500, 10_000),
        ("lymphoid", 18_000, 26_000),
    ],
)
def test_densities_are_those_of_real_tissue(name: str, least: float, most: float) -> None:
    tissue = np.full(FRAME.shape, TISSUE_NAMES.index(name), np.uint8)
    everywhere = np.ones(FRAME.shape, np.bool_)
    _, instances = place_nuclei(
        tissue, everywhere, ~everywhere, plan_of("colon"), frame=FRAME, mpp=0.5, seed=1
    )
    assert least < instances.max() / (SIDE**2 * 0.25e-6) < most
