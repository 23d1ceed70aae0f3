"""Borders of tissue that grows and shrinks: how far they move, and the nuclei along them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_histodiff.layout.changes import change_paint
from tests.layout.changes.painted import (
    CLASSES,
    EPITHELIAL,
    ID,
    INSTANCES,
    LYMPHOCYTE,
    TISSUE,
    changed,
    count,
)


@pytest.mark.parametrize("seed", range(4))
def test_a_border_that_moves_a_little_swings_no_farther(seed: int) -> None:
    for text in ("grow the gland by 1 um", "shrink the gland by 1 um"):
        done = changed(text, seed=seed)
        where = np.argwhere((done.tissue_map == ID["gland"]) != (ID["gland"] == TISSUE))
        away = np.abs(np.hypot(where[:, 0] - 128, where[:, 1] - 110) - 60)
        assert 0 < away.max() * 0.5 <= 2.5  # within a pixel


def test_how_far_a_border_moved_is_said_with_its_decimals() -> None:
    assert "grew the gland by 2.5 \u00b5m" in changed("grow the gland by 2.5 um").said[0]


def test_a_share_of_size_is_of_as_many_areas_as_were_said() -> None:
    tissue = np.full((256, 256), ID["stroma"], np.uint8)
    for y, x in ((40, 40), (40, 200), (200, 120)):
        tissue[y - 25 : y + 25, x - 25 : x + 25] = ID["gland"]
    two, one = (
        change_paint(None, None, tissue, text, mpp=0.5)
        for text in ("grow 2 glands by 20 %", "grow a gland by half")
    )
    assert "2 of 3 areas of gland by 20% of its size" in two.said[0]
    assert (two.tissue_map == ID["gland"]).sum() == pytest.approx(3.4 * 2500, rel=0.01)
    assert (one.tissue_map == ID["gland"]).sum() == pytest.approx(3.5 * 2500, rel=0.01)


def depths(tissue: np.ndarray, classes: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Um that epithelial nuclei lie below the border of their gland."""
    ids = np.unique(instances[classes == EPITHELIAL])
    at = np.rint(ndimage.center_of_mass(instances > 0, instances, ids)).astype(int)
    return 0.5 * ndimage.distance_transform_edt(tissue != ID["stroma"])[at[:, 0], at[:, 1]]


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("grow the gland by 20 um", (0.1, 0.5, 0.9)),
        ("shrink the gland by 3 um", (0.1, 0.5)),  # those beside the lumen lose their room
    ],
)
def test_the_rows_of_a_gland_go_along_with_its_border(text: str, shares: tuple[float, ...]) -> None:
    classes, instances = CLASSES.copy(), INSTANCES.copy()
    inside, beside = np.s_[75:81, 107:113], np.s_[5:11, 240:246]  # of a gland, and far from it
    for number, place in enumerate((inside, beside), start=int(instances.max()) + 1):
        taken = np.isin(instances, instances[place])
        taken &= instances > 0
        classes[taken], instances[taken] = 0, 0
        classes[place], instances[place] = LYMPHOCYTE, number
    done = change_paint(classes, instances, TISSUE, text, mpp=0.5, caption="colon")
    before = depths(TISSUE, classes, instances)
    after = depths(done.tissue_map, done.class_map, done.instance_map)
    for share in shares:
        assert np.quantile(after, share) == pytest.approx(np.quantile(before, share), abs=2.5)
    border = [(tissue != ID["stroma"]).sum() ** 0.5 for tissue in (TISSUE, done.tissue_map)]
    assert len(after) / len(before) == pytest.approx(border[1] / border[0], rel=0.25)
    for place in (inside, beside):
        assert (done.class_map[place] == LYMPHOCYTE).all()
    far = ndimage.distance_transform_edt(ID["stroma"] == TISSUE) > 80
    np.testing.assert_array_equal(done.instance_map[far], instances[far])
    touched = np.unique(done.instance_map[done.class_map == EPITHELIAL])
    assert set(np.unique(done.class_map[np.isin(done.instance_map, touched)])) == {EPITHELIAL}


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("grow the gland by 50 %", 1.5),
        ("shrink the gland by half", 0.5),
        ("shrink the gland by 10 %", 0.9),
        ("twice the gland", 2.0),
    ],
)
def test_a_share_of_the_size_is_that_share(text: str, factor: float) -> None:
    before, after = (
        np.isin(tissue, (ID["gland"], ID["lumen"])).sum()
        for tissue in (TISSUE, changed(text).tissue_map)
    )
    assert after / before == pytest.approx(factor, abs=0.01)
    assert f"{abs(factor - 1):.0%} of its size" in changed(text).said[0]


def test_a_gland_grows_by_so_many_micrometres_with_its_nuclei() -> None:
    done = changed("grow the tumour by 15 um")
    before, after = ((a == ID["gland"]).sum() for a in (TISSUE, done.tissue_map))
    radius = np.sqrt((after + np.pi * 25**2) / np.pi) - 60
    assert radius * 0.5 == pytest.approx(15, abs=4)
    assert (done.tissue_map == ID["lumen"]).sum() == (ID["lumen"] == TISSUE).sum()
    new = (done.tissue_map == ID["gland"]) & (ID["stroma"] == TISSUE)
    assert count(done, EPITHELIAL, new) > 3
    assert after > before
    assert "grew the gland by 15 µm" in done.said[0]
