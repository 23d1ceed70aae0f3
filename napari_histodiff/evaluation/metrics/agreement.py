"""Agreement of ordered labels, and percentile bootstrap intervals of any figure over tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["Interval", "accuracy", "bootstrap", "quadratic_kappa"]

Labels = NDArray[np.integer] | Sequence[int]


def quadratic_kappa(a: Labels, b: Labels, n_levels: int) -> float:
    """Return Cohen's kappa with quadratic weights (Cohen 1968) of two (n,) labellings, in [-1, 1].

    1 is full agreement, 0 what chance gives with the same level frequencies. A constant labelling
    against a varying one has kappa 0. NaN, as chance agreement is then complete, when both are
    constant at one common level, and when there are no labels.

    Raises
    ------
    InvalidRequest
        When the labellings differ in length or hold a level outside 0 to `n_levels` - 1.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = _labels(a, b)
    both = np.concatenate([first, second])
    if both.size and not 0 <= both.min() <= both.max() < n_levels:
        raise InvalidRequest(
            f"expected levels from 0 to {n_levels - 1}, got {both.min()} to {both.max()}; "
            "leave unknown levels out"
        )
    if len(np.unique(both)) < 2:
        return float("nan")
    return float(
        cohen_kappa_score(first, second, labels=list(range(n_levels)), weights="quadratic")
    )


def accuracy(a: Labels, b: Labels) -> float:
    """Return the share of equal labels of two (n,) labellings, in [0, 1]; NaN without labels.

    Raises
    ------
    InvalidRequest
        When the labellings differ in length.
    """
    from sklearn.metrics import accuracy_score

    first, second = _labels(a, b)
    return float(accuracy_score(first, second)) if first.size else float("nan")


def _labels(a: Labels, b: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = np.asarray(a, np.int64), np.asarray(b, np.int64)
    if first.ndim != 1 or first.shape != second.shape:
        raise InvalidRequest(
            f"expected two lists of one length, got {first.shape} and {second.shape}; "
            "label the same things in both"
        )
    return first, second


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure over all tiles, and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a statistic of `n` tiles with its percentile bootstrap interval (Efron 1979).

    Parameters
    ----------
    statistic : callable
        From (n,) int64 indices of tiles, with repeats, to a number in its own units. Draws for
        which it is NaN, such as ones without any nucleus of a class, are left out.
    n : int
        Number of tiles: the unit that is drawn. With 0, every number is NaN; with few, the
        interval is too narrow.
    draws : int
        Draws with replacement.
    level : float
        Coverage asked for, within (0, 1).
    seed : int
        Of the draws.

    Raises
    ------
    InvalidRequest
        When `draws` or `level` is out of range.
    """
    if draws < 1 or not 0 < level < 1:
        raise InvalidRequest(
            f"expected draws above 0 and a level within (0, 1), got {draws} and {level}; "
            "use the defaults"
        )
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    values = np.array([statistic(rng.integers(n, size=n)) for _ in range(draws)])
    values = values[~np.isnan(values)]
    value = float(statistic(np.arange(n)))
    if not values.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
