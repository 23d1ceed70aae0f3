"""A finer level below all others: every place keeps its pixels, and every edit can be undone."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from napari_histodiff import files
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide import growing
from napari_histodiff.slide.lazy_levels import pyramid
from napari_histodiff.slide.storage.edit_files import Edit
from napari_histodiff.slide.storage.ome import read_recipe
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    MODEL,
    PlainLayout,
    draw,
    draw_all,
    edit,
    everything,
    make,
    missing,
    pixels,
    reopen,
    same,
)

PLACE = Region(0, 300, 40, 50, 60)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path, height=700, width=600, coarsest=1) as slide:
        draw_all(slide)
        edit(slide, PLACE)
        yield slide


def up(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what was read of levels by the numbers that they have one refinement later."""
    split = (name.split() for name in found)
    return {f"{what} {int(level) + 1}": found[f"{what} {level}"] for what, level in split}


def chunks(slide: SlideStore) -> dict[str, bytes]:
    """Return all tiles of a slide's folder, byte for byte."""
    paths = (path for path in slide.path.rglob("*") if path.is_file() and "c" in path.parts)
    return {str(path.relative_to(slide.path)): path.read_bytes() for path in paths}


def assert_kept(slide: SlideStore, before: dict[str, np.ndarray]) -> None:
    now = everything(slide)
    for name, expected in up(before).items():
        np.testing.assert_array_equal(now[name], expected, name)


def test_every_level_keeps_its_pixels_states_and_nuclei(slide: SlideStore) -> None:
    labels = np.random.default_rng(1).integers(0, 2**31 - 1, (256, 256), np.int32)
    slide.put_generated(TileAddress(0, 0, 1), pixels((256, 256)), labels)
    before, bytes_before, levels = everything(slide), chunks(slide), slide.spec.levels
    slide.refine(MODEL)
    assert (slide.recipe.mpp, slide.recipe.coarsest, slide.recipe.refined) == (0.25, 2, 1)
    assert slide.spec.bounds(0) == Region(0, 0, 0, 1400, 1200)
    assert slide.spec.levels == levels + 1
    assert chunks(slide) == bytes_before
    assert_kept(slide, before)
    assert not slide.state(0).any()
    enlarged = before["pixels 0"].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(slide.read(slide.spec.bounds(0)), enlarged)
    assert slide.verify().damaged == slide.verify().missing == ()
    slide = reopen(slide)
    assert_kept(slide, before)
    draw_all(slide)
    assert_kept(slide, before)
    assert (slide.state(0) == TileState.GENERATED).all()
    slide = reopen(slide)
    slide.refine(MODEL)
    assert_kept(slide, up(before))
    assert slide.verify().damaged == slide.verify().missing == ()
    slide.close()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 12), st.booleans(), st.booleans())
def test_what_is_drawn_later_is_what_would_have_been_drawn(
    tmp_path_factory: pytest.TempPathFactory, count: int, edited: bool, grown: bool
) -> None:
    folder = tmp_path_factory.mktemp("slides")
    plain, refined = make(folder / "plain", coarsest=1), make(folder / "refined", coarsest=1)
    for slide in (plain, refined):
        for tile in missing(slide)[:count]:
            draw(slide, tile)
        if edited:
            edit(slide, PLACE)
        if grown:
            slide.grow(left=512)
    refined.refine(MODEL)
    for slide in (plain, refined):
        draw_all(slide)
    for level in range(plain.spec.levels):
        bounds = plain.spec.bounds(level)
        over = replace(bounds, level=level + 1)
        np.testing.assert_array_equal(refined.state(level + 1), plain.state(level))
        np.testing.assert_array_equal(refined.read(over), plain.read(bounds))
    kept = chunks(refined)
    assert {name: kept.get(name) for name in chunks(plain)} == chunks(plain)
    plain.close()
    refined.close()


def test_earlier_edits_are_undone_where_they_are_now(slide: SlideStore) -> None:
    edit(slide, Region(1, 100, 90, 40, 30), 3)
    slide.grow(top=512)
    seen = []
    for step in (slide.undo, slide.undo, slide.redo, slide.redo):
        draw_all(slide)
        seen.append(everything(slide))
        step()
    after, between, before = seen[:3]
    slide.refine(MODEL)
    draw_all(slide)
    slide = reopen(slide)
    assert slide.edited_under(Region(2, 400, 0, 30, 60)) == [TileAddress(1, 3, 0)]
    assert slide.undo() == Region(2, 356, 90, 40, 30)
    assert_pixels(slide, between)
    assert slide.undo() == Region(1, 812, 40, 50, 60)
    # What was drawn from the pixels that are gone is to be drawn anew.
    assert slide.state(0)[6, 0] == TileState.STALE
    assert_pixels(slide, before)
    assert slide.redo() == Region(1, 812, 40, 50, 60)
    assert slide.redo() == Region(2, 356, 90, 40, 30)
    assert_pixels(slide, after)
    region = Region(0, 40, 50, 30, 20)
    edit(slide, region, 9)
    np.testing.assert_array_equal(slide.read(region), pixels(region.shape, 9))
    assert slide.undo() == region
    assert_pixels(slide, after)
    slide.close()


