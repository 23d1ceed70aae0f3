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
