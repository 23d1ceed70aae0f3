"""What is not painted is suggested, by seed; what is painted stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import FIRST_TISSUE_NAMES, TISSUE_NAMES
from napari_histodiff.layout.changes import change_paint
from napari_histodiff.layout.completion import complete_paint, completed_on
from napari_histodiff.layout.fields import key_of
from napari_histodiff.layout.tissues.kinds import cell_by_cell
from tests.core.refusals import refused

BAD_NUMBERS = [
    *(("mpp", bad) for bad in (0, 1e-3, -1, 65, float("nan"), float("inf"), "x", None)),
    *(("seed", bad) for bad in (-1, 1.5, 2**31, "a", None)),
]
GLAND, STROMA, LUMEN, GLASS = 1, 2, 3, 4
EPITHELIAL, CONNECTIVE = 2, 6
CAPTION = "colon, gland"


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.hypot(y, x) < radius


def ring(side: int = 192, radius: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Epithelial nuclei around a gland."""
    classes = np.zeros((side, side), np.uint8)
    instances = np.zeros((side, side), np.int32)
    for number, angle in enumerate(np.arange(0, 2 * np.pi, 13 / radius), start=1):
        y, x = (round(side / 2 + radius * f(angle)) for f in (np.sin, np.cos))
        classes[y - 4 : y + 5, x - 4 : x + 5] = EPITHELIAL
        instances[y - 4 : y + 5, x - 4 : x + 5] = number
    return classes, instances


def test_nuclei_of_fat_stand_on_its_membranes() -> None:
    frame = Region(0, -70, 33, 700, 700)
    fat = np.full(frame.shape, TISSUE_NAMES.index("fat"), np.uint8)
    found = complete_paint(tissue_map=fat, seed=3, origin=(frame.y, frame.x))
    cells = cell_by_cell(fat, frame, 0.5, TISSUE_NAMES) == GLASS
    middles = ndimage.center_of_mass(
        found.instance_map > 0, found.instance_map, np.unique(found.instance_map)[1:]
    )
    assert 10 < len(middles) < 200  # some 380 to the mm^2
    deep = ndimage.distance_transform_edt(cells)
    assert max(deep[round(y), round(x)] for y, x in middles) < 6
    coarse = complete_paint(tissue_map=fat[:300, :300], seed=3, mpp=4.0)  # too coarse for cells
    assert 300 < len(np.unique(coarse.instance_map)) < 700  # 380 to the mm^2, of 1.4 mm^2


