from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.evaluation.panels import ImageSet
from napari_histodiff.evaluation.tiles import Tile
from napari_histodiff.evaluation.tissue import tissue_overlap, tissue_section
from tests.evaluation.doubles import FakeJudge

GLAND, STROMA, LUMEN = (TISSUE_NAMES.index(name) for name in ("gland", "stroma", "lumen"))


class ByColour:
    """Tells the tissue from the red of a pixel."""

    def propose(self, image: NDArray[np.uint8], *, mpp: float, nuclei: object) -> NDArray[np.uint8]:
        return image[..., 0]


def tile(tissue: NDArray[np.uint8] | None) -> Tile:
    none = np.zeros((8, 8), np.uint8)
    pixels = np.zeros((8, 8, 3), np.uint8)
    if tissue is not None:
        pixels[..., 0] = tissue
    return Tile("a", "glas", pixels, none, none.astype(np.int32), 0.5, "", False, tissue)


def halves() -> NDArray[np.uint8]:
    tissue = np.full((8, 8), GLAND, np.uint8)
    tissue[:, 4:] = STROMA
    tissue[0] = 0
    return tissue


def test_overlap_is_counted_over_all_tiles_where_something_is_said() -> None:
    tiles = [tile(halves()), tile(None), tile(np.full((8, 8), GLAND, np.uint8))]
    found = [np.full((8, 8), GLAND, np.uint8)] * 3
    scores = tissue_overlap(tiles, found)
    assert scores["gland"] == pytest.approx((28 + 64) / (28 + 28 + 64))
    assert scores["stroma"] == 0
    assert scores["mean"] == pytest.approx(scores["gland"] / 2)
    assert "lumen" not in scores


def test_doubt_counts_as_missed() -> None:
    scores = tissue_overlap([tile(halves())], [np.where(halves() == GLAND, GLAND, 0)])
    assert scores == {"gland": 1, "stroma": 0, "mean": 0.5}


def test_drawn_tissue_is_told_beside_real() -> None:
    tiles = [tile(halves())]
    real = ImageSet("real", tiles, [tiles[0].image], FakeJudge())
    half = tiles[0].image.copy()
    half[4:, :4, 0] = LUMEN
    drawn = replace(real, images=[half])
    table = tissue_section(real, drawn, ByColour()).tables[0]
    assert table.get("gland", "real tissue") == 1
    assert table.get("gland", "drawn / real") == pytest.approx(12 / 28)
    assert table.get("stroma", "drawn / real") == 1
    assert table.get("gland", "tiles") == 1


def test_what_softer_images_lose_and_how_many_tiles_hold_a_class_are_told() -> None:
    tissue = np.full((8, 8), GLAND, np.uint8)
    tissue[4, 4] = TISSUE_NAMES.index("vessel")
    tiles = [tile(tissue), tile(np.full((8, 8), GLAND, np.uint8))]
    real = ImageSet("real", tiles, [t.image for t in tiles], FakeJudge())
    table = tissue_section(real, real, ByColour()).tables[0]
    assert table.get("gland", "drawn / real") == 1
    assert 0.9 < table.get("gland", "softer / real") < 1
    assert table.get("vessel", "softer / real") == 0
    assert [table.get(name, "tiles") for name in ("gland", "vessel")] == [2, 1]
