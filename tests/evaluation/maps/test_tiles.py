"""Maps in tiles: no seams, bounded, gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.errors import Cancelled, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.evaluation.maps.tiles import Tile, TileFolder, Tiling, map_of

AREA = Region(1, 7, -30, 133, 210)


def tiling(area: Region = AREA, **changes: Any) -> Tiling:
    return Tiling(area, **{"side": 64, "margin": 16, "fade": 16} | changes)


def of_place(plan: Tiling, off: Callable[[Tile], float] = lambda tile: 0) -> Any:
    """Makes values that are a plain function of the place, plus an error of each tile."""

    def make(tile: Tile) -> dict[str, NDArray[Any]]:
        y, x = np.mgrid[tile.seen.y : tile.seen.bottom, tile.seen.x : tile.seen.right]
        values = (y + 1000 * x + off(tile)).astype(np.float32)
        return {"values": plan.reduced(tile, values)}

    return make


@pytest.mark.parametrize(
    "area", [AREA, Region(0, 0, 0, 64, 64), Region(0, 0, 0, 65, 10), Region(0, 3, 5, 200, 129)]
)
@pytest.mark.parametrize("fade", [0, 16, 32])
def test_tiles_make_up_the_whole(area, fade) -> None:
    plan = tiling(area, fade=fade)
    y, x = np.mgrid[area.y : area.bottom, area.x : area.right]
    np.testing.assert_allclose(map_of(plan, of_place(plan)), y + 1000 * x, rtol=1e-5)
    assert len(list(plan.tiles())) == plan.count()


@pytest.mark.parametrize("factor", [2, 8])
def test_a_coarser_map_holds_means(factor) -> None:
    area = Region(0, 0, 0, 160, 128)
    plan = tiling(area, factor=factor)
    found = map_of(plan, of_place(plan))
    assert found.shape == plan.shape == (160 // factor, 128 // factor)
    y, x = np.mgrid[: area.height, : area.width]
    whole = y + 1000 * x
    means = whole.reshape(160 // factor, factor, 128 // factor, factor).mean((1, 3))
    np.testing.assert_allclose(found, means, rtol=1e-5)


def test_a_coarser_map_covers_what_is_left_over() -> None:
    plan = tiling(Region(0, 0, 0, 131, 66), factor=4)
    found = map_of(plan, lambda t: {"values": plan.reduced(t, np.ones(t.seen.shape, np.float32))})
    assert found.shape == (33, 17)
    np.testing.assert_allclose(found, 1)


def test_what_tiles_disagree_on_fades_over() -> None:
    area = Region(0, 0, 0, 64, 128)
    plan = tiling(area, fade=32)
    found = map_of(plan, of_place(plan, lambda tile: 1e6 * tile.number))
    y, x = np.mgrid[: area.height, : area.width]
    steps = np.abs(np.diff(found - (y + 1000 * x), axis=1)).max()
    assert steps < 1.5e6 / 32


def test_a_stopped_map_goes_on_where_it_was(tmp_path) -> None:
    plan = tiling()
    made: list[int] = []

    def make(tile: Tile) -> dict[str, NDArray[Any]]:
        made.append(tile.number)
        return of_place(plan)(tile)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        map_of(plan, make, TileFolder(tmp_path / "t", {"a": 1}), on_tile=stop)
    assert made == [0, 1, 2]
    told: list[tuple[int, int]] = []
    taken: list[Any] = []
    found = map_of(
        plan,
        make,
        TileFolder(tmp_path / "t", {"a": 1}),
        take=taken.append,
        on_tile=lambda *at: told.append(at),
    )
    assert made == list(range(plan.count()))
    assert told[-1] == (plan.count(), plan.count())
    assert len(taken) == plan.count()
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, map_of(plan, of_place(plan)))


def test_tiles_of_other_settings_are_made_anew(tmp_path) -> None:
    plan = tiling()
    first = next(plan.tiles())
    TileFolder(tmp_path, {"a": 1}).put(first, values=np.zeros(3))
    assert first in TileFolder(tmp_path, {"a": 1})
    other = TileFolder(tmp_path, {"a": 2})
    assert first not in other
    other.remove()
    assert not tmp_path.exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        TileFolder(tmp_path / "file", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full, of Linux")
def test_a_map_takes_its_room_at_once(tmp_path, monkeypatch) -> None:
    kept = TileFolder(tmp_path / "tiles", {})
    monkeypatch.setattr(TileFolder, "scratch", lambda *_: Path("/dev/full"))
    with pytest.raises(StorageError, match="No space left"):
        map_of(tiling(), of_place(tiling()), kept)