@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([0.25, 0.5, 1.0, 2.3]),
    st.tuples(st.integers(-900, 900), st.integers(-900, 900)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_what_is_painted_stays(seed, mpp, origin, shape) -> None:
    rng = np.random.default_rng(seed)
    classes = (rng.integers(0, 7, shape) * (rng.random(shape) < 0.1)).astype(np.uint8)
    instances = (rng.integers(0, 9, shape) * (classes > 0)).astype(np.int32)
    tissue = (rng.integers(0, len(TISSUE_NAMES), shape) * (rng.random(shape) < 0.2)).astype(
        np.uint8
    )
    where = rng.random(shape) < 0.7
    found = complete_paint(
        classes, instances, tissue, seed=seed, mpp=mpp, origin=origin, where=where
    )
    painted = (classes > 0) | (instances > 0)
    np.testing.assert_array_equal(found.class_map[painted], classes[painted])
    np.testing.assert_array_equal(found.instance_map[painted], instances[painted])
    np.testing.assert_array_equal(found.tissue_map[tissue > 0], tissue[tissue > 0])
    assert not found.tissue_suggested[(tissue > 0) | ~where].any()
    assert not found.nuclei_suggested[painted | ~where].any()
    assert (found.tissue_map[where] > 0).all()


def test_a_seed_suggests_the_same_and_another_one_something_else() -> None:
    classes, instances = ring()
    first, again, other = (
        complete_paint(classes, instances, caption=CAPTION, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.tissue_map, again.tissue_map)
    np.testing.assert_array_equal(first.instance_map, again.instance_map)
    assert (first.tissue_map != other.tissue_map).mean() > 0.02
    assert first.suggested


def test_epithelial_nuclei_stand_in_glands() -> None:
    classes, instances = ring()
    for seed in range(3):
        tissue = complete_paint(classes, instances, caption=CAPTION, seed=seed).tissue_map
        under = np.bincount(tissue[classes > 0], minlength=len(TISSUE_NAMES)) / (classes > 0).sum()
        assert under[[LUMEN, GLASS]].sum() == 0
        assert under[GLAND] > 0.7


def test_nuclei_that_fill_a_frame_are_all_there_are() -> None:
    classes, instances = ring()
    found = complete_paint(classes, instances, caption=CAPTION)
    assert found.suggested == ("tissue",)
    np.testing.assert_array_equal(found.class_map, classes)


def test_beside_few_nuclei_others_are_suggested() -> None:
    classes, instances = (np.pad(a, ((0, 500), (0, 500))) for a in ring())
    found = complete_paint(classes, instances, caption=CAPTION)
    assert found.suggested == ("tissue", "nuclei")
    far = np.s_[350:, 350:]
    assert (found.class_map[far] > 0).mean() > 0.03
    new, old = (
        np.unique(a[a > 0]) for a in (found.instance_map * found.nuclei_suggested, instances)
    )
    assert not np.intersect1d(new, old).size


def test_nuclei_are_placed_by_tissue() -> None:
    tissue = np.full((400, 400), STROMA, np.uint8)
    tissue[disc(400, 120)], tissue[disc(400, 60)] = GLAND, LUMEN
    tissue[:60] = GLASS
    found = complete_paint(None, None, tissue, caption="colon")
    np.testing.assert_array_equal(found.tissue_map, tissue)
    assert found.suggested == ("nuclei",)
    counts = {name: np.bincount(found.class_map[tissue == name], minlength=7) for name in range(5)}
    assert counts[GLAND][EPITHELIAL] > 0.9 * counts[GLAND][1:].sum() > 0
    assert counts[STROMA][CONNECTIVE] > 0
    assert counts[STROMA][EPITHELIAL] < 0.05 * counts[GLAND][EPITHELIAL]
    assert counts[GLASS][1:].sum() + counts[LUMEN][1:].sum() < 0.02 * counts[GLAND][1:].sum()
    # A row along the outer border, none in it.
    depth = ndimage.distance_transform_edt(np.isin(tissue, [GLAND, LUMEN])) * 0.5
    row = (found.class_map[(depth > 4) & (depth < 9)] == EPITHELIAL).mean()
    border = (found.class_map[(depth > 0) & (depth < 2)] == EPITHELIAL).mean()
    assert row > 0.4
    assert border < 0.25 * row


def test_a_painted_gland_ends_where_it_was_painted() -> None:
    tissue = np.where(disc(320, 70), GLAND, 0).astype(np.uint8)
    beside = disc(320, 84) & ~disc(320, 74)
    for seed in range(3):
        found = complete_paint(None, None, tissue, caption="colon", seed=seed)
        assert (found.tissue_map[beside] == GLAND).mean() < 0.2


def test_nothing_painted_is_laid_out_from_the_caption() -> None:
    def shares(caption: str) -> np.ndarray:
        found = [complete_paint(shape=(400, 400), caption=caption, seed=s) for s in range(3)]
        assert all(len(np.unique(f.instance_map)) > 40 for f in found)
        return np.mean([[(f.tissue_map == i).mean() for i in range(5)] for f in found], axis=0)

    assert shares("colon, gland, high epithelial cells")[GLAND] > 0.2
    assert shares("brain")[GLAND] == 0


def test_neighbours_that_are_laid_out_fit_together() -> None:
    whole = complete_paint(shape=(128, 256), caption=CAPTION, seed=5, origin=(-64, 10))
    right = complete_paint(shape=(128, 128), caption=CAPTION, seed=5, origin=(-64, 138))
    np.testing.assert_array_equal(whole.tissue_map[:, 128:], right.tissue_map)
    np.testing.assert_array_equal(whole.class_map[:, 128:], right.class_map)
    np.testing.assert_array_equal(whole.instance_map[:, 128:] > 0, right.instance_map > 0)
    assert whole.instance_map.max() < 1000


def test_a_model_of_fewer_tissues_is_told_what_it_knows() -> None:
    tissue = np.zeros((96, 96), np.uint8)
    tissue[:30, :30] = TISSUE_NAMES.index("muscle")
    every = complete_paint(None, None, tissue, seed=1).tissue_map
    few = complete_paint(None, None, tissue, seed=1, tissue_names=FIRST_TISSUE_NAMES).tissue_map
    assert (few[tissue == 0] < len(FIRST_TISSUE_NAMES)).all()
    np.testing.assert_array_equal(few[:30, :30], tissue[:30, :30])
    shared = (every < len(FIRST_TISSUE_NAMES)) & (tissue == 0)
    np.testing.assert_array_equal(few[shared], every[shared])


def test_a_frame_beyond_what_was_learnt_stays_as_it_is() -> None:
    classes = np.ones((40, 40), np.uint8)
    found = complete_paint(classes, mpp=64.0)
    assert found.suggested == ()
    assert not found.tissue_map.any()


def test_a_place_keeps_its_own_maps_beside_what_is_painted() -> None:
    side = 240
    classes, instances = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
    for number, (y, x) in enumerate(np.ndindex(8, 8), start=1):
        place = np.s_[y * 30 + 8 : y * 30 + 18, x * 30 + 8 : x * 30 + 18]
        classes[place], instances[place] = CONNECTIVE, number
    own = (classes, instances, np.full((side, side), STROMA, np.uint8))
    empty = tuple(np.zeros_like(a) for a in own)
    same = completed_on(own, empty, where=None)
    np.testing.assert_array_equal(same.class_map, classes)
    np.testing.assert_array_equal(same.instance_map, instances)
    np.testing.assert_array_equal(same.tissue_map, own[2])
    assert same.suggested == ("tissue", "nuclei")

    gland = np.where(disc(side, 40), GLAND, 0).astype(np.uint8)
    found = completed_on(own, (empty[0], empty[1], gland), where=None, caption="colon")
    assert (found.tissue_map[gland > 0] == GLAND).all()
    assert (found.class_map[disc(side, 36)] == EPITHELIAL).mean() > 0.2
    assert not (found.class_map[disc(side, 30)] == CONNECTIVE).any()
    far = ~disc(side, 108)
    np.testing.assert_array_equal(found.class_map[far], classes[far])
    assert (found.tissue_map[far] == STROMA).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, InvalidRequest, "a map or a shape"),
        ({"class_map": np.ones((4, 4), int), "shape": (5, 5)}, InvalidMap, "one shape"),
        ({"tissue_map": np.full((4, 4), 99)}, InvalidMap, "tissue map"),
        ({"shape": (4, 4), "where": np.ones((3, 3), bool)}, InvalidMap, "mask of shape"),
    ],
)
def test_bad_input_is_refused(arguments, error, words) -> None:
    with pytest.raises(error, match=words):
        complete_paint(**arguments)


