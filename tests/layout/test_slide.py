from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import MAX_INSTANCE
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.tissues.kinds import GLAND, GLASS, LUMEN, MUCUS, STROMA
from tests.layout.slides import layout, recipe

FAR = 2**24
CAPTIONS = (
    "colon",
    "",
    "colon, tumour",
    "kidney, tumour",
    "breast",
    "skin",
    "lymph node",
    "liver, high epithelial cells",
)
slides = st.builds(
    layout,
    st.sampled_from(CAPTIONS),
    side=st.sampled_from([4096, 131_072]),
    seed=st.integers(0, 3),
)


@st.composite
def crops(draw: st.DrawFn) -> tuple[Region, Region]:
    """A region anywhere, and a larger one around it."""
    level = draw(st.integers(0, 4))
    near = draw(st.sampled_from([600, 70_000, FAR])) >> level
    y, x = draw(st.integers(-near, near)), draw(st.integers(-near, near))
    height, width = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    region = Region(level, y, x, height, width)
    top, left = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    bottom, right = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    wide = Region(level, y - top, x - left, height + top + bottom, width + left + right)
    return region, wide


def everything(slide: SlideLayout) -> list[Callable[[Region], NDArray[Any]]]:
    return [
        slide.tissue,
        lambda region: slide.nuclei(region)[0],
        lambda region: slide.nuclei(region)[1],
        slide.glass,
        slide.fibres,
        slide.colours,
    ]


@settings(max_examples=25, deadline=None)
@given(slides, crops())
def test_a_place_is_the_same_in_every_region(
    slide: SlideLayout, places: tuple[Region, Region]
) -> None:
    region, wide = places
    for ask in everything(slide):
        np.testing.assert_array_equal(
            ask(region), ask(wide)[region.relative_to(wide).slices], strict=True
        )


def test_a_nucleus_far_away_that_has_the_same_place_along_the_wall_is_another() -> None:
    region = Region(0, -400, 24_652, 4, 40)
    wide = Region(0, -400, 24_652, 4, 160)
    slide = layout("colon", side=4096)
    np.testing.assert_array_equal(slide.nuclei(region)[0], slide.nuclei(wide)[0][:, :40])


@settings(max_examples=15, deadline=None)
@given(slides, crops())
def test_every_level_is_the_finest_one_subsampled(
    slide: SlideLayout, places: tuple[Region, Region]
) -> None:
    region = places[0].intersect(Region(places[0].level, places[0].y, places[0].x, 60, 60))
    step = 1 << region.level
    fine = Region(0, *(n << region.level for n in (region.y, region.x, *region.shape)))
    np.testing.assert_array_equal(slide.tissue(region), slide.tissue(fine)[::step, ::step])
    for coarse_map, fine_map in zip(slide.nuclei(region), slide.nuclei(fine), strict=True):
        np.testing.assert_array_equal(coarse_map, fine_map[::step, ::step])


@pytest.mark.parametrize("level", [6, 7, 8, 10])
def test_coarse_colours_are_the_same_in_every_region(level: int) -> None:
    slide = layout(side=131_072)
    wide = Region(level, (30_000 >> level) - 20, (40_000 >> level) - 9, 70, 61)
    region = Region(level, wide.y + 13, wide.x + 20, 40, 33)
    np.testing.assert_array_equal(
        slide.colours(region), slide.colours(wide)[region.relative_to(wide).slices]
    )


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_regions_are_empty(shape: tuple[int, int]) -> None:
    slide = layout()
    for ask in everything(slide):
        assert ask(Region(1, 7, -8, *shape)).shape[:2] == shape


def test_types_and_ids() -> None:
    slide, region = layout("colon, tumour, inflammation"), Region(1, 100, 200, 400, 400)
    tissue = slide.tissue(region)
    classes, instances = slide.nuclei(region)
    assert tissue.dtype == classes.dtype == slide.colours(region).dtype == np.uint8
    assert instances.dtype == np.int32
    assert slide.glass(region).dtype == np.bool_
    assert set(np.unique(tissue)) <= {GLAND, STROMA, LUMEN, GLASS}
    assert classes.max() <= 6
    assert instances.min() == 0
    assert instances.max() <= MAX_INSTANCE
    np.testing.assert_array_equal(classes > 0, instances > 0)


def test_seeds_and_captions_make_other_slides() -> None:
    region = Region(2, 0, 0, 256, 256)
    shown = [layout(seed=seed).tissue(region) for seed in (3, 4)]
    assert (shown[0] != shown[1]).mean() > 0.1
    assert (shown[0] != layout("breast").tissue(region)).mean() > 0.1
    assert (layout(seed=3).tissue(region) == SlideLayout(recipe(seed=3)).tissue(region)).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("height", "width"), [(131_072, 131_072), (9_000, 60_000)])
def test_the_border_of_a_large_slide_is_glass(seed: int, height: int, width: int) -> None:
    slide = SlideLayout(recipe(height=height, width=width, seed=seed))
    rows, cols = height >> 4, width >> 4
    for strip in (
        Region(4, 0, 0, 1, cols),
        Region(4, rows - 1, 0, 1, cols),
        Region(4, 0, 0, rows, 1),
        Region(4, 0, cols - 1, rows, 1),
    ):
        assert (slide.tissue(strip) == GLASS).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("height", "width"), [(131_072, 131_072), (9_000, 60_000)])
def test_a_large_slide_is_tissue_in_part(seed: int, height: int, width: int) -> None:
    slide = SlideLayout(recipe(height=height, width=width, seed=seed))
    # Eight strips or nine, as a slide of this size takes seconds.
    strips = [Region(9, row, 0, 4, width >> 9) for row in range(0, height >> 9, height >> 12)]
    assert 0.2 < np.mean([(slide.tissue(strip) != GLASS).mean() for strip in strips]) < 0.85


