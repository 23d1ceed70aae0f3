"""Glands are as large, as uneven and as full as real ones are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.lining import GlandEpithelium
from napari_histodiff.layout.mucosa import Mucosa
from napari_histodiff.layout.plan import plan_of
from napari_histodiff.layout.star_lattice import DIRECTIONS, LatticePoints
from napari_histodiff.layout.tissues.kinds import GLAND, MUCUS

MPP = 0.5


def anatomy(caption: str, home: int = 8192) -> Anatomy:
    return Anatomy(3, plan_of(caption), MPP, (home, home), None)


def outlines(caption: str) -> LatticePoints:
    """All places of a caption's glands, as if each of them held one."""
    return anatomy(caption).glands.filled().within((0, 20_000, 0, 20_000))


def diameters(glands: LatticePoints) -> np.ndarray:
    """Of circles as large, um."""
    x, y = glands.outer * DIRECTIONS[1], glands.outer * DIRECTIONS[0]
    area = np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1)) / 2
    return np.asarray(2 * np.sqrt(area / np.pi) * MPP)


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [("colon", (55, 72, 95, 105)), ("colon, tumour", (50, 80, 110, 125))],
)
def test_glands_of_colon_are_as_unequal_as_real_ones(
    caption: str, wanted: tuple[float, ...]
) -> None:
    # Annotated ones, benign and malignant (GlaS): 50, 72, 115 and 158 um; every place is filled
    # here, which leaves less room.
    found = np.percentile(diameters(outlines(caption)), (10, 50, 90, 98))
    np.testing.assert_allclose(found, wanted, rtol=0.15)


def test_outlines_of_a_tumour_are_more_uneven_than_those_of_crypts() -> None:
    def uneven(caption: str) -> float:
        outer = outlines(caption).outer
        return float(np.median(outer.std(axis=1) / outer.mean(axis=1)))

    assert uneven("colon, tumour") > 1.3 * uneven("colon")


def test_wide_glands_of_a_tumour_are_sheets_with_small_lumina() -> None:
    one = anatomy("prostate, tumour", home=32_768)
    ducts = one.ducts.filled().within((0, 20_000, 0, 20_000))
    epithelium: GlandEpithelium = one.epithelium
    wide = ducts.reach * MPP > 110
    assert 0.7 < epithelium.nest(ducts[wide]).mean() < 0.9
    assert epithelium.nest(one.glands.within((0, 20_000, 0, 20_000))).mean() < 0.5
    healthy = replace(epithelium, plan=replace(one.plan, tumour=False))
    assert healthy.nest(ducts[wide]).mean() < 0.45


def test_some_crypts_are_full_of_mucus_and_all_have_goblet_cells() -> None:
    one = anatomy("colon", home=16_384)
    glands = one.glands.filled().within((0, 20_000, 0, 20_000))
    assert 0.1 < one.epithelium.secreting(glands).mean() < 0.3
    # Mucus is a third of the crypts' epithelium.
    parts = one.parts(Pixels(0, 0, 8, 2048, 2048))
    share = (parts == MUCUS).sum() / np.isin(parts, (MUCUS, GLAND)).sum()
    assert 0.2 < share < 0.5


@pytest.mark.parametrize(("organ", "closes"), [("stomach", True), ("colon", False)])
def test_lumina_of_the_stomach_close_downwards(organ: str, closes: bool) -> None:
    wall = anatomy(organ).wall
    assert wall is not None
    mucosa = Mucosa(3, wall, MPP, 1.0, False)
    place = np.linspace(0, float(mucosa.pitch) * 200, 20_000, dtype=np.float32)

    def lumen(share: float) -> float:
        depth = np.full(place.shape, np.float32(share) * mucosa.depth)
        return float(mucosa.inside(depth, place, np.ones_like(place))[1].mean())

    assert lumen(0.15) > 0.03
    assert (lumen(0.7) < 0.3 * lumen(0.15)) == closes
