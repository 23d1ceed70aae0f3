"""A painted ring of epithelial nuclei becomes a whole gland."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.completion import complete_paint
from tests.layout.completion.test_complete import CAPTION, disc, ring


@pytest.mark.parametrize("seed", range(6))
def test_a_ring_of_epithelial_nuclei_is_a_gland_with_one_lumen(seed: int) -> None:
    side, radius = 256, 60
    classes, instances = ring(side, radius)
    tissue = complete_paint(classes, instances, caption="colon, gland", seed=seed).tissue_map
    lumen, gland = (tissue == TISSUE_NAMES.index(name) for name in ("lumen", "gland"))
    inside = disc(side, radius - 8)
    assert (lumen | gland)[inside].mean() > 0.97
    assert lumen[disc(side, radius / 3)].mean() > 0.9
    assert gland[classes > 0].all()
    assert not (lumen | gland)[~disc(side, radius + 56)].any()  # 28 um


def test_a_core_with_nuclei_of_its_own_inside_a_ring_may_be_stroma() -> None:
    classes, instances = ring(256, 100)
    for number, (y, x) in enumerate(np.ndindex(7, 7), start=1000):
        spot = np.s_[70 + 18 * y : 76 + 18 * y, 70 + 18 * x : 80 + 18 * x]
        classes[spot], instances[spot] = 6, number  # connective
    tissue = complete_paint(classes, instances, caption=CAPTION, seed=0).tissue_map
    assert (tissue[disc(256, 50)] == TISSUE_NAMES.index("stroma")).mean() > 0.5
