"""Figures of a reader study, as pure functions of answers.

p is the share of pairs in which the drawn image was called real: 0.5 where nobody can tell. Readers
who prefer drawn tissue and readers who prefer real tissue cancel in p, but not in the mean of
|p - 0.5| weighted by each reader's answers (kidney-diffusion reports 0.502 beside 0.196).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from napari_histodiff.evaluation.metrics.agreement import Interval
from napari_histodiff.studies.reading.answers import RATINGS, Answer

__all__ = [
    "LONGEST",
    "believed",
    "cohen_kappas",
    "crossed_bootstrap",
    "d_prime_pairs",
    "d_prime_singles",
    "fleiss_kappa",
    "fooled",
    "left_share",
    "median_seconds",
    "rates",
    "roc",
    "roc_area",
    "weighted_error",
]

#: Seconds after which a reader was away; such times are left out of the medians.
LONGEST: Final = 300.0

_NAN: Final = float("nan")


def _proportion(hits: int, count: int) -> Interval:
    """Return hits / count with its exact interval (Clopper and Pearson 1934)."""
    if count == 0:
        return Interval(_NAN, _NAN, _NAN)
    exact = binomtest(hits, count).proportion_ci(0.95, method="exact")
    return Interval(hits / count, float(exact.low), float(exact.high))


def fooled(answers: Iterable[Answer]) -> Interval:
    """Return p of the pairs among the answers with its exact 95 % interval; NaN without pairs."""
    pairs = [answer for answer in answers if answer.kind == "pair"]
    return _proportion(sum(answer.right is False for answer in pairs), len(pairs))


def weighted_error(answers: Sequence[Answer], weights: Sequence[float] | None = None) -> float:
    """Return the mean over readers of |p - 0.5|, weighted by their pairs; NaN without pairs.

    `weights` counts each answer several times, as a bootstrap does.
    """
    weights = [1.0] * len(answers) if weights is None else weights
    wrong: dict[str, float] = {}
    total: dict[str, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer.kind == "pair":
            total[answer.reader] = total.get(answer.reader, 0.0) + weight
            wrong[answer.reader] = wrong.get(answer.reader, 0.0) + weight * (not answer.right)
    if not sum(total.values()):
        return _NAN
    off = sum(abs(wrong[r] - 0.5 * total[r]) for r in total)
    return off / sum(total.values())


def left_share(answers: Iterable[Answer]) -> Interval:
    """Return how often the left of two real images was chosen, with its exact interval."""
    caught = [answer for answer in answers if answer.kind == "catch"]
    return _proportion(sum(answer.chosen == 0 for answer in caught), len(caught))


def rates(answers: Iterable[Answer]) -> tuple[Interval, Interval]:
    """Return sensitivity and specificity of single images with exact intervals.

    Sensitivity is the share of drawn images called drawn, specificity of real ones called real.
    """
    singles = [answer for answer in answers if answer.kind == "single"]
    drawn = [a.right is True for a in singles if a.synthetic[0]]
    real = [a.right is True for a in singles if not a.synthetic[0]]
    return _proportion(sum(drawn), len(drawn)), _proportion(sum(real), len(real))


def d_prime_pairs(answers: Iterable[Answer]) -> float:
    """Return d' of two-alternative choices: sqrt(2) z(share right); 0 is chance.

    Half an answer is added on either side, so that a perfect reader has a finite d'.
    """
    pairs = [answer for answer in answers if answer.kind == "pair"]
    if not pairs:
        return _NAN
    share = (sum(a.right is True for a in pairs) + 0.5) / (len(pairs) + 1)
    return float(np.sqrt(2) * norm.ppf(share))


def d_prime_singles(answers: Iterable[Answer]) -> float:
    """Return d' of single images: z(sensitivity) + z(specificity), log-linear (Hautus 1995)."""
    singles = [answer for answer in answers if answer.kind == "single"]
    total = 0.0
    for synthetic in (True, False):
        side = [a.right is True for a in singles if a.synthetic[0] is synthetic]
        if not side:
            return _NAN
        total += float(norm.ppf((sum(side) + 0.5) / (len(side) + 1)))
    return total


