from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.inpainting.readouts import seam, stain_shift, strangeness
from napari_histodiff.inpainting.stains import stain_vector


def tissue(seed: int = 0, side: int = 200) -> np.ndarray:
    """Smooth texture in eosin's colour."""
    grain = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 1.5)
    grain = grain / grain.std()
    density = np.array([0.25, 0.7, 0.4]) * (1 + 0.2 * grain[..., None])
    return np.clip(255 * np.exp(-density), 0, 255).astype(np.uint8)


def disc(side: int = 200, radius: float = 50) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side // 2
    return np.hypot(y, x) < radius


def test_tissue_nobody_edited_has_no_seam() -> None:
    found = seam(tissue(), disc())
    assert found == pytest.approx(1, abs=0.12)


def test_another_place_pasted_in_has_one() -> None:
    mask = disc()
    image = np.where(mask[..., None], tissue(1), tissue(0))
    found = seam(image, mask)
    assert found is not None
    assert found > 2


def test_the_shift_is_that_of_the_density() -> None:
    mask = disc()
    same = stain_shift(np.where(mask[..., None], tissue(1), tissue(0)), mask)
    darker = np.clip(255 * (tissue(1) / 255.0) ** 1.3, 0, 255).astype(np.uint8)
    shifted = stain_shift(np.where(mask[..., None], darker, tissue(0)), mask)
    assert same == pytest.approx(0, abs=0.03)
    assert shifted == pytest.approx(0.3, abs=0.04)


def test_a_stain_of_the_bank_is_not_strange_and_another_is() -> None:
    vector = stain_vector(tissue())
    assert vector is not None
    bank = [StainEntry("skin", "pink", 0.5, vector), StainEntry("skin", "pink", 4.0, (9.0,) * 7)]
    everywhere = np.ones((200, 200), bool)
    assert strangeness(tissue(3), everywhere, 0.5, bank) == pytest.approx(0, abs=0.05)
    found = strangeness(tissue(3)[..., ::-1].copy(), everywhere, 0.5, bank)
    assert found is not None
    assert found > 0.2
    assert strangeness(tissue(), everywhere, 0.5, []) is None


def test_what_cannot_be_told_is_none() -> None:
    glass = np.full((200, 200, 3), 245, np.uint8)
    nothing, whole = np.zeros((200, 200), bool), np.ones((200, 200), bool)
    assert seam(tissue(), nothing) is None
    assert seam(tissue(), whole) is None
    assert seam(glass, disc()) is None
    assert stain_shift(glass, disc()) is None
    assert stain_shift(tissue(), nothing) is None
    assert stain_shift(tissue(), whole) is None
