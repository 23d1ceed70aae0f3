from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress, WindowGrid
from tests.core.refusals import refused
from tests.strategies import FAR, pyramids, regions, window_grids

SPEC = PyramidSpec(height=1000, width=700, tile=256, levels=4, mpp=0.5)


def pixels(region: Region) -> set[tuple[int, int]]:
    return {(y, x) for y in range(region.y, region.bottom) for x in range(region.x, region.right)}


def small() -> st.SearchStrategy[Region]:
    return regions(near=9, max_side=9)


@given(small(), small())
def test_intersect_holds_the_common_pixels(a: Region, b: Region) -> None:
    common = a.intersect(b)
    assert pixels(common) == pixels(a) & pixels(b)
    assert common.area == len(pixels(common))
    assert common.is_empty == (not pixels(common))


@given(small(), small())
def test_contains_means_every_pixel_is_inside(a: Region, b: Region) -> None:
    assert a.contains(b) == (pixels(b) <= pixels(a))


@given(small(), small())
def test_union_is_the_tightest_rectangle_around_both(a: Region, b: Region) -> None:
    both = a.union(b)
    assert both.contains(a)
    assert both.contains(b)
    inside = pixels(a) | pixels(b)
    if inside:
        ys, xs = zip(*inside, strict=True)
        assert (both.y, both.bottom) == (min(ys), max(ys) + 1)
        assert (both.x, both.right) == (min(xs), max(xs) + 1)
    else:
        assert both.is_empty


@given(regions(), st.integers(0, 100))
def test_padding_is_undone_by_padding_back(region: Region, n: int) -> None:
    padded = region.pad(n)
    assert padded.shape == (region.height + 2 * n, region.width + 2 * n)
    assert padded.pad(-n) == region


@given(regions(min_side=1))
def test_shrinking_to_nothing_stays_inside(region: Region) -> None:
    gone = region.pad(-1000)
    assert gone.is_empty
    assert region.y <= gone.y <= region.bottom
    assert region.x <= gone.x <= region.right


@given(regions(near=FAR), regions(near=FAR), st.integers(-FAR, FAR), st.integers(-FAR, FAR))
def test_relative_place_survives_moving_both(a: Region, b: Region, dy: int, dx: int) -> None:
    moved = a.translate(dy, dx).relative_to(b.translate(dy, dx))
    assert moved == a.relative_to(b)
    assert a.relative_to(b).translate(b.y, b.x) == a


@given(regions(near=FAR), st.integers(1, 512))
def test_snap_grows_outwards_to_multiples_and_no_further(region: Region, multiple: int) -> None:
    snapped = region.snap(multiple)
    borders = (snapped.y, snapped.x, snapped.bottom, snapped.right)
    assert all(border % multiple == 0 for border in borders)
    assert snapped.contains(region)
    assert 0 <= region.y - snapped.y < multiple
    assert 0 <= snapped.right - region.right < multiple
    assert snapped.snap(multiple) == snapped


@given(regions(near=FAR), st.integers(1, 64))
def test_an_enlarged_region_shrinks_back_and_has_the_pixels_of_its_own(
    region: Region, factor: int
) -> None:
    large = region.enlarged(factor)
    assert (large.area, large.level) == (region.area * factor**2, region.level)
    assert large.snap(factor) == large
    assert large.shrunk(factor) == region


@given(small(), st.data())
def test_the_rectangle_of_a_mask_holds_its_pixels_and_is_the_smallest(
    within: Region, data: st.DataObject
) -> None:
    mask = data.draw(hnp.arrays(np.bool_, within.shape))
    box = Region.of_mask(mask, within)
    marked = {(within.y + int(y), within.x + int(x)) for y, x in np.argwhere(mask)}
    assert marked <= pixels(box)
    assert (box.level, box.is_empty) == (within.level, not marked)
    if marked:
        rows, cols = zip(*marked, strict=True)
        assert (box.y, box.bottom - 1, box.x, box.right - 1) == (
            min(rows),
            max(rows),
            min(cols),
            max(cols),
        )


def test_slices_index_an_array_at_the_origin() -> None:
    plane = np.arange(30).reshape(5, 6)
    assert plane[Region(0, 1, 2, 2, 3).slices].tolist() == [[8, 9, 10], [14, 15, 16]]


def test_slices_before_the_origin_are_refused() -> None:
    with refused(InvalidRequest, "y=-1"):
        _ = Region(0, -1, 0, 2, 2).slices


@pytest.mark.parametrize(
    ("field", "value"),
    [("level", 0.5), ("height", -1), ("width", -5), ("y", 1.5), ("x", "3"), ("height", None)],
)
def test_a_malformed_region_is_refused(field: str, value: object) -> None:
    values = {"level": 0, "y": 0, "x": 0, "height": 4, "width": 4} | {field: value}
    with refused(InvalidRequest, field):
        Region(**values)  # type: ignore[arg-type]


def test_no_pyramid_has_a_level_below_the_finest() -> None:
    below = Region(-1, 0, 0, 4, 4)
    for ask in (SPEC.tiles, lambda region: SPEC.at_level(region, -1)):
        with refused(InvalidRequest, "-1"):
            list(ask(below))


def test_numpy_integers_become_python_integers() -> None:
    region = Region(*np.arange(5))
    assert region == Region(0, 1, 2, 3, 4)
    assert all(type(n) is int for n in (region.level, region.y, region.x, *region.shape))


