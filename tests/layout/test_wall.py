from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.fields import Pixels, ValueNoise
from napari_histodiff.layout.layers import WALLS
from napari_histodiff.layout.lining import BASE, rows_of
from napari_histodiff.layout.mucosa import Mucosa
from napari_histodiff.layout.nucleus_templates import AXES, VARIANTS
from napari_histodiff.layout.outline import TissueOutline
from napari_histodiff.layout.plan import CONNECTIVE, SPACING, plan_of
from napari_histodiff.layout.tissues.kinds import GLAND, GLASS, LUMEN
from napari_histodiff.layout.wall import Wall
from tests.layout.slides import layout

MPP = 0.5
ZONES = ValueNoise(3, 3, (1400, 600), (1.0, 0.5))
WHOLE = float("inf")


def wall(organ: str = "colon", seed: int = 3, above: float = WHOLE, home: int = 4096) -> Wall:
    outline = TissueOutline(seed, MPP, (home, home))
    return Wall(seed, WALLS[organ], MPP, (home, home), ZONES, above, outline)


def anatomy(caption: str, seed: int = 3, home: int = 8192) -> Anatomy:
    return Anatomy(seed, plan_of(caption), MPP, (home, home), None)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(-(2**24), 2**24), st.integers(-(2**24), 2**24), st.sampled_from([0.5, 1, 4, 32, 64])
)
def test_coordinates_do_not_depend_on_what_is_asked(y: int, x: int, step: float) -> None:
    one = wall(above=0.2)
    y, x = y - y % 64, x - x % 64
    pixels = Pixels(y, x, step, 30, 21)
    for again, first in zip(wall(above=0.2).on(pixels), one.on(pixels), strict=True):
        np.testing.assert_array_equal(again, first)
    patch = one.over(Pixels(y - 500, x - 900, 1, 3000, 3000).box)
    rows, cols = np.broadcast_arrays(pixels.ys[:, None], pixels.xs[None, :])
    for lattice, at in zip(one.on(pixels), patch.at(rows, cols), strict=True):
        np.testing.assert_array_equal(lattice, at)


def test_depth_and_place_measure_lengths_across_each_other() -> None:
    pixels = Pixels(300, 500, 4, 500, 700)
    depth, place, _ = wall().on(pixels)
    down, right = np.gradient(depth) / np.float32(4)
    slope = np.hypot(down, right)
    under = (depth > 0) & (depth < 1500)
    assert under.mean() > 0.2
    assert np.percentile(slope[under], 2) > 0.5
    assert np.percentile(slope[under], 98) < 1.7
    along_y, along_x = np.gradient(place) / np.float32(4)
    steep = np.hypot(along_y, along_x)
    between = np.abs(down * along_y + right * along_x) / np.maximum(slope * steep, 1e-6)
    assert np.median(between[under]) < 0.12
    assert 0.6 < np.median(steep[under]) < 1.5


@pytest.mark.parametrize("organ", sorted(WALLS))
def test_layers_follow_each_other_from_the_surface(organ: str) -> None:
    one = wall(organ)
    depth = np.linspace(-100, 30_000, 4000).astype(np.float32)
    layer = one.layer(depth)
    assert layer[0] == 0
    assert layer[-1] == len(WALLS[organ].layers) - 1
    assert set(np.diff(layer)) <= {0, 1}
    thickness = np.bincount(layer)[1:-1] * (depth[1] - depth[0]) * MPP
    wanted = [part.thickness for part in WALLS[organ].layers[1:-1]]
    np.testing.assert_allclose(thickness, wanted, atol=10)


