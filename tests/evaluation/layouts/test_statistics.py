"""What is measured of layouts, on layouts of known statistics."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.layouts import (
    SETS,
    Field,
    Part,
    compare,
    invented_like,
    measure,
    parts_of,
    write_report,
)
from napari_histodiff.evaluation.layouts.compare import pair_correlation
from napari_histodiff.evaluation.layouts.statistics import EDGES

EPITHELIAL, LYMPHOCYTE, EOSINOPHIL, CONNECTIVE = 2, 3, 5, 6

#: Draws of the bootstrap where no interval is looked at.
DRAWS = 20


@cache
def field(
    seed: int, many: int = 300, side: int = 400, *, spacing: float = 0.0, hole: bool = False
) -> Field:
    """Nuclei of 2 x 2 px at random, no two of them closer than `spacing` um; 0.5 um/px."""
    rng = np.random.default_rng(seed)
    classes, instances = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
    valid = np.ones((side, side), bool)
    if hole:
        valid[: side // 2, : side // 2] = False
    places: list[tuple[int, int]] = []
    for _ in range(20 * many):
        y, x = rng.integers(1, side - 3, 2).tolist()
        if len(places) == many:
            break
        near = spacing > 0 and any((y - a) ** 2 + (x - b) ** 2 < 4 * spacing**2 for a, b in places)
        if near or instances[y : y + 2, x : x + 2].any():
            continue
        places.append((y, x))
        instances[y : y + 2, x : x + 2] = len(places)
        classes[y : y + 2, x : x + 2] = (EPITHELIAL, LYMPHOCYTE, CONNECTIVE)[len(places) % 3]
    tissue = np.full((side, side), 2, np.uint8)
    for array in (classes, instances, tissue, valid):
        array.setflags(write=False)  # tests share them
    return Field(f"f{seed}", f"s{seed}", "colon", 0.5, classes, instances, tissue, valid)


@pytest.mark.parametrize("hole", [False, True])
def test_points_by_chance_have_a_pair_correlation_of_one_also_beside_edges(hole: bool) -> None:
    found = [measure(field(seed, hole=hole)) for seed in range(6)]
    for a, b in ((0, 0), (0, 1), (1, 2)):
        curve = pair_correlation(found, a, b)[2:]
        assert np.abs(curve.mean() - 1) < 0.06
        assert np.abs(curve - 1).max() < 0.35


def test_nuclei_that_keep_apart_have_no_pairs_nearby() -> None:
    found = [measure(field(seed, 200, spacing=9.0)) for seed in range(4)]
    for a, b in ((0, 0), (0, 2)):
        curve = pair_correlation(found, a, b)
        assert curve[EDGES[1:] <= 8].max() == 0
        assert curve[4:8].mean() > 0.8
        assert min(one.nearest[a, b].min() for one in found) >= 8.9


def test_densities_shapes_and_shares_are_of_what_was_looked_at() -> None:
    one = measure(field(1, 300, hole=True))
    assert one.density.sum() == pytest.approx(300 / 0.04, rel=0.15)
    assert one.shares.tolist() == [0, 0, 1, *[0] * 9]
    sizes = np.concatenate(list(one.size.values()))
    assert len(sizes) < 300
    np.testing.assert_allclose(sizes, np.sqrt(4 * 4 / np.pi) * 0.5)


def test_shapes_and_places_are_those_of_scikit_image() -> None:
    plain, rng = field(1, 0), np.random.default_rng(0)
    instances = np.zeros_like(plain.instances)
    for number in range(1, 90):
        y, x = rng.uniform(-4, 404, 2)
        a, b = rng.uniform(0.6, 9, 2)
        instances[ellipse(y, x, a, b, shape=instances.shape, rotation=rng.uniform(0, 3))] = number
    classes = np.where(instances > 0, np.uint8(EPITHELIAL), plain.classes)
    found = measure(replace(plain, instances=instances, classes=classes))
    height, width = instances.shape
    whole = [
        one
        for one in regionprops(instances)
        if min(one.bbox[:2]) > 0 and one.bbox[2] < height and one.bbox[3] < width
    ]
    assert found.count.tolist() == [len(np.unique(instances)) - 1, 0, 0]
    np.testing.assert_allclose(
        found.eccentricity[0], [one.eccentricity for one in whole], atol=1e-6
    )
    np.testing.assert_allclose(
        found.size[0], [one.equivalent_diameter_area * plain.mpp for one in whole]
    )


def test_alike_sets_lie_within_the_floor_and_others_do_not() -> None:
    held_out = [measure(field(seed)) for seed in range(6)]
    others = [measure(field(seed)) for seed in range(10, 20)]
    alike = [measure(field(seed)) for seed in range(30, 36)]
    apart = [measure(field(seed, 200, spacing=11.0)) for seed in range(40, 46)]
    within = [one.within for one in compare(held_out, others, alike, draws=60)]
    assert np.mean(within) > 0.8
    found = {one.name: one for one in compare(held_out, others, apart, draws=60)}
    for name in ("pair correlation epithelial", "nearest connective of inflammatory"):
        assert not found[name].within
        assert found[name].floor[1] <= found[name].floor[0] <= found[name].floor[2]
    with pytest.raises(InvalidRequest, match="two fields or more"):
        compare(held_out[:1], others, alike)


@pytest.mark.parametrize("way", ["like", "caption", "rules"])
def test_an_invented_field_has_the_size_and_window_of_the_real_one(way: str) -> None:
    real = field(3, 60, side=120, hole=True)
    made = invented_like(real, 1, way)
    assert made.classes.shape == real.classes.shape
    np.testing.assert_array_equal(made.valid, real.valid)
    assert made.tissue.all()
    with pytest.raises(InvalidRequest, match="expected one of like"):
        invented_like(real, 1, "guess")


def sets_of(*, eosinophils: int, tells: bool = True) -> dict[str, list[Field]]:
    """Four fields of each set, a few connective nuclei of each turned into eosinophils."""
    sets = {}
    for n, name in enumerate(SETS):
        fields = []
        for seed in range(4):
            one = field(10 * n + seed, 150, side=280)
            ids = np.unique(one.instances[one.classes == CONNECTIVE])[:eosinophils]
            classes = np.where(np.isin(one.instances, ids), EOSINOPHIL, one.classes)
            fields.append(replace(one, classes=classes.astype(np.uint8), tells_classes=tells))
        sets[name] = fields
    return sets


@cache
def kinds_alone() -> Part:
    """What is found in sets that do not tell our classes."""
    kinds, classes = parts_of(sets_of(eosinophils=12, tells=False), DRAWS)
    assert classes is None
    return kinds


def test_classes_are_measured_apart_and_those_with_few_nuclei_left_out_by_name(tmp_path) -> None:
    sets = sets_of(eosinophils=12)
    kinds, classes = parts_of(sets, DRAWS)
    assert classes is not None
    names = [one.name for one in classes.found]
    assert "pair correlation eosinophil" in names
    assert "nearest lymphocyte of eosinophil" in names
    assert not any("plasma" in name or "shares" in name for name in names)
    assert classes.counts["eosinophil"] == (48, 48, 48)
    assert classes.counts["plasma"] == (0, 0, 0)
    assert kinds.counts["inflammatory"][0] > classes.counts["lymphocyte"][0]
    lines = write_report(tmp_path, {"way": "like"}, kinds, classes, [(sets["held-out"][0],) * 2])
    assert any("left out: neutrophil (0 nuclei), plasma (0 nuclei)" in line for line in lines)
    told = json.loads((tmp_path / "layouts.json").read_text("utf-8"))["by class"]
    assert told["nuclei"]["eosinophil"] == dict.fromkeys(SETS, 48)
    assert len(told["statistics"]) == len(names)
    page = (tmp_path / "layouts.html").read_text("utf-8")
    assert "no, fewer than 40" in page
    assert page.count("<img") == 6 + 4 + 1  # pairs of kinds, classes with themselves, the sheet
    few = parts_of(sets_of(eosinophils=9), DRAWS)[1]
    assert few is not None
    assert not any("eosinophil" in one.name for one in few.found)


def test_sets_that_do_not_tell_our_classes_are_measured_in_kinds_alone(tmp_path) -> None:
    kinds = kinds_alone()
    assert len(kinds.found) > 9
    lines = write_report(tmp_path, {}, kinds, None, [(field(0),) * 2])
    assert lines[-1] == "by class: too few fields tell our six classes apart"


def test_shares_are_left_out_where_nobody_told_the_tissue() -> None:
    sets = sets_of(eosinophils=12, tells=False)
    sets["other real"] = [replace(one, tissue=one.tissue * 0) for one in sets["other real"]]
    names = [one.name for one in parts_of(sets, DRAWS)[0].found]
    assert "shares of tissue" not in names
    assert "shares of tissue" in [one.name for one in kinds_alone().found]