@pytest.mark.parametrize("name", ["intersect", "union", "contains", "relative_to"])
def test_regions_of_two_levels_do_not_mix(name: str) -> None:
    with refused(InvalidRequest, "levels 0 and 1"):
        getattr(Region(0, 0, 0, 4, 4), name)(Region(1, 0, 0, 4, 4))


def test_snap_refuses_a_multiple_below_one() -> None:
    with refused(InvalidRequest, "multiple"):
        Region(0, 0, 0, 4, 4).snap(0)


@given(pyramids(), st.data())
def test_tiles_of_a_region_cover_it_once(spec: PyramidSpec, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, spec.levels - 1))
    region = data.draw(regions(level=level, near=400, max_side=400))
    inside = region.intersect(spec.bounds(level))
    tiles = list(spec.tiles(region))
    assert tiles == sorted(set(tiles))
    parts = [spec.region(tile).intersect(region) for tile in tiles]
    assert all(not part.is_empty for part in parts)
    assert sum(part.area for part in parts) == inside.area


@given(pyramids())
def test_each_level_halves_the_one_below_rounded_up(spec: PyramidSpec) -> None:
    for level in range(1, spec.levels):
        below, here = spec.bounds(level - 1), spec.bounds(level)
        assert here.shape == (-(-below.height // 2), -(-below.width // 2))


@given(regions(near=10**6), st.integers(0, 3))
def test_going_up_and_down_again_loses_nothing(region: Region, level: int) -> None:
    assume(not region.is_empty)
    coarse = SPEC.at_level(region, level)
    back = SPEC.at_level(coarse, 0)
    assert back.contains(region)
    assert back == region.snap(2**level)
    assert SPEC.at_level(back, level) == coarse


def test_tiles_at_the_border_are_cut() -> None:
    assert SPEC.region(TileAddress(0, 3, 2)) == Region(0, 768, 512, 232, 188)


def test_no_tiles_outside_the_slide() -> None:
    assert list(SPEC.tiles(Region(0, -50, -50, 50, 50))) == []


@pytest.mark.parametrize("level", [-1, 4])
def test_a_level_that_does_not_exist_is_refused(level: int) -> None:
    with refused(InvalidRequest, "0 to 3"):
        SPEC.bounds(level)


@pytest.mark.parametrize("tile", [TileAddress(0, 4, 0), TileAddress(0, 0, -1)], ids=str)
def test_a_tile_that_does_not_exist_is_refused(tile: TileAddress) -> None:
    with refused(InvalidRequest, str(tile)):
        SPEC.region(tile)


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 0), ("width", -2), ("tile", 0), ("levels", 0), ("levels", 1.5)],
)
def test_a_malformed_pyramid_is_refused(field: str, value: float) -> None:
    values = {"height": 9, "width": 9, "tile": 4, "levels": 2, "mpp": 0.5} | {field: value}
    with refused(InvalidRequest, field):
        PyramidSpec(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_must_be_positive_and_finite(mpp: float) -> None:
    with refused(InvalidRequest, "micrometres"):
        PyramidSpec(9, 9, 4, 2, mpp)


@given(window_grids(), regions(min_side=1))
def test_windows_cover_every_pixel_and_none_is_idle(grid: WindowGrid, region: Region) -> None:
    windows = grid.covering(region)
    covered = np.zeros(region.shape, int)
    for window in windows:
        part = window.intersect(region)
        assert not part.is_empty
        covered[part.relative_to(region).slices] += 1
    assert covered.min() >= 1
    assert windows == sorted(windows)
    assert all((w.y - grid.offset) % grid.stride == 0 for w in windows)
    assert all((w.x - grid.offset) % grid.stride == 0 for w in windows)


@given(window_grids(), regions(), regions())
def test_the_lattice_belongs_to_the_plane(grid: WindowGrid, a: Region, b: Region) -> None:
    shared = set(grid.covering(a.intersect(b)))
    assert shared <= set(grid.covering(a)) & set(grid.covering(b))


@given(window_grids(), regions(min_side=1, near=50, max_side=40))
def test_no_window_is_forgotten(grid: WindowGrid, region: Region) -> None:
    around = grid.covering(region.pad(grid.size + grid.stride))
    touching = [window for window in around if not window.intersect(region).is_empty]
    assert grid.covering(region) == touching


def test_an_empty_region_needs_no_window() -> None:
    assert WindowGrid(8, 4).covering(Region(0, 3, 3, 0, 5)) == []


@pytest.mark.parametrize(
    ("size", "stride", "word"), [(8, 9, "stride"), (8, 0, "stride"), (8.0, 4, "size")]
)
def test_a_lattice_with_gaps_is_refused(size: int, stride: int, word: str) -> None:
    with refused(InvalidRequest, word):
        WindowGrid(size, stride)


@given(regions(), st.integers(1, 40))
def test_blocks_cover_a_region_once_row_by_row(region: Region, side: int) -> None:
    blocks = region.blocks(side)
    assert sum(block.area for block in blocks) == region.area
    assert all(region.contains(block) and not block.is_empty for block in blocks)
    assert [(b.y, b.x) for b in blocks] == sorted({(b.y, b.x) for b in blocks})
    assert all((b.y - region.y) % side == (b.x - region.x) % side == 0 for b in blocks)
    assert all(max(b.shape) <= side for b in blocks)
