"""How well a simple classifier tells generated from real crops of tiles it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.metrics.agreement import bootstrap

__all__ = ["CriticScore", "critic_auc"]


@dataclass(frozen=True, slots=True)
class CriticScore:
    """How well generated crops are told from real ones.

    Attributes
    ----------
    auc : float
        Area under the ROC curve of held-out decisions: 0.5 cannot tell, 1 always can. Somewhat
        below 0.5 also means that it cannot tell.
    low, high : float
        95 % bootstrap interval over tiles.
    n_real, n_generated, tiles : int
        Crops of either kind, and tiles they come from.
    top : tuple of (str, float)
        The features that weigh most in a fit on everything, per standard deviation; positive speaks
        for generated.
    """

    auc: float
    low: float
    high: float
    n_real: int
    n_generated: int
    tiles: int
    top: tuple[tuple[str, float], ...]


def critic_auc(
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    real_groups: Sequence[object] | NDArray[np.generic],
    generated_groups: Sequence[object] | NDArray[np.generic],
    *,
    names: Sequence[str] | None = None,
    top: int = 10,
    seed: int = 0,
) -> CriticScore:
    """Return how well logistic regression tells generated from real crops.

    Features are standardised, then an L2 logistic regression (C = 1, both kinds weighted alike) is
    fitted leaving one tile out at a time: real and generated crops of a tile are held out together,
    as they share nuclei and stain. The area is over the decisions of all held-out crops.

    Parameters
    ----------
    real, generated : (n, k) and (m, k)
        Finite features of crops, such as `appearance`.
    real_groups, generated_groups : (n,) and (m,)
        Tile of each crop; equal names (compared as text) are one tile on both sides.
    names : sequence of str, optional
        Names of the k features; "feature 0" and so on by default.
    top : int
        Length of the list of features.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InvalidRequest
        When sizes do not fit, or fewer than two tiles hold both real and generated crops.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels, tiles = _stacked(real, generated, real_groups, generated_groups)
    named = names or [f"feature {i}" for i in range(features.shape[1])]
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(class_weight="balanced", solver="newton-cholesky", max_iter=200),
    )
    decisions = cross_val_predict(
        model,
        features,
        labels,
        groups=tiles,
        cv=LeaveOneGroupOut(),
        method="decision_function",
    )
    members = [np.flatnonzero(tiles == tile) for tile in range(tiles.max() + 1)]

    def area(drawn: NDArray[np.int64]) -> float:
        crops = np.concatenate([members[tile] for tile in drawn])
        return _area(labels[crops] > 0, decisions[crops])

    interval = bootstrap(area, len(members), seed=seed)
    weights = model.fit(features, labels)[-1].coef_[0]
    order = np.argsort(-np.abs(weights))[:top]
    return CriticScore(
        auc=interval.value,
        low=interval.low,
        high=interval.high,
        n_real=len(real),
        n_generated=len(generated),
        tiles=len(members),
        top=tuple((named[i], float(weights[i])) for i in order),
    )


def _stacked(
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    real_groups: Sequence[object] | NDArray[np.generic],
    generated_groups: Sequence[object] | NDArray[np.generic],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return features, labels (1 generated) and tile numbers of all crops."""
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise InvalidRequest(
            f"expected (n, k) and (m, k) features, got {real.shape} and {generated.shape}; "
            "compute both in one way"
        )
    sides = [list(map(str, groups)) for groups in (real_groups, generated_groups)]
    if [len(side) for side in sides] != [len(real), len(generated)]:
        raise InvalidRequest(
            f"expected a tile for each of {len(real)} real and {len(generated)} generated crops, "
            f"got {len(sides[0])} and {len(sides[1])}; name the tile of every crop"
        )
    shared = set(sides[0]) & set(sides[1])
    if len(shared) < 2:
        raise InvalidRequest(
            f"expected at least two tiles with real and generated crops, got {len(shared)}; "
            "name tiles alike on both sides, or add tiles"
        )
    _, tiles = np.unique(sides[0] + sides[1], return_inverse=True)
    features = np.concatenate([real, generated]).astype(np.float64)
    return features, np.repeat([0, 1], [len(real), len(generated)]), tiles


def _area(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve by the rank sum; a resample needs it hundreds of times."""
    wins, losses = int(positive.sum()), int((~positive).sum())
    if not wins or not losses:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - wins * (wins + 1) / 2) / (wins * losses))
