"""Edits of a scan: what shows, what lasts, and that the scan stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidMap, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.lazy_levels import pyramid
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.storage.tile_table import TileState
from tests.slide.overlays.fake_scan import (
    Expected,
    FakeScan,
    levels_of,
    make_scan,
    random_edit,
    request,
)

PLACE = Region(0, 240, 200, 60, 90)
NEW = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
MASK = np.random.default_rng(2).random((60, 90)) < 0.5


@pytest.fixture
def scan(tmp_path: Path) -> FakeScan:
    return make_scan(tmp_path / "slide.svs")


@pytest.fixture
def overlay(scan: FakeScan) -> Iterator[ScanOverlay]:
    with ScanOverlay.create(scan.path.with_name("slide.histodiff.ome.zarr"), scan) as overlay:
        yield overlay


def reopened(overlay: ScanOverlay, scan: FakeScan | None) -> ScanOverlay:
    overlay.close()
    return ScanOverlay.open(overlay.path, scan)


def assert_shows(overlay: ScanOverlay, expected: Expected) -> None:
    for level, (found, wanted) in enumerate(zip(levels_of(overlay), expected.shown(), strict=True)):
        np.testing.assert_array_equal(found, wanted, err_msg=f"level {level}")


def test_without_edits_it_is_the_scan_at_every_place(overlay: ScanOverlay, scan: FakeScan) -> None:
    for found, wanted in zip(levels_of(overlay), scan.pixels, strict=True):
        np.testing.assert_array_equal(found, wanted)
    beyond = Region(1, -30, -20, 100, 90)
    np.testing.assert_array_equal(overlay.read(beyond), scan.read(beyond))
    assert (overlay.state(0) == TileState.SOURCE).all()
    assert overlay.nbytes == 0


def test_an_edit_changes_its_mask_and_what_lies_over_it(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    expected = Expected(scan)
    expected.write(PLACE, NEW, MASK)
    assert overlay.write(request(PLACE), NEW, MASK) == PLACE
    assert_shows(overlay, expected)
    changed = overlay.read(overlay.spec.bounds(0)) != scan.pixels[0]
    assert not changed.any(axis=-1)[~in_mask(scan)].any()


def in_mask(scan: FakeScan) -> np.ndarray:
    mask = np.zeros(scan.pixels[0].shape[:2], np.bool_)
    mask[PLACE.slices] = MASK
    return mask


def test_it_opens_again_with_the_edit_and_undo_works(overlay: ScanOverlay, scan: FakeScan) -> None:
    overlay.write(request(PLACE), NEW, MASK)
    before = levels_of(overlay)
    with reopened(overlay, FakeScan(scan.path)) as again:
        for found, wanted in zip(levels_of(again), before, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert again.can_undo
        assert again.undo() == PLACE
        for found, wanted in zip(levels_of(again), scan.pixels, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert again.nbytes == 0
        assert again.redo() == PLACE
        for found, wanted in zip(levels_of(again), before, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_coarse_edit_shows_enlarged_below_until_it_is_edited_there(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    expected = Expected(scan)
    coarse = Region(2, 20, 30, 40, 50)
    for region, seed in ((coarse, 3), (PLACE, 4), (Region(1, 100, 100, 64, 64), 5)):
        new = np.random.default_rng(seed).integers(0, 256, (*region.shape, 3), np.uint8)
        mask = np.ones(region.shape, np.bool_)
        overlay.write(request(region), new, mask)
        expected.write(region, new, mask)
        assert_shows(overlay, expected)
    below = overlay.read(Region(0, 80, 120, 8, 8))
    np.testing.assert_array_equal(below, np.repeat(np.repeat(below[::4, ::4], 4, 0), 4, 1))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_edits_undone_redone_and_reopened_show_what_the_rules_say(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scan = make_scan(tmp_path_factory.mktemp("scan") / "slide.svs", 530, 300, levels=4)
    checksum = hashlib.sha256(scan.path.read_bytes()).digest()
    overlay, expected = ScanOverlay.create(scan.path.with_name("edits"), scan), Expected(scan)
    for _ in range(8):
        kind = rng.choice(["write", "undo", "redo", "reopen"], p=[0.6, 0.2, 0.1, 0.1])
        if kind == "write":
            region, new, mask = random_edit(scan.spec, rng)
            overlay.write(request(region), new, mask)
            expected.write(region, new, mask)
        elif kind == "undo":
            overlay.undo()
            expected.undo()
        elif kind == "redo":
            overlay.redo()
            expected.redo()
        else:
            overlay = reopened(overlay, scan)
    assert_shows(overlay, expected)
    assert overlay.verify().is_whole
    overlay.close()
    assert hashlib.sha256(scan.path.read_bytes()).digest() == checksum


def test_only_edited_tiles_are_kept(overlay: ScanOverlay) -> None:
    overlay.write(request(Region(0, 10, 10, 5, 5)), NEW[:5, :5])
    images = sorted(
        str(path.relative_to(overlay.path))
        for level in "012"
        for path in (overlay.path / level / "c").rglob("*")
        if path.is_file()
    )
    assert images == ["0/c/0/0/0", "1/c/0/0/0", "2/c/0/0/0"]


def test_another_program_reads_the_edited_tiles_as_ome_zarr(overlay: ScanOverlay) -> None:
    overlay.write(request(PLACE), NEW)
    group = zarr.open_group(overlay.path, mode="r")
    found = np.asarray(group["0"][:, 240:300, 200:290]).transpose(1, 2, 0)
    np.testing.assert_array_equal(found, NEW)
    multiscale = group.attrs["ome"]["multiscales"][0]  # type: ignore[index,call-overload]
    scale = multiscale["datasets"][1]["coordinateTransformations"][0]["scale"]  # type: ignore[index,call-overload]
    assert scale == [1.0, 0.5, 0.5]
    assert sorted(group["labels"].attrs["ome"]["labels"]) == ["nuclei", "tissue"]  # type: ignore[index,call-overload]


def test_paint_comes_back_and_is_no_edit(overlay: ScanOverlay, scan: FakeScan) -> None:
    region = Region(1, 200, 180, 120, 140)
    nuclei = np.random.default_rng(5).integers(0, 700, region.shape, np.int32)
    tissue = np.random.default_rng(6).integers(0, 11, region.shape).astype(np.uint8)
    overlay.paint(region, nuclei, tissue)
    assert not overlay.can_undo
    with reopened(overlay, scan) as again:
        inside = region.intersect(again.spec.bounds(1))
        part = inside.relative_to(region).slices
        np.testing.assert_array_equal(again.labels(inside), nuclei[part])
        np.testing.assert_array_equal(again.tissue(inside), tissue[part])
        assert not again.labels(Region(0, 0, 0, 700, 610)).any()
        again.paint(inside, np.zeros(inside.shape, np.int32))
        assert not again.labels(inside).any()
        np.testing.assert_array_equal(again.tissue(inside), tissue[part])
        for found, wanted in zip(levels_of(again), scan.pixels, strict=True):
            np.testing.assert_array_equal(found, wanted)
        with pytest.raises(InvalidMap, match="crop it"):
            again.paint(region, nuclei[1:])


def test_paint_outlives_an_undo_around_it(overlay: ScanOverlay) -> None:
    overlay.write(request(PLACE), NEW)
    nuclei = np.full(PLACE.shape, 9, np.int32)
    overlay.paint(PLACE, nuclei)
    overlay.undo()
    np.testing.assert_array_equal(overlay.labels(PLACE), nuclei)


def test_levels_follow_the_edits(overlay: ScanOverlay, scan: FakeScan) -> None:
    levels = pyramid(overlay)
    coarsest = np.asarray(levels[-1])
    np.testing.assert_array_equal(coarsest, scan.pixels[-1])
    overlay.write(request(PLACE), NEW)
    np.testing.assert_array_equal(np.asarray(levels[-1]), levels_of(overlay)[-1])
    np.testing.assert_array_equal(levels[0][240:300, 200:290], NEW)


def test_edited_tiles_under_a_coarser_place_are_told(overlay: ScanOverlay) -> None:
    assert overlay.edited_under(Region(2, 0, 0, 100, 100)) == []
    overlay.write(request(PLACE), NEW)
    found = overlay.edited_under(Region(2, 0, 0, 100, 100))
    assert {tile.level for tile in found} == {0, 1}
    assert overlay.edited_under(Region(1, 300, 200, 20, 20)) == []


def test_a_slide_of_a_hundred_thousand_pixels_a_side_is_edited_at_any_level(
    tmp_path: Path,
) -> None:
    scan = Endless(make_scan(tmp_path / "large.svs", 300, 300), 200_000, 10)
    with ScanOverlay.create(tmp_path / "edits", scan) as overlay:
        for level in (9, 0, 8):
            bounds = overlay.spec.bounds(level)
            region = Region(level, bounds.height // 2, bounds.width // 2, 60, 90)
            overlay.write(request(region), NEW)
            np.testing.assert_array_equal(overlay.read(region), NEW)
        assert overlay.nbytes < 10e6
        assert overlay.edited_under(Region(9, 0, 0, 390, 390)) != []
    with ScanOverlay.open(tmp_path / "edits", scan) as overlay:
        np.testing.assert_array_equal(overlay.read(region), NEW)


class Endless(FakeScan):
    """A scan as large as one likes, all of one colour."""

    def __init__(self, scan: FakeScan, side: int, levels: int) -> None:
        super().__init__(scan.path)
        self.spec = type(scan.spec)(side, side, 256, levels, 0.25)

    def read(self, region: Region) -> np.ndarray:
        return np.full((*region.shape, 3), 77, np.uint8)


def test_opened_alone_it_shows_what_it_has_and_says_what_it_needs(
    overlay: ScanOverlay, scan: FakeScan
) -> None:
    overlay.write(request(PLACE), NEW)
    shown = overlay.read(Region(0, 0, 0, 512, 512))
    with reopened(overlay, None) as alone:
        assert alone.read_only
        assert not alone.can_undo
        np.testing.assert_array_equal(alone.read(Region(0, 0, 0, 512, 512)), shown)
        assert "slide.svs" in alone.missing
        assert "610 x 700" in alone.missing
        around = alone.read(Region(2, 150, 0, 10, 10))  # what the coarsest edited tile has of it
        np.testing.assert_array_equal(
            alone.read(Region(0, 600, 0, 40, 40)), around.repeat(4, 0).repeat(4, 1)
        )
        with pytest.raises(StorageError, match="reading only"):
            alone.write(request(PLACE), NEW)
    with pytest.raises(StorageError, match="got the edits alone"):
        ScanOverlay.open(overlay.path, read_only=False)
