"""Growing a slide is one step: undo makes it what it was, redo grows it again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide import growing
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.slide.fake_store import FakeLayout, small_recipe
from tests.ui.slide.stage import put_block

TOP, LEFT, BOTTOM, RIGHT = 1024, 2048, 1024, 1024


def _open(path: Path) -> SlideStore:
    return SlideStore.open(path, layout=lambda recipe, sketch: FakeLayout())


@pytest.fixture
def store(tmp_path: Path):
    store = SlideStore.create(
        tmp_path / "slide.ome.zarr", small_recipe(), layout=lambda recipe, sketch: FakeLayout()
    )
    for level in (2, 1, 0):
        put_block(store, store.spec.bounds(level), 100 + level)
    yield store
    store.close()


def _edit(store: SlideStore, y: int, x: int, shade: int) -> None:
    region = Region(0, y, x, 64, 64)
    mask = np.ones(region.shape, bool)
    image = np.zeros((*region.shape, 3), np.uint8)
    request = EditRequest(kind=EditKind.INPAINT, region=region, image=image, edit_mask=mask)
    store.write(request, np.full((*region.shape, 3), shade, np.uint8))


def _look(store: SlideStore) -> dict[str, object]:
    """What a slide is: its recipe, the pixels and the states of all levels."""
    spec = store.spec
    levels = range(spec.levels)
    return {
        "recipe": store.recipe,
        "pixels": [store.read(spec.bounds(level)).tobytes() for level in levels],
        "states": [store.state(level).tolist() for level in levels],
    }


def _chunks(store: SlideStore) -> set[str]:
    """The files of tiles, of levels that are drawn."""
    root = Path(store.path)
    files = (file for file in root.rglob("c/*/*/*") if file.is_file())
    names = {str(file.relative_to(root)) for file in files}
    return {name for name in names if name.split("/")[0] in {"0", "1", "2"}}


def test_undo_of_a_growth_brings_back_size_place_and_pixels(store: SlideStore) -> None:
    before = _look(store)
    store.grow(TOP, LEFT, BOTTOM, RIGHT)
    grown = store.recipe
    for level in (2, 1, 0):  # somebody looked everywhere
        for tile in store.spec.tiles(store.spec.bounds(level)):
            if store.state(level)[tile.row, tile.col] != TileState.GENERATED:
                region = store.spec.region(tile)
                store.put_generated(tile, np.full((*region.shape, 3), 30 + level, np.uint8))
    assert store.undo_growth()
    after = _look(store)
    assert after["recipe"] == before["recipe"]
    assert not store.undo_growth()
    # What was drawn anew with the grown slide around it is drawn once more; the rest is as it was.
    for level, (now, then) in enumerate(zip(after["states"], before["states"], strict=True)):
        for tile in store.spec.tiles(store.spec.bounds(level)):
            state = TileState(now[tile.row][tile.col])
            if state is TileState.GENERATED:
                np.testing.assert_array_equal(
                    store.read(store.spec.region(tile)), 100 + level, err_msg=str(tile)
                )
            else:
                assert state in (TileState.STALE, TileState(then[tile.row][tile.col]))
    assert store.redo_growth()
    assert store.recipe == grown
    assert not store.redo_growth()


def test_nothing_is_left_of_the_part_that_went(store: SlideStore) -> None:
    before = _chunks(store)
    store.grow(TOP, LEFT, BOTTOM, RIGHT)
    put_block(store, store.spec.bounds(2), 50)
    assert _chunks(store) - before
    store.undo_growth()
    assert _chunks(store) <= before
    store.grow(TOP, LEFT, BOTTOM, RIGHT)
    assert store.state(2)[0, 0] == TileState.EMPTY


def _back(store: SlideStore) -> bool:
    return store.undo_growth() or store.undo() is not None


def _again(store: SlideStore) -> bool:
    return store.redo_growth() or store.redo() is not None


def test_edits_and_growths_are_undone_in_the_order_they_were_made(store: SlideStore) -> None:
    _edit(store, 256, 256, 1)
    store.grow(TOP, LEFT, 0, 0)
    _edit(store, 64, 64, 2)  # in the new part
    assert not store.undo_growth()  # that edit comes first
    assert _back(store)
    assert store.growth_to_undo is not None
    assert _back(store)
    assert store.recipe.origin == small_recipe().origin
    assert (store.read(Region(0, 256, 256, 64, 64)) == 1).all()
    assert not store.can_redo  # the edit that was undone lies in what is not there
    assert store.redo() is None
    assert _back(store)
    assert (store.read(Region(0, 256, 256, 64, 64)) == 100).all()
    assert not _back(store)
    assert [_again(store) for _ in range(4)] == [True, True, True, False]
    assert (store.read(Region(0, TOP + 256, LEFT + 256, 64, 64)) == 1).all()
    assert (store.read(Region(0, 64, 64, 64, 64)) == 2).all()


def test_something_new_ends_what_could_be_repeated(store: SlideStore) -> None:
    store.grow(TOP, 0, 0, 0)
    _edit(store, 0, 0, 3)
    assert _back(store)
    assert _back(store)
    store.grow(0, 0, BOTTOM, 0)  # another one: the edit lay in what is not there
    assert not _again(store)
    assert _back(store)
    _edit(store, 0, 0, 4)
    assert not _again(store)
    assert _back(store)
    assert not _back(store)


def test_it_is_undone_after_the_slide_was_closed_and_opened(store: SlideStore) -> None:
    before = store.recipe
    store.grow(TOP, LEFT, 0, 0)
    store.close()
    with _open(Path(store.path)) as later:
        assert later.undo_growth()
        assert later.recipe == before
    with _open(Path(store.path)) as later:
        assert not later.undo_growth()
        assert later.recipe == before
        assert later.redo_growth()


@pytest.mark.parametrize("step", ["_move_aside", "_drop_beyond", "_move_back", "move_into_place"])
def test_a_shrinking_that_is_cut_off_is_finished_when_the_slide_is_opened(
    store: SlideStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    before = store.recipe
    store.grow(TOP, LEFT, BOTTOM, 0)
    original, calls = getattr(growing, step), []

    def cut(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2 or step == "_drop_beyond":
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(growing, step, cut)
    with pytest.raises(KeyboardInterrupt):
        store.undo_growth()
    monkeypatch.setattr(growing, step, original)
    copy = tmp_path / "copy.ome.zarr"  # as another process would find it
    shutil.copytree(store.path, copy, ignore=shutil.ignore_patterns("*.lock"))
    with _open(copy) as later:
        assert later.recipe == before
        assert later.growth_to_undo is None
        for level in (0, 1, 2):
            pixels = later.read(later.spec.bounds(level))
            assert (pixels[256:-256, 256:-256] == 100 + level).all()