def roc(
    answers: Sequence[Answer], weights: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates, (7,) each, of calling single images real.

    One point for each least rating taken as "real", from none to all. A positive is a real image.
    NaN where there is only one kind of image.
    """
    counts = np.zeros((2, len(RATINGS) + 1))
    for i, answer in enumerate(answers):
        if answer.kind == "single" and answer.rating is not None:
            place = len(RATINGS) - RATINGS.index(answer.rating)
            counts[int(answer.synthetic[0]), place] += 1.0 if weights is None else weights[i]
    cumulated = counts.cumsum(1)
    totals = cumulated[:, -1:]
    share = np.divide(cumulated, totals, out=np.full_like(counts, _NAN), where=totals > 0)
    return share[1], share[0]


def roc_area(answers: Sequence[Answer], weights: Sequence[float] | None = None) -> float:
    """Return the area under `roc`: 0.5 where ratings say nothing, 1 where they say all."""
    false, true = roc(answers, weights)
    return float(np.trapezoid(true, false))


def median_seconds(answers: Iterable[Answer], right: bool | None) -> float:
    """Return the median time of answers that were right, wrong, or neither (catch trials)."""
    times = [a.seconds for a in answers if a.right is right and a.seconds <= LONGEST]
    return float(np.median(times)) if times else _NAN


def believed(answers: Iterable[Answer]) -> dict[int, tuple[int, int]]:
    """Return for each image how often it was called real, and of how many answers.

    Catch trials say nothing of an image, as one of two real ones has to be called real.
    """
    counts: dict[int, tuple[int, int]] = {}
    for answer in answers:
        if answer.kind == "catch":
            continue
        for image, real in zip(answer.images, answer.called_real, strict=True):
            called, seen = counts.get(image, (0, 0))
            counts[image] = called + real, seen + 1
    return counts


def cohen_kappas(answers: Iterable[Answer]) -> dict[tuple[str, str], tuple[float, int]]:
    """Return Cohen's kappa of every two readers, and the trials both answered.

    What is compared is which image was called real, whether rightly or not. NaN where both said
    the same of everything, as chance agreement is then complete.
    """
    from sklearn.metrics import cohen_kappa_score

    by_reader: dict[str, dict[int, bool]] = {}
    for trial, calls in _calls(answers).items():
        for reader, call in calls.items():
            by_reader.setdefault(reader, {})[trial] = call
    kappas = {}
    for first, second in combinations(by_reader, 2):
        ours, theirs = by_reader[first], by_reader[second]
        both = sorted(set(ours) & set(theirs))
        a, b = [ours[t] for t in both], [theirs[t] for t in both]
        known = len({*a, *b}) == 2
        kappas[first, second] = (float(cohen_kappa_score(a, b)) if known else _NAN, len(both))
    return kappas


def fleiss_kappa(answers: Iterable[Answer]) -> tuple[float, int]:
    """Return Fleiss' kappa (1971) over the trials that every reader answered, and their number.

    NaN with fewer than two readers or trials, or where all said the same.
    """
    calls = _calls(answers)
    readers = {reader for said in calls.values() for reader in said}
    rated = [said for said in calls.values() if len(said) == len(readers)]
    if len(readers) < 2 or len(rated) < 2:
        return _NAN, len(rated)
    counts = np.array([[sum(s.values()), len(s) - sum(s.values())] for s in rated], float)
    n = len(readers)
    agreed = float(((counts**2).sum(1) - n).mean() / (n * (n - 1)))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return ((agreed - chance) / (1 - chance) if chance < 1 else _NAN), len(rated)


def crossed_bootstrap(
    answers: Sequence[Answer],
    statistic: Callable[[Sequence[Answer], Sequence[float]], float],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its 95 % interval over readers and cases drawn with replacement.

    Both are drawn anew each time (Owen 2007), as other readers would have seen other images. With
    one reader, cases alone are drawn: the interval then says nothing of other readers.

    Parameters
    ----------
    answers : sequence of Answer
    statistic : callable
        From answers, and how often each counts, to a number; draws for which it is NaN are left
        out.
    draws, seed : int
    """
    value = statistic(answers, [1.0] * len(answers))
    readers, cases = (
        np.unique(np.array(keys), return_inverse=True)[1]
        for keys in ([a.reader for a in answers], [a.trial for a in answers])
    )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws if len(answers) else 0):
        weights = _drawn(rng, cases)
        if readers.max() > 0:
            weights = weights * _drawn(rng, readers)
        found.append(statistic(answers, weights.tolist()))
    known = np.array([v for v in found if np.isfinite(v)])
    if not known.size:
        return Interval(value, _NAN, _NAN)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _drawn(rng: np.random.Generator, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how often each row's group was drawn, of as many draws as there are groups."""
    count = int(groups.max()) + 1
    times = np.bincount(rng.integers(0, count, count), minlength=count)
    return np.asarray(times[groups], np.float64)


def _calls(answers: Iterable[Answer]) -> dict[int, dict[str, bool]]:
    """Return per trial what each reader called real: the image of the lower number, or the only."""
    calls: dict[int, dict[str, bool]] = {}
    for answer in answers:
        first = answer.images.index(min(answer.images))
        calls.setdefault(answer.trial, {})[answer.reader] = answer.called_real[first]
    return calls
