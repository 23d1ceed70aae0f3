from __future__ import annotations

import math

import numpy as np
import pytest

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.layout.completion.grain import TissueGrain

GLAND, STROMA = TISSUE_NAMES.index("gland"), TISSUE_NAMES.index("stroma")
EPITHELIAL, CONNECTIVE, PLASMA = (
    CLASS_NAMES.index(name) + 1 for name in ("epithelial", "connective", "plasma")
)


def disc(mpp: float) -> np.ndarray:
    """A gland of 50 um radius in the middle of 200 um of stroma."""
    side = round(200 / mpp)
    y, x = (np.mgrid[:side, :side] + 0.5) * mpp - 100
    return np.where(np.hypot(y, x) < 50, GLAND, STROMA).astype(np.uint8)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 2.0, 8.0])
@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 7))
def test_epithelium_stands_on_the_border_and_spindles_lie_along_it(
    mpp: float, angle: float
) -> None:
    grain, rng = TissueGrain(disc(mpp), mpp), np.random.default_rng(0)
    y, x = ((100 + 48 * f(angle)) / mpp for f in (np.sin, np.cos))
    for class_id, wanted in ((EPITHELIAL, angle), (CONNECTIVE, angle + math.pi / 2)):
        turns = [grain.rotation(class_id, y, x, rng) for _ in range(50)]
        off = np.array(turns) - wanted
        mean = np.angle(np.exp(2j * off).mean()) / 2  # of axes: half a turn is none
        assert abs(mean) < 0.3


def test_elsewhere_and_for_round_nuclei_there_is_no_direction() -> None:
    grain, rng = TissueGrain(disc(0.5), 0.5), np.random.default_rng(0)
    assert grain.rotation(EPITHELIAL, 200, 200, rng) is None
    assert grain.rotation(CONNECTIVE, 5, 5, rng) is None
    assert grain.rotation(PLASMA, 200, 300, rng) is None
    assert grain.rotation(EPITHELIAL, 200, 296, rng) is not None
