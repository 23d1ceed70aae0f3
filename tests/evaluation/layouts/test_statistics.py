"""What is measured of layouts, on layouts of known statistics."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.layouts import Field, compare, invented_like, measure
from napari_histodiff.evaluation.layouts.compare import pair_correlation
from napari_histodiff.evaluation.layouts.statistics import EDGES

EPITHELIAL, LYMPHOCYTE, CONNECTIVE = 2, 3, 6


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
        near = spacing > 0 and any((y - a) ** 2 + (x - b) ** 2 < 4 * spacing**2 for a, b in places)
        if near or instances[y : y + 2, x : x + 2].any() or len(places) == many:
            continue
        places.append((y, x))
        instances[y : y + 2, x : x + 2] = len(places)
        classes[y : y + 2, x : x + 2] = (EPITHELIAL, LYMPHOCYTE, CONNECTIVE)[len(places) % 3]
    tissue = np.full((side, side), 2, np.uint8)
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