@pytest.mark.parametrize("seed", range(6))
def test_a_small_slide_is_mostly_tissue(seed: int) -> None:
    tissue = layout(seed=seed).tissue(Region(4, 0, 0, 256, 256))
    assert (tissue != GLASS).mean() > 0.75


def test_organs_differ_in_their_glands() -> None:
    region = Region(4, 0, 0, 256, 256)
    share = {
        organ: np.mean(
            [np.isin(layout(organ, seed=s).tissue(region), (GLAND, MUCUS)).mean() for s in range(3)]
        )
        for organ in ("colon", "brain", "breast")
    }
    assert share["colon"] > 0.15
    assert share["brain"] == 0
    assert share["colon"] > share["breast"] > 0
    assert (layout("no epithelial cells").tissue(region) != GLAND).all()


def test_glass_keeps_its_distance_from_tissue() -> None:
    slide = layout(side=131_072)
    level = 5
    row = slide.tissue(Region(level, 1500, 0, 1, 2048))[0]
    edge = int(np.argmax(row != GLASS))
    fine = Region(0, 1500 << level, (edge << level) - 200, 200, 260)
    tissue, far = slide.tissue(fine), slide.glass(fine)
    empty = tissue == GLASS
    assert 0 < far.sum() < empty.sum()
    y, x = np.nonzero(~np.isin(tissue, (GLASS, LUMEN)))
    assert np.isin(tissue[far], (GLASS, LUMEN)).all()
    for qy, qx in np.argwhere(far)[::997]:
        assert np.hypot(y - qy, x - qx).min() * 0.5 > 2
    # Glass far from all tissue is free.
    for qy, qx in np.argwhere(empty & ~far)[::997]:
        near = slide.tissue(Region(0, fine.y + int(qy) - 4, fine.x + int(qx) - 4, 9, 9))
        assert (near != GLASS).any()


def test_a_slide_that_grows_keeps_its_layout() -> None:
    small = recipe(side=16_384)
    old = SlideLayout(small)
    region = Region(3, 700, 600, 200, 200)
    assert len(np.unique(old.tissue(region))) > 1
    for grown in (small.grown(top=1024, left=2048), small.grown(bottom=4096, top=1024)):
        new = SlideLayout(grown)
        for before, after in zip(everything(old), everything(new), strict=True):
            np.testing.assert_array_equal(before(region), after(region))


def test_colours_look_like_stained_tissue() -> None:
    slide = layout(side=131_072)
    # In the middle of the wall of one of its sections.
    column = slide.tissue(Region(8, 0, 256, 512, 1))[:, 0] == STROMA
    y = int(np.argmax(np.convolve(column, np.ones(9), "same"))) << 8
    for level in (2, 5, 8):
        side = min(180, 4096 >> level)
        region = Region(level, (y >> level) - side // 2, (65_536 >> level) - side // 2, side, side)
        image = slide.colours(region).reshape(-1, 3).astype(float)
        red, green, blue = image.mean(axis=0)
        assert green < blue < 240
        assert green < red
        assert image.std(axis=0).min() > 3
    glass = slide.colours(Region(8, 0, 0, 4, 4))
    np.testing.assert_allclose(glass, np.broadcast_to([243, 241, 244], glass.shape), atol=2)


def test_bare_glass_is_shown_in_the_colour_of_the_recipe() -> None:
    slide = SlideLayout(recipe(side=16_384, glass=(250, 230, 240)))
    corner = slide.colours(Region(6, 0, 0, 4, 4))
    np.testing.assert_allclose(corner, np.broadcast_to([250, 230, 240], corner.shape), atol=2)


@pytest.mark.parametrize(("levels", "span"), [((2, 3, 4), 4096), ((4, 5, 6, 7, 8), 16_384)])
def test_levels_have_about_the_same_colour(levels: tuple[int, ...], span: int) -> None:
    slide, at = layout(side=131_072), 57_344
    means = []
    for level in levels:
        region = Region(level, at >> level, at >> level, span >> level, span >> level)
        means.append(slide.colours(region).mean(axis=(0, 1)))
    assert np.abs(np.diff(means, axis=0)).max() < 10


@pytest.mark.parametrize("side", [256, 1024])
def test_the_smallest_slides_show_tissue(side: int) -> None:
    for seed in range(12):
        for caption in ("", "colon", "skin"):
            tissue = layout(caption, side=side, seed=seed).tissue(Region(0, 0, 0, side, side))
            assert (tissue != GLASS).mean() > 0.4


@pytest.mark.parametrize(
    ("side", "digest"),
    [(4096, "ceee15e2ed9e5aad2bfda251e2a7c71b"), (16_384, "6e2458f22fa9e231832defbba45c3cab")],
)
def test_slides_of_the_first_layout_keep_it(side: int, digest: str) -> None:
    old = SlideLayout(recipe(side=side, seed=0, layout=1))
    classes, _ = old.nuclei(Region(0, 1800, 1800, 256, 256))
    assert digest_of(old.tissue(Region(3, 0, 0, 512, 512)), classes).hex() == digest


@pytest.mark.parametrize("side", [2048, 4096, 7000])
def test_tears_of_small_slides_are_small(side: int) -> None:
    edge, shares = side >> 4, []
    for seed in range(8):
        slide = SlideLayout(recipe("breast", side=side, seed=seed))
        shares.append((slide.tissue(Region(4, 0, 0, edge, edge)) == GLASS).mean())
    assert max(shares) < 0.08
