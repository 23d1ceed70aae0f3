"""Agreement of ordered labels: asked against drawn caption levels, or two readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["accuracy", "quadratic_kappa"]

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
