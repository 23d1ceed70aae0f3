from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.evaluation.metrics.instances import (
    MATCH_RADIUS,
    ClassedPair,
    aggregated_jaccard,
    binary_dice,
    class_scores,
    count_r2,
    match_centroids,
    only_class,
    panoptic_quality,
    pooled_quality,
)

Ints = NDArray[np.int32]


def boxes(*spans: tuple[int, int, int], width: int = 40) -> Ints:
    """One row of height 1: (id, start, stop) each."""
    labels = np.zeros((1, width), np.int32)
    for ident, start, stop in spans:
        labels[0, start:stop] = ident
    return labels


EMPTY = boxes()


def test_dice_by_hand() -> None:
    true, pred = boxes((1, 0, 4)) > 0, boxes((1, 2, 8)) > 0
    assert binary_dice(true, pred) == pytest.approx(2 * 2 / (4 + 6))
    assert binary_dice(true, true) == 1
    assert binary_dice(true, ~true) == 0
    assert math.isnan(binary_dice(EMPTY > 0, EMPTY > 0))


def test_aggregated_jaccard_by_hand() -> None:
    true = boxes((1, 0, 10), (2, 20, 30))
    pred = boxes((7, 0, 8), (9, 35, 40))
    # nucleus 1: 8 common, 10 joined; nucleus 2: nothing found, 10; prediction 9 unused, 5
    assert aggregated_jaccard(true, pred) == pytest.approx(8 / (10 + 10 + 5))
    assert aggregated_jaccard(true, true) == 1
    assert aggregated_jaccard(true, EMPTY) == 0
    assert aggregated_jaccard(EMPTY, true) == 0
    assert math.isnan(aggregated_jaccard(EMPTY, EMPTY))


def test_one_prediction_over_two_nuclei_counts_for_both() -> None:
    true = boxes((1, 0, 6), (2, 6, 10))
    pred = boxes((1, 0, 10))
    assert aggregated_jaccard(true, pred) == pytest.approx((6 + 4) / (10 + 10))


def test_best_prediction_is_by_iou_not_by_common_area() -> None:
    true = boxes((1, 0, 10))
    pred = boxes((1, 0, 4), (2, 4, 40))  # IoU 4/10 against 6/40
    assert aggregated_jaccard(true, pred) == pytest.approx(4 / (10 + 36))


def test_panoptic_quality_by_hand() -> None:
    true = boxes((1, 0, 10), (2, 20, 30))
    pred = boxes((3, 0, 8), (5, 25, 35))  # IoU 0.8 and 5/15
    quality = panoptic_quality(true, pred)
    assert (quality.tp, quality.fp, quality.fn) == (1, 1, 1)
    assert quality.iou_sum == pytest.approx(0.8)
    assert quality.sq == pytest.approx(0.8)
    assert quality.rq == pytest.approx(1 / 2)
    assert quality.pq == pytest.approx(0.4)


def test_an_iou_of_one_half_is_no_match() -> None:
    assert panoptic_quality(boxes((1, 0, 10)), boxes((1, 0, 5))).tp == 0
    assert panoptic_quality(boxes((1, 0, 10)), boxes((1, 0, 6))).tp == 1


def test_panoptic_quality_of_empty_images() -> None:
    assert math.isnan(panoptic_quality(EMPTY, EMPTY).pq)
    spurious = panoptic_quality(EMPTY, boxes((1, 0, 4)))
    assert (spurious.pq, spurious.sq, spurious.rq, spurious.fp) == (0, 0, 0, 1)


def test_pooling_sums_counts_before_dividing() -> None:
    one = panoptic_quality(boxes((1, 0, 10)), boxes((1, 0, 8)))  # 0.8, one match
    two = panoptic_quality(boxes((1, 0, 5), (2, 6, 9)), EMPTY)  # two missed
    pooled = pooled_quality([one, two, panoptic_quality(EMPTY, EMPTY)])
    assert (pooled.tp, pooled.fp, pooled.fn) == (1, 0, 2)
    assert pooled.pq == pytest.approx(0.8 / 2)
    assert math.isnan(pooled_quality([]).pq)