@pytest.mark.parametrize("shape", [(0, 5), (5, -1), (5.5, 5), "ab", 7, (4, 4, 4)])
def test_a_frame_without_pixels_is_refused(shape) -> None:
    with refused(InvalidRequest, "a frame"):
        complete_paint(shape=shape)


def test_a_map_without_pixels_is_refused() -> None:
    with refused(InvalidRequest, "0 x 5"):
        complete_paint(np.zeros((0, 5), np.uint8))


@pytest.mark.parametrize(("name", "number"), BAD_NUMBERS)
def test_a_scale_or_seed_out_of_range_is_refused(name, number) -> None:
    nothing = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32), np.zeros((8, 8), np.uint8)
    with refused(InvalidRequest, name):
        complete_paint(shape=(8, 8), **{name: number})
    with refused(InvalidRequest, name):
        completed_on(nothing, nothing, **{name: number})
    with refused(InvalidRequest, name):
        change_paint(*nothing, "necrosis at the top", **{name: number})


def test_numbers_of_numpy_are_those_of_python() -> None:
    classes, instances = ring()
    ours = complete_paint(classes, instances, caption=CAPTION, mpp=0.5, seed=3)
    theirs = complete_paint(
        classes, instances, caption=CAPTION, mpp=np.float32(0.5), seed=np.int64(3)
    )
    np.testing.assert_array_equal(ours.tissue_map, theirs.tissue_map)
    assert key_of(np.int64(5), 1) == key_of(5, 1)