def assert_pixels(slide: SlideStore, before: dict[str, np.ndarray]) -> None:
    draw_all(slide)
    for name, expected in up(before).items():
        what, level = name.split()
        if what == "pixels":
            np.testing.assert_array_equal(slide.read(slide.spec.bounds(int(level))), expected)


def test_a_sketch_stays_where_it_is_and_can_be_taken_back(slide: SlideStore) -> None:
    classes = np.zeros((4, 5), np.uint8)
    classes[1, 2] = 3
    slide.set_sketch(Sketch(classes, 60, (10, 20)))
    draw_all(slide)
    before = everything(slide)
    slide.refine(MODEL)
    for again in (slide, reopen(slide)):
        assert again.sketch is not None
        assert (again.sketch.pixel, again.sketch.origin) == (120, (20, 40))
    slide = again
    draw_all(slide)
    assert_kept(slide, before)
    slide.set_sketch(Sketch(classes, 33, (1, 1)))
    assert slide.undo() == slide.spec.bounds(0)
    assert slide.sketch is not None
    assert slide.sketch.pixel == 120
    assert slide.undo() == Region(1, 0, 0, 700, 600)
    assert slide.sketch is None
    slide.redo()
    assert slide.sketch is not None
    assert (slide.sketch.pixel, slide.sketch.origin) == (120, (20, 40))
    slide.close()


def test_growing_before_and_after_is_the_same(slide: SlideStore, tmp_path: Path) -> None:
    slide.close()
    shutil.copytree(slide.path, tmp_path / "twin")
    slide = SlideStore.open(slide.path, layout=PlainLayout)
    slide.grow(left=512, bottom=512)
    slide.refine(MODEL)
    with SlideStore.open(tmp_path / "twin", layout=PlainLayout) as twin:
        twin.refine(MODEL)
        with pytest.raises(InvalidRequest, match="multiple of 1024"):
            twin.grow(left=512)
        twin.grow(left=1024, bottom=1024)
        assert twin.recipe == slide.recipe
        assert same(everything(twin), everything(slide))
    slide.close()


def test_what_the_model_can_not_draw_is_refused(slide: SlideStore) -> None:
    before = everything(slide)
    with pytest.raises(InvalidRequest, match=r"draws 0.25 um per pixel, got .*; choose"):
        slide.refine(replace(MODEL, mpp=(0.5, 2.0)))
    with pytest.raises(InvalidRequest, match=r"the model of this slide, .*, got .*; choose"):
        slide.refine(replace(MODEL, revision="other"))
    assert same(everything(slide), before)
    with (
        SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as reader,
        pytest.raises(StorageError, match="reading only"),
    ):
        reader.refine(MODEL)


