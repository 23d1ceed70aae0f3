from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.layout.sketched import SketchedGlands
from napari_histodiff.layout.tissues.kinds import GLAND, GLASS, LUMEN, STROMA
from tests.layout.slides import recipe

EPITHELIAL, CONNECTIVE = 2, 6


def sketched(classes: np.ndarray, pixel: int = 256, caption: str = "colon") -> SlideLayout:
    return SlideLayout(recipe(caption), Sketch(classes.astype(np.uint8), pixel))


def patchwork() -> SlideLayout:
    classes = np.zeros((16, 16))
    classes[1:7, 1:7], classes[1:7, 9:15] = GLAND, STROMA
    classes[9:15, 1:7], classes[9:15, 9:15] = LUMEN, GLASS
    return sketched(classes)


def test_what_is_sketched_is_there() -> None:
    tissue = patchwork().tissue(Region(2, 0, 0, 1024, 1024))
    assert (tissue[128:384, 640:896] == STROMA).all()
    assert (tissue[640:896, 128:384] == LUMEN).all()
    assert (tissue[640:896, 640:896] == GLASS).all()
    glands = tissue[128:384, 128:384]
    assert (glands == GLAND).mean() > 0.25
    assert (glands == LUMEN).mean() > 0.03
    assert (glands == STROMA).mean() > 0.1
    assert (glands != GLASS).all()


def test_nuclei_follow_the_sketch() -> None:
    classes, _ = patchwork().nuclei(Region(2, 0, 0, 1024, 1024))
    assert not classes[640:896].take(range(128, 384), 1).any()
    assert not classes[640:896, 640:896].any()
    stroma, glands = classes[128:384, 640:896], classes[128:384, 128:384]
    assert (stroma == CONNECTIVE).any()
    assert not (stroma == EPITHELIAL).any()
    assert (glands == EPITHELIAL).mean() > 0.03


def test_a_slide_without_glands_gets_those_that_are_sketched() -> None:
    classes = np.zeros((16, 16))
    classes[4:12, 4:12] = GLAND
    tissue = sketched(classes, caption="brain").tissue(Region(2, 0, 0, 1024, 1024))
    assert (tissue[320:704, 320:704] == GLAND).mean() > 0.2
    assert not (tissue[:240] == GLAND).any()


def test_a_small_area_is_one_gland() -> None:
    classes = np.full((16, 16), STROMA)
    classes[8, 8] = GLAND
    slide = sketched(classes)
    region = Region(0, 7 * 256, 7 * 256, 768, 768)
    tissue = slide.tissue(region)
    kinds, _ = slide.nuclei(region)
    assert (tissue == GLAND).sum() > 8000
    assert 0 < (tissue == LUMEN).sum() < (tissue == GLAND).sum()
    inner = np.argwhere(tissue == LUMEN)
    ring = np.argwhere(tissue == GLAND)
    np.testing.assert_allclose(inner.mean(axis=0), ring.mean(axis=0), atol=30)
    assert (kinds[tissue == GLAND] == EPITHELIAL).sum() > 1500
    assert not (kinds[tissue == LUMEN] > 0).mean() > 0.02


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3), st.integers(-600, 4400), st.integers(-600, 4400))
def test_a_sketched_place_is_the_same_everywhere(level: int, y: int, x: int) -> None:
    slide = _MIXED
    region = Region(level, y >> level, x >> level, 70, 50)
    wide = region.pad(33)
    part = region.relative_to(wide).slices
    for ask in (slide.tissue, slide.colours, slide.glass):
        np.testing.assert_array_equal(ask(region), ask(wide)[part])
    fine = Region(0, *(n << level for n in (region.y, region.x, *region.shape)))
    step = 1 << level
    np.testing.assert_array_equal(slide.tissue(region), slide.tissue(fine)[::step, ::step])
    for few, more, most in zip(
        slide.nuclei(region), slide.nuclei(wide), slide.nuclei(fine), strict=True
    ):
        np.testing.assert_array_equal(few, more[part])
        np.testing.assert_array_equal(few, most[::step, ::step])


def _mixed() -> SlideLayout:
    rng = np.random.default_rng(5)
    return sketched(rng.integers(0, 5, (8, 8)).repeat(2, 0).repeat(2, 1))


_MIXED = _mixed()


@pytest.mark.parametrize("level", [5, 7, 9])
def test_colours_show_the_sketch_from_afar(level: int) -> None:
    classes = np.full((16, 16), STROMA)
    classes[:, 8:] = GLASS
    slide = SlideLayout(recipe(side=16_384), Sketch(classes.astype(np.uint8), 1024))
    side = 16_384 >> level
    image = slide.colours(Region(level, 0, 0, side, side)).astype(float)
    left, right = image[:, : side // 2 - side // 16], image[:, side // 2 + side // 16 :]
    np.testing.assert_allclose(right.mean(axis=(0, 1)), [243, 241, 244], atol=1)
    assert left[..., 1].max() < 200


def test_only_wide_areas_hold_several_glands() -> None:
    classes = np.zeros((40, 40), np.uint8)
    classes[2:20, 2:20] = GLAND
    classes[4:36, 30:33] = GLAND
    areas = SketchedGlands(Sketch(classes, 40), 0.5)

    def at(row: float, col: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([int(row * 40)]), np.array([int(col * 40)])

    assert areas.large(*at(11, 11))[0]
    assert areas.large(*at(3, 3))[0]
    assert not areas.large(*at(20, 31.5))[0]
    assert areas.depth(*at(20, 31.5))[0] == pytest.approx(60, abs=20)
    assert areas.depth(*at(5, 11))[0] == pytest.approx(120, abs=25)
    assert areas.depth(*at(30, 10))[0] == 0


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 99), st.integers(5, 10), st.integers(5, 10))
def test_a_changed_sketch_reaches_only_so_far(seed: int, row: int, col: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 5, (4, 4)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    after = before.copy()
    after[row, col] = STROMA if before[row, col] == GLASS else GLASS
    one, other = (sketched(classes, 400) for classes in (before, after))
    assert SlideLayout(recipe()).sketch_reach == 0
    reach = one.sketch_reach
    assert reach == other.sketch_reach < 4000
    region = Region(3, 0, 0, 800, 800)
    differs = one.tissue(region) != other.tissue(region)
    rows, cols = np.nonzero(differs)
    assert len(rows)
    for at, changed in ((rows, row), (cols, col)):
        assert at.min() * 8 >= changed * 400 - reach
        assert at.max() * 8 < (changed + 1) * 400 + reach
