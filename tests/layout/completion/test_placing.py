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


@pytest.mark.parametrize("caption", ["colon", "colon, high lymphocytes"])
def test_stroma_is_as_full_of_nuclei_at_every_scale(caption: str) -> None:
    plan = plan_of(caption)

    def of_classes(mpp: float, side: int) -> np.ndarray:
        tissue, frame = (
            np.full((side, side), TISSUE_NAMES.index("stroma"), np.uint8),
            Region(0, 0, 0, side, side),
        )
        where, taken = tissue > 0, tissue == 0
        classes, _ = place_nuclei(tissue, where, taken, plan, frame=frame, mpp=mpp, seed=1)
        return np.bincount(classes.ravel(), minlength=7)[1:] / classes.size

    fine = of_classes(0.5, 512)
    for mpp, side in ((1.0, 320), (4.0, 96), (8.0, 96), (16.0, 96), (64.0, 96)):
        coarse = of_classes(mpp, side)
        assert coarse.sum() == pytest.approx(fine.sum(), rel=0.25)
        np.testing.assert_allclose(coarse, fine, atol=0.04)
