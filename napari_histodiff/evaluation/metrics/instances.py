"""Whether nuclei of one label image are found again in another: Dice, AJI, PQ, class F1, counts.

References: aggregated Jaccard index, Kumar et al. 2017 (TMI 36:1550); panoptic quality, Kirillov
et al. 2019 (arXiv 1801.00868); pooled panoptic quality, CoNIC (Graham et al. 2024); detection and
class F1, HoVer-Net (Graham et al. 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.evaluation.metrics.objects import (
    centroids,
    object_classes,
    only_class,
    overlap,
    require_labels,
)

__all__ = [
    "MATCH_RADIUS",
    "ClassScore",
    "ClassScores",
    "ClassedPair",
    "PanopticQuality",
    "aggregated_jaccard",
    "binary_dice",
    "class_scores",
    "count_r2",
    "match_centroids",
    "only_class",
    "panoptic_quality",
    "pooled_quality",
]

#: Greatest distance in pixels of matched centroids: 6 um at 0.5 um/px.
MATCH_RADIUS: Final = 12.0


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """Panoptic quality and its parts; `pq` = `sq` * `rq`, all in [0, 1].

    Attributes
    ----------
    pq : float
        Panoptic quality, `iou_sum` / (tp + fp / 2 + fn / 2); NaN without any object.
    sq : float
        Segmentation quality, mean IoU of the matches (0 without a match).
    rq : float
        Recognition quality, the F1 score of detection (HoVer-Net's DQ).
    tp, fp, fn : int
        Matches, predicted objects without one, true objects without one.
    iou_sum : float
        Sum of the IoU of the matches.
    """

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int
    iou_sum: float


@dataclass(frozen=True, slots=True, eq=False)
class ClassedPair:
    """True and predicted nuclei of one image: instance maps and class maps, all (h, w) integer.

    A nucleus has the class most of its pixels have; 0 inside a nucleus means class unknown.
    """

    true_inst: NDArray[np.integer]
    true_classes: NDArray[np.integer]
    pred_inst: NDArray[np.integer]
    pred_classes: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well nuclei of one class are found and named; all in [0, 1], NaN where 0/0.

    Attributes
    ----------
    precision, recall, f1 : float
        A hit is a matched pair of nuclei that both have the class; everything else of this class on
        either side is a false positive or a false negative.
    hovernet_f1 : float
        HoVer-Net's F_c, where a wrongly named match weighs twice a nucleus without a match.
    support, predicted : int
        True nuclei of the class, and predicted ones that count.
    """

    precision: float
    recall: float
    f1: float
    hovernet_f1: float
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Detection and class scores pooled over images; rates in [0, 1], NaN where 0/0.

    Attributes
    ----------
    detection_precision, detection_recall, detection_f1 : float
        Of centroids, whatever the class (HoVer-Net's F_d).
    class_accuracy : float
        Share of matches with known true class that have the right class.
    macro_f1 : float
        Mean `f1` over the classes with true nuclei.
    per_class : tuple of ClassScore
        Class 1 first.
    true, predicted, matched : int
        Numbers of nuclei and of matches.
    """

    detection_precision: float
    detection_recall: float
    detection_f1: float
    class_accuracy: float
    macro_f1: float
    per_class: tuple[ClassScore, ...]
    true: int
    predicted: int
    matched: int


def binary_dice(true: NDArray[np.bool_], pred: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two boolean masks, in [0, 1]; NaN when both are empty.

    Raises
    ------
    InvalidMap
        When the masks differ in shape.
    """
    if true.shape != pred.shape:
        raise InvalidMap(
            f"expected masks of one shape, got {true.shape} and {pred.shape}; crop them alike"
        )
    true, pred = true.astype(bool), pred.astype(bool)
    return _ratio(2 * int((true & pred).sum()), int(true.sum()) + int(pred.sum()))


def aggregated_jaccard(true_inst: NDArray[np.integer], pred_inst: NDArray[np.integer]) -> float:
    """Return the aggregated Jaccard index (Kumar et al. 2017), in [0, 1]; NaN without any object.

    Every true nucleus takes the prediction of greatest IoU, which may be taken twice; predictions
    nobody took add their area to the union.

    Raises
    ------
    InvalidMap
        When the maps are not integer maps of one shape.
    """
    table = overlap(true_inst, pred_inst)
    used = np.zeros(len(table.pred_sizes), bool)
    intersection, union = 0, int(table.true_sizes.sum())
    if table.common.size:
        best = table.iou().argmax(1)
        shared = table.common[np.arange(len(best)), best]
        met = shared > 0
        used[best[met]] = True
        intersection = int(shared.sum())
        union += int(table.pred_sizes[best[met]].sum()) - intersection
    return _ratio(intersection, union + int(table.pred_sizes[~used].sum()))


def panoptic_quality(
    true_inst: NDArray[np.integer], pred_inst: NDArray[np.integer]
) -> PanopticQuality:
    """Return the panoptic quality (Kirillov et al. 2019) of one class in one image.

    Objects match where IoU > 0.5, which is at most one to one. `pq`, `sq` and `rq` are NaN when
    there is no object on either side.

    Raises
    ------
    InvalidMap
        When the maps are not integer maps of one shape.
    """
    iou = overlap(true_inst, pred_inst).iou()
    matched = iou[iou > 0.5]
    true, pred = iou.shape
    return _quality(len(matched), pred - len(matched), true - len(matched), float(matched.sum()))


def pooled_quality(results: Iterable[PanopticQuality]) -> PanopticQuality:
    """Return the panoptic quality over all images at once: counts are summed before dividing.

    CoNIC's mPQ+ is the mean of `pq` of this over classes, each class from `panoptic_quality` on
    `only_class` maps. NaN ratios when there is no object at all, or no result.
    """
    entries = list(results)
    return _quality(
        sum(r.tp for r in entries),
        sum(r.fp for r in entries),
        sum(r.fn for r in entries),
        float(sum(r.iou_sum for r in entries)),
    )


def match_centroids(
    true: NDArray[np.float64],
    pred: NDArray[np.float64],
    radius: float = MATCH_RADIUS,
    *,
    gated: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of matched (n, 2) and (m, 2) centroids, one to one.

    Only pairs at most `radius` apart match: as many as can be, and of those assignments the one of
    least total distance (Hungarian method). `gated=False` is the order of HoVer-Net's published
    code (`pair_coordinates`): it assigns whatever the distance and drops distant pairs afterwards,
    which loses matches in crowded tissue, where a distant pair can displace near ones.
    """
    distances = cdist(true, pred)
    near = distances <= radius
    # one distant pair costs more than all near pairs together can
    prohibitive = (radius + 1) * (min(distances.shape) + 1)
    costs = np.where(near, distances, prohibitive) if gated else distances
    rows, columns = linear_sum_assignment(costs)
    kept = near[rows, columns]
    return rows[kept], columns[kept]


def class_scores(
    pairs: Iterable[ClassedPair],
    n_classes: int = 6,
    *,
    radius: float = MATCH_RADIUS,
    gated: bool = True,
) -> ClassScores:
    """Return detection and class scores pooled over images at 0.5 um/px.

    Nuclei match when their centroids lie within `radius` pixels, as `match_centroids` pairs them
    (which see for `gated`). A true nucleus of unknown class
    counts for detection only: a prediction matched to it is neither right nor wrong in any class.
    A prediction of class 0 is wrong for the class of its nucleus and counts for no class itself.

    Raises
    ------
    InvalidMap
        When the maps of a pair are not integer maps of one shape, or name a class above
        `n_classes`.
    """
    # confusion[t, p]: matches; row and column n_classes + 1: nuclei without a match
    confusion = np.zeros((n_classes + 2, n_classes + 2), np.int64)
    for pair in pairs:
        np.add.at(confusion, _pair_classes(pair, n_classes, radius, gated), 1)
    matches = confusion[:-1, :-1]
    matched, missed, spurious = (
        int(part.sum()) for part in (matches, confusion[:-1, -1], confusion[-1, :-1])
    )
    per_class = tuple(_class_score(confusion, c) for c in range(1, n_classes + 1))
    supported = [s.f1 for s in per_class if s.support]
    return ClassScores(
        detection_precision=_ratio(matched, matched + spurious),
        detection_recall=_ratio(matched, matched + missed),
        detection_f1=_ratio(2 * matched, 2 * matched + spurious + missed),
        class_accuracy=_ratio(int(np.trace(matches[1:, 1:])), int(matches[1:].sum())),
        macro_f1=_ratio(sum(supported), len(supported)),
        per_class=per_class,
        true=matched + missed,
        predicted=matched + spurious,
        matched=matched,
    )


def count_r2(
    true_counts: NDArray[np.number] | Sequence[float],
    pred_counts: NDArray[np.number] | Sequence[float],
) -> float:
    """Return the coefficient of determination of counts over images, at most 1.

    (n,) counts, or (n, classes) for the mean over classes as in CoNIC. 1 is exact, 0 as good as
    always saying the true mean, negative worse. Classes whose true count never varies are left
    out; NaN when none is left.

    Raises
    ------
    InvalidMap
        When the counts differ in shape.
    """
    true, pred = (np.asarray(c, np.float64) for c in (true_counts, pred_counts))
    if true.shape != pred.shape:
        raise InvalidMap(
            f"expected counts of one shape, got {true.shape} and {pred.shape}; count both alike"
        )
    if not true.size:
        return float("nan")
    residual = ((true - pred) ** 2).sum(0)
    total = ((true - true.mean(0)) ** 2).sum(0)
    varies = total > 0
    return float(np.mean(1 - residual[varies] / total[varies])) if varies.any() else float("nan")


def _pair_classes(
    pair: ClassedPair, n_classes: int, radius: float, gated: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    require_labels(pair.true_inst, pair.true_classes, pair.pred_inst, pair.pred_classes)
    true = object_classes(pair.true_inst, pair.true_classes)
    pred = object_classes(pair.pred_inst, pair.pred_classes)
    highest = max(true.max(initial=0), pred.max(initial=0))
    if highest > n_classes:
        raise InvalidMap(f"expected classes 0 to {n_classes}, got {highest}; raise n_classes")
    rows, columns = match_centroids(
        centroids(pair.true_inst), centroids(pair.pred_inst), radius, gated=gated
    )
    missed = np.delete(true, rows)
    spurious = np.delete(pred, columns)
    nobody = n_classes + 1
    return (
        np.concatenate([true[rows], missed, np.full(len(spurious), nobody)]),
        np.concatenate([pred[columns], np.full(len(missed), nobody), spurious]),
    )


def _class_score(confusion: NDArray[np.int64], c: int) -> ClassScore:
    hits = int(confusion[c, c])
    misnamed = int(confusion[c, :-1].sum()) - hits
    taken = int(confusion[1:-1, c].sum()) - hits  # row 0, the unknown nuclei, is no evidence
    missed, spurious = int(confusion[c, -1]), int(confusion[-1, c])
    wrong = misnamed + taken
    lost = missed + spurious
    return ClassScore(
        precision=_ratio(hits, hits + taken + spurious),
        recall=_ratio(hits, hits + misnamed + missed),
        f1=_ratio(2 * hits, 2 * hits + wrong + lost),
        hovernet_f1=_ratio(2 * hits, 2 * hits + 2 * wrong + lost),
        support=hits + misnamed + missed,
        predicted=hits + taken + spurious,
    )


def _quality(tp: int, fp: int, fn: int, iou_sum: float) -> PanopticQuality:
    weight = tp + (fp + fn) / 2
    sq = iou_sum / tp if tp else (0.0 if weight else float("nan"))
    return PanopticQuality(_ratio(iou_sum, weight), sq, _ratio(tp, weight), tp, fp, fn, iou_sum)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