def test_ids_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, (20, 20))
    pred = np.where(rng.random((20, 20)) < 0.9, true, 0)
    for names in ([0, 900, 3, 70, 11], [0, 5, 2**40, 7, 2**50]):
        renamed = np.array(names)[pred]
        assert panoptic_quality(true, renamed) == panoptic_quality(true, pred)
        assert aggregated_jaccard(true, renamed) == aggregated_jaccard(true, pred)
    full = true + 1  # no background at all
    assert panoptic_quality(full, full * 2**40).tp == 5


def test_shapes_and_types_are_checked() -> None:
    with pytest.raises(InvalidMap, match="one \\(h, w\\) shape"):
        panoptic_quality(EMPTY, EMPTY[:, :10])
    with pytest.raises(InvalidMap, match="integer ids"):
        aggregated_jaccard(EMPTY, EMPTY.astype(float))
    with pytest.raises(InvalidMap, match="from 0"):
        aggregated_jaccard(EMPTY, EMPTY - 1)
    with pytest.raises(InvalidMap, match="one shape"):
        binary_dice(EMPTY > 0, EMPTY[:, :10] > 0)


def test_only_class_keeps_whole_objects_by_majority() -> None:
    labels, classes = boxes((4, 0, 5), (9, 10, 14)), boxes((2, 0, 3), (1, 3, 5), (1, 10, 14))
    np.testing.assert_array_equal(only_class(labels, classes, 2), boxes((4, 0, 5)))
    np.testing.assert_array_equal(only_class(labels, classes, 1), boxes((9, 10, 14)))


def test_matching_minimises_the_total_distance() -> None:
    true = np.array([[0.0, 0.0], [0.0, 10.0]])
    pred = np.array([[0.0, 9.0], [0.0, -11.0], [0.0, 100.0]])
    rows, columns = match_centroids(true, pred)
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]
    rows, columns = match_centroids(true, pred, radius=5)
    assert list(zip(rows, columns, strict=True)) == [(1, 0)]


def test_distant_pairs_take_no_match_from_near_ones() -> None:
    true = np.array([[0.0, 0.0], [0.0, 11.0]])
    pred = np.array([[0.0, 11.0], [6.0, 20.0]])
    # 11 and 10.8 apart; or 0 and 20.9, which is less in total, but one of them is out of reach
    rows, columns = match_centroids(true, pred)
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]
    rows, columns = match_centroids(true, pred, gated=False)
    assert list(zip(rows, columns, strict=True)) == [(1, 0)]


@pytest.mark.parametrize("seed", range(5))
def test_gating_finds_as_many_matches_as_there_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, pred = rng.uniform(0, 120, (60, 2)), rng.uniform(0, 120, (75, 2))
    near = np.linalg.norm(true[:, None] - pred[None], axis=-1) <= MATCH_RADIUS
    rows, columns = match_centroids(true, pred)
    assert near[rows, columns].all()
    assert len(set(rows)) == len(set(columns)) == len(rows)
    most = maximum_bipartite_matching(csr_array(near), perm_type="column")
    assert len(rows) == (most >= 0).sum()
    assert len(rows) >= len(match_centroids(true, pred, gated=False)[0])


def test_centroids_at_the_same_place_match_at_radius_zero() -> None:
    points = np.array([[3.0, 4.0], [9.0, 1.0]])
    rows, columns = match_centroids(points, points[::-1], radius=0)
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]
    assert len(match_centroids(points, points[:0])[0]) == 0