@pytest.mark.parametrize("home", [1024, 4096, 65_536])
def test_the_first_surface_lies_within_the_slide(home: int) -> None:
    for seed in range(6):
        depth, _, _ = wall(seed=seed, home=home).on(Pixels(0, home // 2, 8, home // 8, 1))
        first = np.flatnonzero((depth[1:, 0] > 0) & (depth[:-1, 0] <= 0))
        assert (np.abs(first * 8 - 0.1 * home) < 400).any()


def test_crypts_fill_most_of_the_mucosa() -> None:
    one = wall()
    mucosa = Mucosa(3, one, MPP, 1.0, bare=False)
    ring, lumen = mucosa.shares()
    assert 0.45 < ring < 0.75
    assert 0.02 < lumen < 0.2
    depth = np.full(5000, mucosa.deepest, np.float32)
    place = np.linspace(0, 50_000, 5000, dtype=np.float32)
    basal, open_ = mucosa.inside(depth, place, np.ones_like(place))
    assert (basal <= 0).all()
    assert not open_.any()
    thinner = Mucosa(3, one, MPP, 0.4, bare=False).shares()[0]
    assert thinner < 0.6 * ring


def test_what_fades_disappears() -> None:
    one = wall()
    place = np.linspace(0, 50_000, 4000, dtype=np.float32)
    for bare in (False, True):
        mucosa = Mucosa(3, one, MPP, 1.0, bare=bare)
        for depth in (20.0, 500.0):
            at = np.full_like(place, depth)
            basal, _ = mucosa.inside(at, place, np.zeros_like(place))
            assert (basal > 0).all() == (depth == 20 and not bare)
            assert (basal > 0).any() == (depth == 20 and not bare)


@pytest.mark.parametrize("organ", ["colon", "skin"])
def test_nuclei_stand_in_rows_along_the_border(organ: str) -> None:
    one = wall(organ)
    mucosa = Mucosa(3, one, MPP, 1.0, bare=False)
    y, x = (a.ravel() for a in np.mgrid[0:1600:9, 1000:2000:9])
    patch = one.over((-100, 1800, 900, 2100))
    found = rows_of(3, mucosa, patch, y, x, np.zeros(len(y), np.float32), MPP)
    assert len(found.y) > 300
    depth, place, fade = patch.at(found.y, found.x)
    basal, _ = mucosa.inside(depth, place, fade)
    first = basal * MPP < BASE + 4
    assert np.mean(np.abs(basal[first] * MPP - BASE) < 3.5) > 0.9
    assert (first.mean() > 0.9) == (organ == "colon")
    gaps = np.hypot(*(np.stack([found.y, found.x])[:, :, None] - [[found.y], [found.x]]))
    np.fill_diagonal(gaps, 99)
    near = gaps.min(axis=1) * MPP
    assert 0.6 * SPACING < np.median(near) < 1.3 * SPACING
    assert len(np.unique(found.word)) == len(found.word)


def test_rows_do_not_depend_on_where_one_looks() -> None:
    one = wall()
    mucosa = Mucosa(3, one, MPP, 1.0, bare=False)

    def rows(top: int, bottom: int) -> set[tuple[int, ...]]:
        y, x = (a.ravel() for a in np.mgrid[top:bottom:9, 900:1800:9])
        patch = one.over((top, bottom, 900, 1800))
        found = rows_of(3, mucosa, patch, y, x, np.zeros(len(y), np.float32), MPP)
        inside = (found.y > 500) & (found.y < 900) & (found.x > 1000) & (found.x < 1700)
        return set(zip(*(a[inside].tolist() for a in (found.y, found.x, found.word)), strict=True))

    assert rows(405, 1008) == rows(0, 1800)
    assert len(rows(405, 1008)) > 100


def test_a_tumour_grows_through_all_layers() -> None:
    pixels = Pixels(0, 0, 16, 512, 512)
    shares = []
    for caption in ("colon", "colon, tumour"):
        one = anatomy(caption)
        assert one.wall is not None
        tissue, (depth, _, _) = one.tissue(pixels), one.wall.on(pixels)
        muscle = (one.wall.layer(depth) == 3) & (tissue != GLASS)
        shares.append((tissue[muscle] == GLAND).mean())
    assert shares[0] == 0
    assert shares[1] > 0.15


def test_crypts_open_towards_the_surface() -> None:
    one = anatomy("colon", home=4096)
    assert one.wall is not None
    pixels = Pixels(0, 0, 2, 2048, 2048)
    tissue, (depth, _, fade) = one.tissue(pixels), one.wall.on(pixels)
    top = (fade == 1) & (depth > 0) & (depth < 20) & (tissue != GLASS)
    assert 0.03 < (tissue[top] == LUMEN).mean() < 0.3
    assert (tissue[top] == GLAND).mean() > 0.6
    assert ((tissue == GLASS) | (depth > 0)).all()


def test_nuclei_of_muscle_lie_along_the_wall() -> None:
    slide = layout("colon", side=8192)
    one = slide._anatomy.wall
    assert one is not None
    box = (2600, 4600, 3000, 5000)
    found, patch = slide._nuclei.within(box), one.over(box)
    depth, _, _ = patch.at(found.y, found.x)
    muscle = (one.layer(depth) == 3) & (found.shape // VARIANTS == CONNECTIVE)
    assert muscle.sum() > 50
    inwards, _ = patch.axes(found.y, found.x)
    across = np.abs((inwards * AXES[:, found.turn]).sum(axis=0)) / np.hypot(*inwards)
    assert across[muscle].mean() < 0.3


def test_aggregates_and_fat_lie_in_their_layers() -> None:
    one = anatomy("colon", home=16_384)
    assert one.wall is not None
    rows, cols = np.nonzero(one.aggregates._sites(-10, -10, 24, 24))
    y, x, _, _ = one.aggregates._shapes(rows - 10, cols - 10)
    assert len(y) > 5
    assert set(one.wall.layer(one.wall.direct(y, x)[0])) == {2}
    bubbles = one.stroma.bubbles.within((0, 8000, 0, 8000))
    depth, _, _ = one.wall.over((-500, 8500, -500, 8500)).at(bubbles.y, bubbles.x)
    assert len(bubbles) > 100
    assert set(one.wall.layer(depth)) == {6}


def test_glands_of_the_breast_are_bundled() -> None:
    one = anatomy("breast")
    glands = one.glands.within((0, 8000, 0, 8000))
    assert len(glands) > 50
    assert (one.lobules.at(glands.y, glands.x) > 0.3).all()
    everything = one.glands_within((0, 8000, 0, 8000))
    ducts = len(everything) - len(glands)
    assert ducts > 0
    where = everything[np.arange(len(glands), len(everything))]
    assert (one.lobules.at(where.y, where.x) == 0).all()


def test_nests_of_a_tumour_are_pierced() -> None:
    pixels = Pixels(0, 0, 2, 1024, 1024)
    one = anatomy("kidney, tumour", home=4096)
    whole = anatomy("kidney, tumour", home=4096)
    whole.plan = replace(whole.plan, pierced=0.0)
    differs = one.tissue(pixels) != whole.tissue(pixels)
    assert 0.001 < differs.mean() < 0.2
    assert (one.tissue(pixels)[differs] == LUMEN).all()
    assert (whole.tissue(pixels)[differs] == GLAND).all()


def test_words_of_a_caption_change_the_wall() -> None:
    plain, muscle = plan_of("colon").wall, plan_of("colon, smooth muscle").wall
    assert plain is not None
    assert muscle is not None
    assert muscle.layers[0].thickness < plain.layers[0].thickness
    assert plan_of("").wall is None
    assert plan_of("colon, tumour").tumour
    densities = plan_of("colon, high lymphocytes, high plasma cells").densities_by_layer()
    assert densities.shape == (len(plain.layers) + 1, 6)
    assert densities.sum(axis=1).max() <= 12_501


@pytest.mark.parametrize("level", [2, 4, 6, 8])
def test_layers_show_from_afar(level: int) -> None:
    slide = layout("colon", side=16_384)
    one = slide._anatomy.wall
    assert one is not None
    region = Region(level, 0, 6000 >> level, 16_384 >> level, min(3000 >> level, 190))
    half = 1 << level >> 1
    depth, _, _ = one.on(Pixels(half, (6000 >> level << level) + half, 1 << level, *region.shape))
    image, layer = slide.colours(region)[..., 1], one.layer(depth)
    shown = (image < 225) & (depth > 60)
    loose, dense = (image[shown & (layer == n)].mean() for n in (2, 3))
    assert loose > dense + 8


def _column(one: Wall, home: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = Pixels(-home, home // 2, 16, 3 * home // 16, 1)
    depth, _, _ = one.on(pixels)
    end = one.end(pixels)
    assert end is not None
    return depth[:, 0], end[:, 0]


@pytest.mark.parametrize(("home", "sections"), [(8192, 1), (16_384, 1), (32_768, 2), (65_536, 4)])
def test_a_large_slide_holds_whole_sections_with_glass_around_them(
    home: int, sections: int
) -> None:
    one = wall(home=home)
    depth, end = _column(one, home)
    rows = np.arange(-home, 2 * home, 16)
    here = (rows >= 0) & (rows < home)
    # Each has its surface on one side only, and glass on both.
    assert np.count_nonzero(np.diff((depth > 0).astype(int)[here])) == sections
    assert 0.25 < ((depth > 0) & (depth < end))[here].mean() < 0.85
    assert not ((depth > 0) & (depth < end))[here][[0, -1]].any()


def test_coordinates_of_sections_have_no_jump() -> None:
    # They are linear between nodes: a jump would draw every layer of a wall in between.
    for home in (8192, 32_768, 65_536):
        depth, _ = _column(wall(home=home), home)
        assert np.abs(np.diff(depth)).max() < 16 * 4


def test_glands_of_a_tumour_are_of_many_sizes() -> None:
    one = anatomy("colon, tumour", home=32_768)
    outer = one.glands_within((2000, 30_000, 2000, 30_000)).outer.max(axis=1)
    low, middle, high = np.percentile(outer, (10, 50, 98))
    assert high > 3 * middle
    assert middle > 1.4 * low