def shifted(found, shift: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A frame moved to the right: what it still shows, and where it is empty."""
    maps = (found.class_map, found.instance_map, found.tissue_map)
    empty = np.zeros(found.tissue_map.shape, bool)
    empty[:, -shift:] = True
    return tuple(np.where(empty, 0, np.roll(a, -shift, axis=1)) for a in maps), empty


@pytest.mark.parametrize(("side", "shift", "seed"), [(256, 64, 1), (256, 128, 1), (384, 96, 2)])
def test_tissue_goes_on_where_a_frame_was_moved_to(side, shift, seed) -> None:
    paint, empty = shifted(complete_paint(shape=(side, side), caption=CAPTION, seed=seed), shift)
    found = complete_paint(*paint, caption=CAPTION, seed=seed + 5, origin=(0, shift), where=empty)
    new, old = (
        (found.class_map[part] > 0).sum() / np.isin(found.tissue_map[part], [GLAND, STROMA]).sum()
        for part in (empty, ~empty)
    )
    assert new > 0.6 * old
    assert (found.tissue_map[empty] == GLASS).mean() < 0.02
    # From the seam on, not only farther away.
    beside = np.s_[:, side - shift + 4 : side - shift + 24]
    cells = np.isin(found.tissue_map[beside], [GLAND, STROMA])
    assert (found.class_map[beside] > 0)[cells].mean() > 0.15 * old
    for mine, painted in zip((found.class_map, found.tissue_map), paint[::2], strict=True):
        np.testing.assert_array_equal(mine[~empty], painted[~empty])


def test_a_gland_that_a_frame_cut_goes_on() -> None:
    gland = np.zeros((256, 256), np.uint8)
    gland[:, :128], gland[90:170, :128] = STROMA, GLAND
    empty = np.zeros(gland.shape, bool)
    empty[:, 128:] = True
    beside = np.s_[100:160, 132:140]
    share = [
        (complete_paint(None, None, gland, caption=CAPTION, seed=s, where=w).tissue_map[beside])
        for s in range(3)
        for w in (empty, None)
    ]
    cut, painted = ((np.array(share[start::2]) == GLAND).mean() for start in (0, 1))
    assert cut > 0.5
    assert painted < 0.1


def hole(found) -> tuple[list[np.ndarray], np.ndarray]:
    """A frame without the nuclei that lie in a part of it, and the part."""
    mask = np.zeros(found.tissue_map.shape, bool)
    mask[70:190, 70:190] = True
    gone = np.isin(found.instance_map, np.unique(found.instance_map[mask]))
    return [np.where(gone, 0, a) for a in (found.class_map, found.instance_map)], mask


def test_what_was_erased_under_a_mask_is_suggested_anew() -> None:
    whole = complete_paint(shape=(256, 256), caption=CAPTION, seed=1)
    nuclei, mask = hole(whole)
    tissue = np.where(mask, 0, whole.tissue_map)
    found = complete_paint(*nuclei, tissue, caption=CAPTION, seed=1, where=mask)
    assert len(np.unique(found.instance_map[mask])) > 12
    assert not found.nuclei_suggested[~mask].any()
    # Tissue that was left there says that its nuclei are meant to be gone.
    kept = complete_paint(*nuclei, whole.tissue_map, caption=CAPTION, seed=1, where=mask)
    assert kept.suggested == ()


@pytest.mark.parametrize("turns", range(4))
def test_a_nucleus_that_the_border_cuts_stays_erased_too(turns: int) -> None:
    whole = complete_paint(shape=(256, 256), caption=CAPTION, seed=1)
    maps = [np.rot90(a, turns) for a in (whole.class_map, whole.instance_map, whole.tissue_map)]
    inner = np.unique(maps[1][0, 40:-40])
    back = []
    for number in inner[inner > 0][:6]:
        gone = maps[1] == number
        nuclei = [np.where(gone, 0, a) for a in maps[:2]]
        mask = ndimage.binary_dilation(gone, iterations=9)
        found = complete_paint(*nuclei, maps[2], caption=CAPTION, seed=2, where=mask)
        back.append("nuclei" in found.suggested)
    assert back
    assert not any(back)


def test_nuclei_painted_in_a_new_part_are_all_there_are_in_it() -> None:
    paint, empty = shifted(complete_paint(shape=(256, 256), caption=CAPTION, seed=1), 128)
    classes, instances, tissue = paint
    for number, (y, x) in enumerate(np.ndindex(3, 2), start=5000):
        place = np.s_[y * 80 + 40 : y * 80 + 50, 150 + x * 60 : 160 + x * 60]
        classes[place], instances[place] = CONNECTIVE, number
    found = complete_paint(classes, instances, tissue, caption=CAPTION, where=empty)
    assert found.suggested == ("tissue",)


def test_tissue_painted_on_into_a_new_part_has_nuclei_there() -> None:
    paint, empty = shifted(complete_paint(shape=(256, 256), caption=CAPTION, seed=1), 128)
    tissue = np.where(empty, STROMA, paint[2]).astype(np.uint8)
    found = complete_paint(*paint[:2], tissue, caption=CAPTION, where=empty)
    assert found.suggested == ("nuclei",)
    assert len(np.unique(found.instance_map[empty])) > 20


def test_beside_tissue_that_covers_most_of_a_frame_there_are_nuclei_too() -> None:
    tissue = np.zeros((256, 256), np.uint8)
    tissue[:, :155] = STROMA
    found = complete_paint(None, None, tissue, caption=CAPTION, seed=1)
    assert len(np.unique(found.instance_map[:, 155:])) > 20
    assert (found.tissue_map[:, 155:] == GLASS).mean() < 0.1


@pytest.mark.parametrize(("side", "mpp"), [(1088, 2.0), (256, 8.0), (64, 64.0)])
def test_a_gland_on_a_frame_too_large_to_be_sampled_has_nuclei_and_no_moat(side, mpp) -> None:
    tissue = np.zeros((side, side), np.uint8)
    middle = slice(side // 4, side // 2)
    tissue[middle, middle] = GLAND
    found = complete_paint(None, None, tissue, caption=CAPTION, seed=1, mpp=mpp)
    assert found.tissue_map.all()
    assert (found.class_map[tissue > 0] == EPITHELIAL).mean() > 0.15
    moat = ndimage.binary_dilation(tissue > 0, iterations=max(2, round(24 / mpp))) & (tissue == 0)
    beyond = (tissue == 0) & ~moat
    assert (found.class_map[moat] > 0).mean() > 0.3 * (found.class_map[beyond] > 0).mean()
    # What lies beyond is what an empty frame would have.
    empty = complete_paint(shape=tissue.shape, caption=CAPTION, seed=1, mpp=mpp)
    np.testing.assert_array_equal(found.tissue_map[beyond], empty.tissue_map[beyond])
