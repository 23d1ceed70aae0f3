from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.storage.chunks import encode
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import edit, make, missing


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    """A slide whose levels fit: each tile is the one a level up, enlarged and a little rough."""
    with make(tmp_path, height=1501, width=1203, coarsest=1) as slide:
        for tile in missing(slide):
            shown = slide.read(slide.spec.region(tile)).astype(np.int16)
            rough = np.indices(shown.shape[:2]).sum(0) % 2 * 2 - 1
            pixels = np.clip(shown + rough[..., None], 1, 254)
            slide.put_generated(tile, pixels.astype(np.uint8))
        yield slide


def image(slide: SlideStore, tile: TileAddress) -> Path:
    return slide.path / str(tile.level) / "c" / "0" / str(tile.row) / str(tile.col)


def test_a_whole_slide(slide: SlideStore) -> None:
    edit(slide, Region(0, 200, 200, 99, 101))
    report = slide.verify()
    assert report.is_whole
    assert report.counts == {"EMPTY": 0, "SOURCE": 0, "GENERATED": 35, "EDITED": 4, "STALE": 0}
    assert report.compared == 9 + 4
    assert "nothing is damaged" in str(report)


def test_damaged_and_missing_tiles_are_named(slide: SlideStore) -> None:
    edit(slide, Region(0, 200, 200, 99, 101))
    gone, torn, far = TileAddress(0, 1, 2), TileAddress(1, 1, 1), TileAddress(2, 0, 0)
    image(slide, gone).unlink()
    image(slide, torn).write_bytes(image(slide, torn).read_bytes()[:-1])
    image(slide, far).write_bytes(b"")
    edits = slide.path / "histodiff" / "edits" / "0" / "c" / "0" / "0"
    edits.write_bytes(edits.read_bytes()[:-1])
    report = slide.verify()
    assert report.damaged == (TileAddress(0, 0, 0), torn, far)
    assert report.missing == (gone,)
    assert not report.is_whole
    assert all(str(tile) in str(report) for tile in (gone, torn, far))


@pytest.mark.parametrize("level", [1, 2])
def test_levels_that_do_not_fit_are_found(slide: SlideStore, level: int) -> None:
    tile = TileAddress(level, 0, 0)
    pixels = slide.read(Region(level, 0, 0, 256, 256))
    pixels[100, 90] += 3
    slide.close()
    path = image(slide, tile)
    path.write_bytes(encode("image", pixels))
    with SlideStore.open(slide.path, read_only=True, layout=lambda *_: None) as again:
        report = again.verify()
    assert tile in report.unequal
    assert not report.is_whole