def test_refining_cut_off_at_any_moment_is_not_begun_or_finished(
    slide: SlideStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(slide)
    slide.close()
    replace_file = os.replace
    killed, moves, kept, refined = True, 0, 0, 0
    while killed:
        again = tmp_path / str(moves)
        shutil.copytree(slide.path, again)
        store = SlideStore.open(again, layout=PlainLayout)
        left = [moves]

        def limited(*paths: Path, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            replace_file(*paths)

        for module in (files, growing):
            monkeypatch.setattr(module.os, "replace", limited)
        try:
            store.refine(MODEL)
            killed = False
        except KeyboardInterrupt:
            killed = True
        monkeypatch.undo()
        store._file_lock.release()
        if growing.is_growing(again):
            with pytest.raises(StorageError, match="middle of growing"):
                SlideStore.open(again, read_only=True, layout=PlainLayout)
        with SlideStore.open(again, read_only=False, layout=PlainLayout) as store:
            if store.recipe.refined:
                assert_kept(store, before)
                assert store.undo() == replace(PLACE, level=1)
                refined += killed
            else:
                assert same(everything(store), before)
                assert store.undo() == PLACE
                kept += 1
            assert store.verify().damaged == store.verify().missing == ()
        shutil.rmtree(again)
        moves += 1 + moves // 4
    assert kept > 1
    assert refined > 1


# --------------------------------------------------------------------------- others


def test_a_reader_follows(slide: SlideStore) -> None:
    with SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as reader:
        before = everything(reader)
        slide.refine(MODEL)
        for tile in missing(slide)[:3]:
            draw(slide, tile)
        assert same(everything(reader), before)
        told: list[Region] = []
        reader.subscribe(told.append)
        reader.refresh()
        assert told == [slide.spec.bounds(0)]
        assert reader.recipe == slide.recipe
        assert same(everything(reader), everything(slide))


def test_a_reader_that_looks_while_it_happens_looks_again(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as reader:
        read_ledger = reader._slide.ledger.refresh

        def late() -> object:
            """The recipe was read before, the table is read after the writer was here."""
            slide.refine(MODEL)
            return read_ledger()

        monkeypatch.setattr(reader._slide.ledger, "refresh", late)
        reader.refresh()
        assert same(everything(reader), everything(slide))
        before = everything(reader)
        monkeypatch.setattr(growing, "is_growing", lambda path: True)
        slide.undo()
        reader.refresh()
        # Tissue is gone with its file: only pixels are kept in memory by what they hold.
        kept = {name: array for name, array in everything(reader).items() if "tissue" not in name}
        assert same(kept, {name: before[name] for name in kept})
        monkeypatch.undo()
        reader.refresh()
        assert same(everything(reader), everything(slide))


def test_levels_in_use_stay_what_they_are(slide: SlideStore) -> None:
    levels = pyramid(slide)
    top = np.asarray(levels[-1])
    before = [slide.read(slide.spec.bounds(level)) for level in range(slide.spec.levels)]
    slide.refine(MODEL)
    for number, (level, expected) in enumerate(zip(levels, before, strict=True)):
        assert level.level == number + 1
        np.testing.assert_array_equal(level[:, :], expected)
    np.testing.assert_array_equal(top, before[-1])
    edit(slide, Region(0, 0, 0, 80, 80))
    np.testing.assert_array_equal(top, slide.read(slide.spec.bounds(slide.spec.levels - 1)))


def test_other_programs_open_it(slide: SlideStore) -> None:
    slide.refine(MODEL)
    draw_all(slide)
    edit(slide, Region(0, 700, 800, 120, 130))
    location = parse_url(slide.path)
    assert location is not None
    image, *_ = Reader(location)()
    assert len(image.data) == slide.spec.levels
    for level, data in enumerate(image.data):
        expected = slide.read(slide.spec.bounds(level)).transpose(2, 0, 1)
        np.testing.assert_array_equal(np.asarray(data), expected)
    steps = image.metadata["coordinateTransformations"]
    scales = [next(one["scale"][-1] for one in some if one["type"] == "scale") for some in steps]
    assert scales == [0.25 * 2**level for level in range(slide.spec.levels)]
    starts = [one["translation"][-1] for some in steps for one in some if "translation" in one]
    assert starts == [0.125 * (2**level - 1) for level in range(slide.spec.levels)]
    group = zarr.open_group(slide.path, mode="r")
    for name in ("fine1", "0", "1"):
        assert group["labels/nuclei"][name].shape == group[name].shape[1:]
    assert "fine2" not in group
    models = pytest.importorskip("ome_zarr_models.v05")
    models.Image.from_zarr(group)
    models.ImageLabel.from_zarr(zarr.open_group(slide.path / "labels" / "nuclei", mode="r"))


# --------------------------------------------------------------------------- files of before


def test_older_programs_open_it_as_long_as_it_was_not_refined(slide: SlideStore) -> None:
    def version() -> int:
        mark = json.loads((slide.path / "zarr.json").read_bytes())["attributes"]["histodiff"]
        return int(mark["version"])

    assert version() == 1
    slide.refine(MODEL)
    assert version() == 2


def test_recipe_edit_and_sketch_of_before_are_read(slide: SlideStore) -> None:
    slide.set_sketch(Sketch(np.full((2, 2), 3, np.uint8), 90))
    draw_all(slide)
    before = everything(slide)
    slide.close()
    top = slide.path / "zarr.json"
    data = json.loads(top.read_bytes())
    del data["attributes"]["histodiff"]["recipe"]["refined"]
    top.write_text(json.dumps(data))
    sketch = slide.path / "histodiff" / "sketch.npz"
    with np.load(sketch) as arrays:
        np.savez_compressed(sketch, **{k: arrays[k] for k in ("classes", "pixel", "origin")})
    for path in slide.path.rglob("*.edit"):
        path.write_bytes(_without_refined(path.read_bytes()))
    assert read_recipe(slide.path) == slide.recipe
    with SlideStore.open(slide.path, layout=PlainLayout) as again:
        assert same(everything(again), before)
        again.refine(MODEL)
        assert again.sketch is not None
        assert again.sketch.pixel == 180
        assert again.undo() == Region(1, 0, 0, 700, 600)
        assert again.undo() == replace(PLACE, level=1)


def _without_refined(data: bytes) -> bytes:
    magic, length = struct.unpack_from("<4sI", data)
    head = json.loads(data[8 : 8 + length])
    del head["refined"]
    text = json.dumps(head).encode()
    body = struct.pack("<4sI", magic, len(text)) + text + data[8 + length : -4]
    again = body + struct.pack("<I", zlib.crc32(body))
    assert Edit.from_bytes(again).region == Edit.from_bytes(data).region
    return again
