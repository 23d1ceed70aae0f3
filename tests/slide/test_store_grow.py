from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_histodiff import files
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import MAX_SIDE
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide import growing
from napari_histodiff.slide.state import SlideState
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    MODEL,
    PlainLayout,
    draw_all,
    edit,
    everything,
    make,
    pixels,
    recipe,
    reopen,
    same,
)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path, height=1024, width=900, coarsest=1) as slide:
        draw_all(slide)
        edit(slide, Region(0, 300, 40, 50, 60))
        yield slide


def is_sound(slide: SlideStore) -> bool:
    """Return whether all is there and the averages fit; what these tests draw does not."""
    report = slide.verify()
    averaged = [tile for tile in report.unequal if tile.level > slide.recipe.coarsest]
    return not (report.damaged or report.missing or averaged)


def test_what_is_there_keeps_its_pixels_and_place_on_the_plane(slide: SlideStore) -> None:
    before = [slide.read(slide.spec.bounds(level)) for level in range(slide.spec.levels)]
    slide.grow(top=512, left=1024, right=512)
    assert slide.recipe.origin == (-512, -1024)
    assert (slide.recipe.height, slide.recipe.width) == (1536, 2436)
    for level, expected in enumerate(before):
        height, width = expected.shape[:2]
        place = Region(level, 512 >> level, 1024 >> level, height, width)
        np.testing.assert_array_equal(slide.read(place), expected)
    new = Region(0, 0, 0, 512, 300)
    colours = PlainLayout(slide.recipe, None).colours(new.translate(*slide.recipe.origin))
    np.testing.assert_array_equal(slide.read(new), colours)
    seen = everything(slide)
    slide = reopen(slide)
    assert same(everything(slide), seen)
    assert is_sound(slide)
    slide.close()


def test_tiles_that_the_border_cut_or_that_read_beyond_it_become_stale(slide: SlideStore) -> None:
    slide.grow(bottom=512)
    expected = np.full((6, 4), TileState.GENERATED)
    expected[1, 0] = TileState.EDITED
    expected[3] = TileState.STALE
    expected[4:] = TileState.EMPTY
    np.testing.assert_array_equal(slide.state(0), expected)
    assert (slide.state(1)[:2] == TileState.GENERATED).all()
    slide.grow(right=512)
    assert (slide.state(0)[:3, 3] == TileState.STALE).all()
    assert (slide.state(1)[:2, 1] == TileState.STALE).all()
    assert slide.state(1)[0, 0] == TileState.GENERATED


def test_edits_are_undone_where_they_are_now(slide: SlideStore) -> None:
    slide.grow(left=512)
    assert slide.undo() == Region(0, 300, 552, 50, 60)
    draw_all(slide)
    assert not (slide.state(0) == TileState.EDITED).any()
    assert slide.redo() == Region(0, 300, 552, 50, 60)
    np.testing.assert_array_equal(slide.read(Region(0, 300, 552, 50, 60)), pixels((50, 60)))
    assert slide.edited_under(Region(1, 150, 276, 5, 5)) == [TileAddress(0, 1, 2)]


def test_the_request_of_an_edit_says_where_it_is_now(slide: SlideStore) -> None:
    def requests() -> list[dict[str, Any]]:
        state = slide._slide
        kept = (state.edit_files.get(n).moved_to(state.frame).request for n in sorted(_kept(state)))
        return [request for request in kept if request is not None]

    slide.set_sketch(None)
    edit(slide, Region(1, 30, 20, 40, 50))
    before = [EditRequest.from_dict(data) for data in requests()]
    assert [request.region for request in before] == [
        Region(0, 300, 40, 50, 60),
        Region(1, 30, 20, 40, 50),
    ]
    slide.grow(top=512, left=1024)
    slide.refine(MODEL)
    slide.grow(top=1024)
    slide = reopen(slide)
    assert [EditRequest.from_dict(data).region for data in requests()] == [
        Region(1, 300 + 1024, 40 + 1024, 50, 60),
        Region(2, 30 + 512, 20 + 512, 40, 50),
    ]
    on_plane = EditRequest(
        kind=EditKind.GENERATE, region=Region(0, 0, 0, 9, 9), target=Region(0, 2, 3, 4, 5)
    )
    slide.write(on_plane, pixels((4, 5)))
    slide.grow(left=1024)
    moved = EditRequest.from_dict(requests()[-1])
    assert (moved.region, moved.target) == (Region(0, 0, 1024, 9, 9), Region(0, 2, 1027, 4, 5))
    slide.close()


def _kept(state: SlideState) -> set[int]:
    return state.ledger.edits.kept


def test_a_slide_grows_by_whole_tiles_and_not_beyond_the_limit(slide: SlideStore) -> None:
    before = everything(slide)
    with pytest.raises(InvalidRequest, match="multiple of 512"):
        slide.grow(top=256)
    with pytest.raises(InvalidRequest, match="multiple of 512"):
        slide.grow(left=-512)
    with pytest.raises(InvalidRequest, match=str(MAX_SIDE)):
        slide.grow(bottom=MAX_SIDE)
    slide.grow()
    assert same(everything(slide), before)


@pytest.mark.parametrize("sides", [{"top": 512, "left": 1024}, {"right": 512}])
def test_growing_cut_off_at_any_moment_is_not_begun_or_finished(
    slide: SlideStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sides: dict[str, int]
) -> None:
    before = everything(slide)
    slide.close()
    shutil.copytree(slide.path, tmp_path / "twin")
    with SlideStore.open(tmp_path / "twin", layout=PlainLayout) as twin:
        twin.grow(**sides)
        expected = everything(twin)
    replace, rename = os.replace, os.rename
    killed, moves, kept, grown = True, 0, 0, 0
    while killed:
        again = tmp_path / str(moves)
        shutil.copytree(slide.path, again)
        store = SlideStore.open(again, layout=PlainLayout)
        left = [moves]

        def spend(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        def limited_replace(*paths: Path) -> None:
            spend()
            replace(*paths)

        def limited_rename(*paths: Path) -> None:
            spend()
            rename(*paths)

        for module in (files, growing):
            monkeypatch.setattr(module.os, "replace", limited_replace)
            monkeypatch.setattr(module.os, "rename", limited_rename)
        try:
            store.grow(**sides)
            killed = False
        except KeyboardInterrupt:
            killed = True
        monkeypatch.undo()
        store._file_lock.release()
        if growing.is_growing(again):
            with pytest.raises(StorageError, match="middle of growing"):
                SlideStore.open(again, read_only=True, layout=PlainLayout)
        with SlideStore.open(again, read_only=False, layout=PlainLayout) as store:
            if store.recipe == recipe(1024, 900, 1):
                assert same(everything(store), before)
                kept += 1
            else:
                assert same(everything(store), expected)
                grown += killed
            assert is_sound(store)
        shutil.rmtree(again)
        moves += 1 + moves // 4
    assert kept > 1
    assert grown > 1
