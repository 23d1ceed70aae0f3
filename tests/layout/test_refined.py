from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.nucleus_templates import TURNS, templates_of
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.layout.sketched import coarser
from napari_histodiff.layout.tissues.kinds import GLASS
from tests.layout.slides import STAIN, recipe

CAPTIONS = ("colon", "", "colon, tumour", "breast", "skin", "brain", "kidney")


@cache
def refined(times: int, caption: str, side: int, seed: int, pixel: int) -> SlideLayout:
    """A layout refined so often; with a sketch of that pixel unless it is 0."""
    scale, sketch = 1 << times, None
    if pixel:
        classes = np.random.default_rng(seed).integers(0, 5, (8, 9)).repeat(2, 0).astype(np.uint8)
        sketch = Sketch(classes, pixel * scale, (-512 * scale, 256 * scale))
    stains = [tuple(n + 0.01 * level for n in STAIN) for level in range(-times, 3)]
    finer = {"mpp": 0.5 / scale, "refined": times, "coarsest": 2 + times, "stains": tuple(stains)}
    return SlideLayout(recipe(caption, side=side * scale, seed=seed, **finer), sketch)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    level = draw(st.integers(0, 5))
    near = draw(st.sampled_from([600, 6000, 50_000, 2**30])) >> level
    y, x = draw(st.integers(-near, near)), draw(st.integers(-near, near))
    return Region(level, y, x, draw(st.integers(1, 90)), draw(st.integers(1, 90)))


slides = st.fixed_dictionaries(
    {
        "caption": st.sampled_from(CAPTIONS),
        "side": st.sampled_from([4096, 32_768]),
        "seed": st.integers(0, 3),
        "pixel": st.sampled_from([0, 0, 300, 333]),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2), slides, regions())
def test_a_refined_slide_has_the_same_layout_further_up(
    times: int, kind: dict[str, object], region: Region
) -> None:
    before, after = refined(0, **kind), refined(times, **kind)
    above = Region(region.level + times, region.y, region.x, *region.shape)
    for ask in ("tissue", "glass", "colours", "fibres"):
        np.testing.assert_array_equal(getattr(after, ask)(above), getattr(before, ask)(region))
    for new, old in zip(after.nuclei(above), before.nuclei(region), strict=True):
        np.testing.assert_array_equal(new, old, strict=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2), slides, regions())
def test_its_finer_levels_lie_between_those_pixels(
    times: int, kind: dict[str, object], region: Region
) -> None:
    before, after = refined(0, **kind), refined(times, **kind)
    region = Region(0, region.y, region.x, *region.shape)
    for level in range(times):
        step = 1 << (times - level)
        fine = Region(level, *(n * step for n in (region.y, region.x, *region.shape)))
        np.testing.assert_array_equal(after.tissue(fine)[::step, ::step], before.tissue(region))
        for new, old in zip(after.nuclei(fine), before.nuclei(region), strict=True):
            np.testing.assert_array_equal(new[::step, ::step], old)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 2), slides, regions(), st.integers(0, 40), st.integers(0, 40))
def test_a_fine_place_is_the_same_in_every_region(
    times: int, kind: dict[str, object], region: Region, top: int, left: int
) -> None:
    slide = refined(times, **kind)
    region = Region(region.level % times, region.y, region.x, *region.shape)
    wide = Region(
        region.level, region.y - top, region.x - left, region.height + 60, region.width + 55
    )
    part = region.relative_to(wide).slices
    asked = (slide.tissue, slide.glass, slide.colours, lambda r: slide.nuclei(r)[1])
    for ask in asked:
        np.testing.assert_array_equal(ask(region), ask(wide)[part])


@pytest.mark.parametrize("pixel", [0, 300])
def test_borders_are_smooth_at_the_finer_pixels(pixel: int) -> None:
    # Doubled pixels would have a border that never turns within a block of 2 x 2.
    slide = refined(1, "colon", 4096, 3, pixel)
    region = Region(0, 2000, 2000, 800, 800)
    for picture in (slide.tissue(region), slide.nuclei(region)[1]):
        blocks = np.stack([picture[a::2, b::2] for a in (0, 1) for b in (0, 1)])
        mixed = (blocks != blocks[0]).any(axis=0)
        at_border = picture[::2, ::2][:, 1:] != picture[::2, ::2][:, :-1]
        assert mixed.sum() > 0.8 * at_border.sum()
        assert mixed.mean() < 0.2


def test_outlines_with_parts_of_pixels_hold_those_without() -> None:
    whole = templates_of(0.5)
    for parts in (2, 4):
        fine = templates_of(0.5, parts)
        np.testing.assert_array_equal(fine.major, whole.major)
        for outline in range(0, len(whole.starts) - 1, 3 * TURNS + 5):
            one, two = (
                {
                    (int(y), int(x))
                    for y, x in zip(
                        templates.dy[templates.starts[outline] : templates.starts[outline + 1]],
                        templates.dx[templates.starts[outline] : templates.starts[outline + 1]],
                        strict=True,
                    )
                }
                for templates in (whole, fine)
            )
            assert one == {(y // parts, x // parts) for y, x in two if not (y % parts or x % parts)}
            assert 0.6 * parts**2 < len(two) / len(one) < 1.4 * parts**2


def test_glass_keeps_its_distance_in_micrometres() -> None:
    slide = refined(1, "colon", 16_384, 3, 0)
    row = slide.tissue(Region(0, 16_384, 0, 1, 16_384))[0] == GLASS
    border = int(np.flatnonzero(row[1:] != row[:-1])[0])
    region = Region(0, 16_384 - 286, border - 286, 572, 572)
    wide, far = slide.tissue(region.pad(64)), slide.glass(region)
    assert (wide != GLASS).any()
    near = ~far & (wide[64:-64, 64:-64] == GLASS)
    assert far.any()
    y, x = np.nonzero(wide != GLASS)
    for qy, qx in np.argwhere(near)[::997]:
        assert np.abs([y - qy - 64, x - qx - 64]).max(axis=0).min() * 0.25 <= 2.25


def test_the_reach_of_a_sketch_counts_pixels_of_level_0() -> None:
    before, after = refined(0, "colon", 4096, 3, 300), refined(1, "colon", 4096, 3, 300)
    assert after.sketch_reach == 2 * before.sketch_reach > 0


def test_a_sketch_becomes_coarser() -> None:
    classes = np.random.default_rng(0).integers(0, 5, (7, 9)).astype(np.uint8)
    same = coarser(Sketch(classes, 600, (200, -400)), 2)
    assert (same.pixel, same.origin) == (300, (100, -200))
    np.testing.assert_array_equal(same.classes, classes)
    odd = coarser(Sketch(classes, 333), 2)
    assert odd.pixel == 166
    middles = np.arange(7) * 333 + 166
    np.testing.assert_array_equal(odd.classes[middles // 332][:, [0, 1, 2]], classes[:, :3])
