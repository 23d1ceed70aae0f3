from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import FIRST_TISSUE_NAMES, TISSUE_NAMES
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.tissues.kinds import (
    FAT,
    GLAND,
    GLASS,
    LUMEN,
    MUCUS,
    SEPTUM,
    STROMA,
    cell_by_cell,
    known_to,
    scaffold,
    to_draw,
)
from tests.layout.slides import recipe

PARTS = np.arange(SEPTUM + 1, dtype=np.uint8)[None]


def test_a_model_is_told_what_it_knows() -> None:
    assert known_to(PARTS, TISSUE_NAMES)[0].tolist() == [*range(len(TISSUE_NAMES)), FAT]
    first = known_to(PARTS, FIRST_TISSUE_NAMES)[0]
    assert first[[GLAND, MUCUS]].tolist() == [GLAND, GLAND]
    assert first[[FAT, SEPTUM]].tolist() == [LUMEN, STROMA]
    np.testing.assert_array_equal(scaffold(PARTS)[0], first)
    drawn = to_draw(PARTS, TISSUE_NAMES)[0]
    assert drawn[[FAT, SEPTUM]].tolist() == [LUMEN, STROMA]
    assert np.delete(drawn, [FAT, SEPTUM]).tolist() == np.delete(PARTS[0], [FAT, SEPTUM]).tolist()
    assert known_to(PARTS, ("unspecified", "fat"))[0, [GLAND, FAT, SEPTUM]].tolist() == [
        0,
        FAT,
        FAT,
    ]


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_painted_fat_is_told_cell_by_cell(mpp: float) -> None:
    region = Region(0, -130, 77, 400, 500)
    painted = np.full(region.shape, FAT, np.uint8)
    painted[:40], painted[:, -50:] = GLAND, MUCUS
    told = cell_by_cell(painted, region, mpp, TISSUE_NAMES)
    fat = painted == FAT
    np.testing.assert_array_equal(told[~fat], painted[~fat])
    assert set(np.unique(told[fat])) == {GLASS, STROMA}
    assert 0.03 < (told[fat] == STROMA).mean() < 0.45
    part = Region(0, 10, 200, 90, 111)
    inside = part.relative_to(region).slices
    again = cell_by_cell(painted[inside], part, mpp, TISSUE_NAMES)
    np.testing.assert_array_equal(again, told[inside])


@pytest.mark.parametrize(
    ("number", "mpp", "names"),
    [
        (GLAND, 0.5, TISSUE_NAMES),
        (1, 0.5, ("unspecified", "fat", "stroma")),
        (FAT, 4.0, TISSUE_NAMES),  # its cells are dots
        (FAT, 64.0, TISSUE_NAMES),
    ],
)
def test_what_has_no_cells_to_show_is_told_as_it_is(number: int, mpp: float, names) -> None:
    region = Region(0, 0, 0, 300, 400)
    painted = np.full(region.shape, number, np.uint8)
    assert cell_by_cell(painted, region, mpp, names) is painted


@pytest.mark.parametrize("caption", ["colon", "breast", "skin"])
def test_a_slide_of_before_all_tissues_keeps_the_first_ones(caption: str) -> None:
    new = recipe(caption, side=8192)
    old = recipe(caption, side=8192, tissue_names=FIRST_TISSUE_NAMES)
    region = Region(3, 0, 0, 1024, 1024)
    shown, kept = SlideLayout(new).tissue(region), SlideLayout(old).tissue(region)
    assert set(np.unique(kept)) == {GLAND, STROMA, LUMEN, GLASS}
    assert len(np.unique(shown)) > 6
    same = np.isin(shown, (GLAND, STROMA, LUMEN, GLASS))
    np.testing.assert_array_equal(shown[same], kept[same])
