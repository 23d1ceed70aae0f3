"""Damaged files, other versions and folders that are no slides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    PlainLayout,
    draw,
    draw_all,
    edit,
    everything,
    make,
    missing,
    recipe,
    reopen,
    same,
)

PLACE = Region(0, 240, 200, 60, 90)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path) as slide:
        draw_all(slide)
        edit(slide, PLACE)
        yield slide


def chunk(slide: SlideStore, tile: TileAddress, folder: str = "") -> Path:
    channel = "" if folder in {"histodiff/edits", "labels/tissue"} else "0"
    place = slide.path / folder / str(tile.level) / "c" / channel
    return place / str(tile.row) / str(tile.col)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [spoil, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_drawn_tile_is_drawn_again(slide: SlideStore, damage: Any) -> None:
    slide.undo()
    before = everything(slide)
    for tile in (TileAddress(0, 2, 2), TileAddress(2, 0, 0)):
        slide = reopen(slide)
        damage(chunk(slide, tile))
        assert tile in (*slide.verify().damaged, *slide.verify().missing)
        slide.read(slide.spec.bounds(tile.level))
        assert missing(slide) == [tile]
        draw(slide, tile)
        assert same(everything(slide), before)
    slide.close()


def test_a_damaged_edited_tile_is_restored_from_its_edit(slide: SlideStore) -> None:
    before = everything(slide)
    slide = reopen(slide)
    for plane in ("", "histodiff/edits", "labels/tissue"):
        spoil(chunk(slide, TileAddress(0, 1, 0), plane))
    spoil(chunk(slide, TileAddress(1, 0, 0)))
    spoil(chunk(slide, TileAddress(1, 0, 0), "histodiff/base"))
    assert len(slide.verify().damaged) == 2
    slide.read(slide.spec.bounds(0))
    slide.tissue(slide.spec.bounds(0))
    slide.read(slide.spec.bounds(1))
    draw_all(slide)
    slide.undo()
    slide.redo()
    draw_all(slide)
    assert same(everything(slide), before)
    assert slide.verify().damaged == ()
    slide.close()


def test_a_damaged_tile_that_only_shows_finer_edits_is_averaged_again(tmp_path: Path) -> None:
    with make(tmp_path) as slide:
        edit(slide, PLACE)
        assert not slide.state(1).any()
        before = everything(slide)
        slide = reopen(slide)
        spoil(chunk(slide, TileAddress(1, 0, 0)))
        spoil(chunk(slide, TileAddress(2, 0, 0), "histodiff/edits"))
        slide.read(slide.spec.bounds(1))
        slide.read(slide.spec.bounds(2))
        found = everything(slide)
        assert all(np.array_equal(found[f"pixels {k}"], before[f"pixels {k}"]) for k in (0, 1))
        slide.close()


def test_edited_pixels_that_are_lost_are_said_to_be(slide: SlideStore) -> None:
    slide = reopen(slide, max_undo_bytes=1)
    edit(slide, Region(0, 600, 500, 5, 5))
    spoil(chunk(slide, TileAddress(0, 1, 0)))
    slide = reopen(slide)
    with pytest.raises(StorageError, match="restore it from a backup"):
        slide.read(PLACE)
    slide.read(Region(0, 600, 500, 5, 5))
    slide.close()


def test_a_reader_sees_a_damaged_tile_as_empty_and_writes_nothing(slide: SlideStore) -> None:
    tile = TileAddress(0, 2, 2)
    spoil(chunk(slide, tile))
    files = {path: path.stat().st_mtime_ns for path in slide.path.rglob("*")}
    with SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as reader:
        reader.read(reader.spec.bounds(0))
        assert missing(reader) == [tile]
    assert {path: path.stat().st_mtime_ns for path in slide.path.rglob("*")} == files


def test_a_damaged_edit_can_not_be_undone_and_says_so(slide: SlideStore) -> None:
    spoil(next(slide.path.rglob("*.edit")))
    before = everything(slide)
    with pytest.raises(StorageError, match="can not be undone"):
        slide.undo()
    assert same(everything(slide), before)


def altered(path: Path, change: Any) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda d: d["attributes"]["histodiff"].update(version=99), "update napari-histodiff"),
        (lambda d: d["attributes"].pop("histodiff"), "made by napari-histodiff"),
        (lambda d: d["attributes"]["histodiff"].pop("recipe"), "backup"),
        (lambda d: d["attributes"]["histodiff"]["recipe"].pop("seed"), "backup"),
    ],
)
def test_what_is_no_slide_or_a_newer_one_is_refused(
    slide: SlideStore, change: Any, advice: str
) -> None:
    slide.close()
    altered(slide.path / "zarr.json", change)
    with pytest.raises(StorageError, match=advice):
        SlideStore.open(slide.path, layout=PlainLayout)


@pytest.mark.parametrize("name", ["zarr.json", "histodiff/tiles.bin"])
def test_torn_metadata_is_refused(slide: SlideStore, name: str) -> None:
    slide.close()
    path = slide.path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match="backup"):
        SlideStore.open(slide.path, layout=PlainLayout)


def test_a_folder_that_is_no_slide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose a folder"):
        SlideStore.open(tmp_path / "nothing")
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="choose another name"):
        SlideStore.create(tmp_path / "taken", recipe())