def dots(*entries: tuple[int, int]) -> tuple[Ints, Ints]:
    """Nuclei of one pixel on a line: (position, class) each."""
    labels, classes = np.zeros((1, 200), np.int32), np.zeros((1, 200), np.int32)
    for ident, (x, class_id) in enumerate(entries, 1):
        labels[0, x], classes[0, x] = ident, class_id
    return labels, classes


def test_class_scores_by_hand() -> None:
    true = dots((10, 1), (40, 1), (70, 2), (100, 0), (150, 2))
    #            hit      called 2   hit     unknown    missed; and 190 spurious, of class 1
    pred = dots((12, 1), (40, 2), (82, 2), (100, 1), (190, 1))
    scores = class_scores([ClassedPair(*true, *pred)], n_classes=2)
    assert (scores.true, scores.predicted, scores.matched) == (5, 5, 4)
    assert scores.detection_f1 == pytest.approx(2 * 4 / (2 * 4 + 1 + 1))
    assert scores.detection_precision == scores.detection_recall == pytest.approx(4 / 5)
    assert scores.class_accuracy == pytest.approx(2 / 3)
    one, two = scores.per_class
    assert (one.support, one.predicted) == (2, 2)  # the match with the unknown does not count
    assert one.precision == pytest.approx(1 / 2)
    assert one.recall == pytest.approx(1 / 2)
    assert one.f1 == pytest.approx(2 / (2 + 1 + 1))
    assert one.hovernet_f1 == pytest.approx(2 / (2 + 2 * 1 + 1))
    assert (two.support, two.predicted) == (2, 2)
    assert two.f1 == pytest.approx(2 / (2 + 1 + 1))
    assert scores.macro_f1 == pytest.approx(1 / 2)


def test_a_match_ends_at_six_micrometres() -> None:
    def matched(x: int, radius: float = MATCH_RADIUS) -> int:
        pair = ClassedPair(*dots((50, 1)), *dots((x, 1)))
        return class_scores([pair], radius=radius).matched

    assert [matched(62), matched(63)] == [1, 0]
    assert [matched(56, radius=6), matched(57, radius=6)] == [1, 0]


def test_class_scores_pool_over_images_and_know_absent_classes() -> None:
    right = ClassedPair(*dots((10, 3)), *dots((10, 3)))
    missed = ClassedPair(*dots((10, 3), (50, 3)), *dots())
    scores = class_scores([right, missed])
    assert scores.per_class[2].recall == pytest.approx(1 / 3)
    assert scores.per_class[2].precision == 1
    assert math.isnan(scores.per_class[0].f1)
    assert scores.macro_f1 == pytest.approx(2 / 4)
    assert math.isnan(class_scores([]).detection_f1)


def test_a_prediction_without_class_is_wrong_for_its_nucleus_only() -> None:
    scores = class_scores([ClassedPair(*dots((10, 1)), *dots((10, 0)))], n_classes=1)
    assert scores.detection_f1 == 1
    assert scores.class_accuracy == 0
    assert scores.per_class[0].recall == 0
    assert scores.per_class[0].predicted == 0


def test_a_class_too_many_is_refused() -> None:
    with pytest.raises(InvalidMap, match="classes 0 to 2, got 3"):
        class_scores([ClassedPair(*dots((10, 3)), *dots())], n_classes=2)


def test_count_r2_by_hand() -> None:
    assert count_r2([1, 2, 3], [1, 2, 3]) == 1
    assert count_r2([1, 2, 3], [2, 2, 2]) == 0
    assert count_r2([1, 2, 3], [1, 2, 5]) == pytest.approx(1 - 4 / 2)
    per_class = np.array([[1, 5, 0], [3, 7, 0]])
    said = np.array([[1, 6, 9], [3, 6, 9]])
    assert count_r2(per_class, said) == pytest.approx((1 + 0) / 2)  # the third never varies
    assert math.isnan(count_r2([2, 2], [1, 3]))
    assert math.isnan(count_r2([], []))
    with pytest.raises(InvalidMap, match="one shape"):
        count_r2([1, 2], [1])
