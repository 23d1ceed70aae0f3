"""Changes of the paint: what is asked for is there, what is not asked for stays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.layout.changes import change_paint
from napari_histodiff.layout.changes.nuclei import NucleiEdit
from napari_histodiff.layout.changes.places import border_length
from tests.core.refusals import refused
from tests.layout.changes.painted import (
    BEFORE,
    CLASSES,
    CONNECTIVE,
    EPITHELIAL,
    ID,
    INSTANCES,
    LYMPHOCYTE,
    TISSUE,
    changed,
    count,
)


def test_a_gland_that_shrinks_keeps_epithelium_around_its_lumen() -> None:
    done = changed("shrink the gland by 12 um")
    assert (done.tissue_map == ID["gland"]).sum() < 0.8 * (ID["gland"] == TISSUE).sum()
    lumen = done.tissue_map == ID["lumen"]
    beside = np.zeros_like(lumen)
    beside[1:], beside[:-1] = lumen[:-1], lumen[1:] | beside[:-1]
    assert set(np.unique(done.tissue_map[beside & ~lumen])) <= {ID["gland"]}
    lost = (ID["gland"] == TISSUE) & (done.tissue_map == ID["stroma"])
    assert lost.any()


def test_more_lymphocytes_come_to_the_border_only_and_the_rest_stays() -> None:
    done = changed("30 lymphocytes at the border of the gland")
    assert count(done, LYMPHOCYTE) == count(BEFORE, LYMPHOCYTE) + 30
    assert done.said[0].startswith("added 30 lymphocytes along 0.2 mm of the border of the gland")
    y, x = np.mgrid[:256, :256]
    fresh = (done.class_map == LYMPHOCYTE) & (CLASSES != LYMPHOCYTE)
    away = np.hypot(y - 128, x - 110)[fresh] - 60
    assert away.min() > -12
    assert away.max() < 60 + 12
    np.testing.assert_array_equal(done.tissue_map, TISSUE)
    kept = CLASSES > 0
    np.testing.assert_array_equal(done.class_map[kept], CLASSES[kept])


def test_nuclei_never_overlap_and_each_is_of_one_class() -> None:
    done = changed("many more lymphocytes in the stroma")
    ids, where = np.unique(done.instance_map, return_inverse=True)
    for at in range(1, len(ids)):
        assert len(np.unique(done.class_map.ravel()[where.ravel() == at])) == 1
    assert (done.class_map > 0).sum() == (done.instance_map > 0).sum()


def test_what_finds_no_room_is_said() -> None:
    done = changed("5000 lymphocytes in the stroma")
    assert "more found no room" in done.said[0]


def test_no_more_nuclei_are_tried_than_there_can_be_room_for() -> None:
    class Counted(np.random.Generator):
        looked = 0

        def integers(self, *args, **more):
            self.looked += 1
            return super().integers(*args, **more)

    def tried(many: int, zone: np.ndarray) -> int:
        empty, rng = np.zeros(zone.shape, np.uint8), Counted(np.random.PCG64(1))
        edit = NucleiEdit(empty, empty.astype(np.int32), 0.5, rng)
        added = edit.add(LYMPHOCYTE, many, zone, np.full(zone.shape, ID["stroma"], np.uint8))
        assert added > 0
        return rng.looked

    zone = np.ones((64, 64), bool)
    assert tried(50_000, zone) < 50  # 1,024 um^2
    assert tried(20, zone) == 20
    line = np.arange(64)[:, None] == np.full(64, 30)  # one pixel wide
    assert tried(8, line) == 8


def test_here_is_the_mask() -> None:
    here = np.zeros(TISSUE.shape, bool)
    here[150:230, 150:240] = True
    done = changed("necrosis here", where=here)
    assert (done.tissue_map[here] == ID["necrosis"]).all()
    np.testing.assert_array_equal(done.tissue_map[~here], TISSUE[~here])
    everywhere = changed("necrosis here")
    assert (everywhere.tissue_map == ID["necrosis"]).all()


def test_an_empty_mask_is_nowhere_and_not_everywhere() -> None:
    empty = np.zeros(TISSUE.shape, bool)
    with refused(InvalidRequest, '"here"', "an empty one"):
        changed("necrosis here", where=empty)
    assert changed("grow the gland by 5 um", where=empty).said


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_side_is_a_third_of_the_frame(side: str) -> None:
    done = changed(f"muscle at the {side}")
    muscle = done.tissue_map == ID["muscle"]
    assert muscle.mean() == pytest.approx(1 / 3, abs=0.06)
    edge = {"top": muscle[0], "bottom": muscle[-1], "left": muscle[:, 0], "right": muscle[:, -1]}
    assert edge[side].all()


def test_fewer_and_none() -> None:
    some = changed("fewer lymphocytes")
    assert count(some, LYMPHOCYTE) == pytest.approx(count(BEFORE, LYMPHOCYTE) / 2, abs=1)
    none = changed("remove the lymphocytes")
    assert count(none, LYMPHOCYTE) == 0
    assert count(none, CONNECTIVE) == count(BEFORE, CONNECTIVE)


def test_tissue_that_is_removed_becomes_what_lies_around() -> None:
    done = changed("remove the gland")
    assert set(np.unique(done.tissue_map)) == {ID["stroma"]}
    assert count(done, EPITHELIAL) == 0
    assert count(done, CONNECTIVE) > count(BEFORE, CONNECTIVE)


def test_nuclei_and_tissue_are_turned_into_others() -> None:
    done = changed("turn half of the connective cells into lymphocytes")
    gained = count(done, LYMPHOCYTE) - count(BEFORE, LYMPHOCYTE)
    assert gained == pytest.approx(count(BEFORE, CONNECTIVE) / 2, abs=1)
    assert (done.instance_map == INSTANCES).all()
    muscle = changed("replace the stroma with muscle").tissue_map
    np.testing.assert_array_equal(muscle == ID["muscle"], ID["stroma"] == TISSUE)


def test_seeds_differ_and_one_is_the_same_again() -> None:
    text = "20 lymphocytes at the border of the gland"
    first, again, other = (changed(text, seed=seed).class_map for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_maps_are_not_written_to_and_one_of_them_is_enough() -> None:
    before = CLASSES.copy(), INSTANCES.copy(), TISSUE.copy()
    changed("grow the gland, then more lymphocytes at its border, then necrosis at the left")
    for array, copy in zip((CLASSES, INSTANCES, TISSUE), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    alone = change_paint(None, None, TISSUE, "grow the gland")
    assert (alone.tissue_map == ID["gland"]).sum() > (ID["gland"] == TISSUE).sum()
    nuclei = change_paint(CLASSES, None, None, "remove the lymphocytes")
    assert not (nuclei.class_map == LYMPHOCYTE).any()
    assert (nuclei.class_map == CONNECTIVE).sum() == (CLASSES == CONNECTIVE).sum()


def test_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(InvalidRequest, match="expected fat in the frame, got gland, stroma, lumen"):
        changed("grow the fat")
    with pytest.raises(InvalidRequest, match="expected nuclei to take away"):
        changed("remove the eosinophils")
    with pytest.raises(InvalidRequest, match="expected muscle in the frame"):
        changed("more lymphocytes in the muscle")
    with pytest.raises(InvalidMap, match="maps of one shape"):
        change_paint(CLASSES, None, TISSUE[:100], "grow the gland")
    with pytest.raises(InvalidMap, match="maps of one shape"):
        change_paint(None, None, None, "grow the gland", where=TISSUE > 0)


def test_the_border_of_a_disc_is_about_its_circumference() -> None:
    y, x = np.mgrid[:200, :200]
    disc = np.hypot(y - 100, x - 100) < 80
    assert border_length(disc, 0.5) == pytest.approx(2 * np.pi * 80 * 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("remove 0 lymphocytes", "removed 0 lymphocytes of "),
        ("remove 0 % of the lymphocytes", "removed 0 lymphocytes of "),
        ("fewer lymphocytes by 0 %", "removed 0 lymphocytes of "),
        ("turn 0 lymphocytes into plasma cells", "turned 0 lymphocytes of "),
        ("turn 0 % of the lymphocytes into plasma cells", "turned 0 lymphocytes of "),
        ("more lymphocytes by 0 %", "added 0 lymphocytes"),
        ("fewer glands by 0 %", "removed 0 of 1 areas of gland"),
        ("fewer 0 glands", "removed 0 of 1 areas of gland"),
        ("remove 0 glands", "removed 0 of 1 areas of gland"),
        ("turn 0 % of the stroma into muscle", "turned 0 of 1 areas of stroma into muscle"),
        ("grow the gland by 0 um", "grew the gland by 0 µm"),
        ("grow the gland by 0 %", "grew the gland by 0% of its size"),
        ("shrink the gland by 0 um", "shrank the gland by 0 µm"),
        ("shrink the gland by 0 %", "shrank the gland by 0% of its size"),
    ],
)
def test_none_is_none_and_is_said(text: str, said: str) -> None:
    done = changed(text)
    assert done.said[0].startswith(said)
    np.testing.assert_array_equal(done.class_map, CLASSES)
    np.testing.assert_array_equal(done.tissue_map, TISSUE)


@pytest.mark.parametrize("wanted", [1, 4])
def test_of_a_group_as_many_are_added_as_were_said(wanted: int) -> None:
    empty = np.zeros_like(CLASSES)
    done = change_paint(empty, None, TISSUE, f"add {wanted} immune cells", mpp=0.5)
    assert len(np.unique(done.instance_map)) - 1 == wanted


def glands(many: int) -> np.ndarray:
    """Glands side by side in stroma, and a splinter of one."""
    y, x = np.mgrid[:128, : 96 * many]
    away = np.hypot(y - 64, x % 96 - 48)
    tissue = np.full(away.shape, ID["stroma"], np.uint8)
    tissue[away < 24] = ID["gland"]
    tissue[away < 8] = ID["lumen"]
    tissue[2:5, 2:5] = ID["gland"]
    return tissue


def left(tissue: np.ndarray, name: str = "gland") -> int:
    return ndimage.label(tissue == ID[name])[1]


@pytest.mark.parametrize(
    ("amount", "taken"),
    [("2", 2), ("half of the", 2), ("80 % of the", 4), ("a third of the", 1), ("9", 5), ("1", 1)],
)
@pytest.mark.parametrize("verb", ["remove", "turn"])
def test_of_glands_as_many_go_as_were_said_and_never_more(
    amount: str, taken: int, verb: str
) -> None:
    before, into = glands(5), " into muscle" if verb == "turn" else ""
    done, again, *others = (
        change_paint(None, None, before, f"{verb} {amount} glands{into}", seed=seed)
        for seed in (1, 1, 2, 3, 4, 5)
    )
    assert left(done.tissue_map) == left(before) - taken
    assert f"ed {taken} of 5 areas of gland" in done.said[0]
    np.testing.assert_array_equal(done.tissue_map, again.tissue_map)
    if taken < 5:
        assert any((done.tissue_map != other.tissue_map).any() for other in others)


def test_fewer_glands_are_every_second_one() -> None:
    done = change_paint(None, None, glands(5), "fewer glands")
    assert "removed 2 of 5 areas of gland" in done.said[0]


@pytest.mark.parametrize(
    "text",
    [
        "remove half of the stroma",
        "turn half of the stroma into muscle",
        "fewer stroma",
        "remove 10 % of the glands",
        "grow half of the stroma by 5 um",
    ],
)
def test_a_share_that_would_be_all_or_none_is_refused(text: str) -> None:
    with refused(InvalidRequest, "enough areas of", "or where, as"):
        change_paint(None, None, glands(5), text)


@pytest.mark.parametrize("seed", range(6))
def test_a_share_of_areas_is_none_that_holds_nearly_all(seed: int) -> None:
    tissue = np.full((128, 128), ID["stroma"], np.uint8)
    tissue[:, 40:44], tissue[:, 56:60] = ID["fat"], ID["fat"]
    done = change_paint(None, None, tissue, "remove half of the stroma", seed=seed)
    assert (done.tissue_map[:, 60:] == ID["stroma"]).all()
    assert "1 of 3 areas of stroma" in done.said[0]


@pytest.mark.parametrize(("verb", "way"), [("grow", 1), ("shrink", -1)])
def test_as_many_glands_grow_and_shrink_as_were_said(verb: str, way: int) -> None:
    before = glands(5)
    done = change_paint(None, None, before, f"{verb} 2 glands by 4 um")
    there, now = (
        (tissue != ID["stroma"]).reshape(128, 5, 96).sum((0, 2))
        for tissue in (before, done.tissue_map)
    )
    assert sorted(np.sign(now - there) * way) == [0, 0, 0, 1, 1]
    assert "2 of 5 areas of gland by 4 µm" in done.said[0]


def test_many_fewer_are_not_all() -> None:
    before = count(BEFORE, LYMPHOCYTE)
    gone = [before - count(changed(text), LYMPHOCYTE) for text in
            ("slightly fewer lymphocytes", "fewer lymphocytes", "many fewer lymphocytes",
             "remove all lymphocytes")]  # fmt: skip
    assert gone == sorted(set(gone))
    assert gone[-1] == before
