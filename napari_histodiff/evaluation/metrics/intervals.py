"""How far a figure could move had other tiles been drawn: percentile bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["Interval", "bootstrap"]


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
