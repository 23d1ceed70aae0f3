"""How far sets of layouts lie apart, beside how far real ones do, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.layouts.statistics import KINDS, Measured

__all__ = ["Comparison", "compare", "pair_correlation"]

_FEW: Final = 40  # nuclei of a kind, below which its figures are left out

Distance = Callable[[Sequence[Measured], Sequence[Measured]], float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One statistic.

    Attributes
    ----------
    name, unit : str
    floor : tuple of float
        Distance of other real fields from the held-out ones: median, 2.5 and 97.5 %.
    invented : tuple of float
        The same of invented ones.
    more : tuple of float
        By how much invented ones lie farther away than real ones: median, 2.5 and 97.5 %.
    """

    name: str
    unit: str
    floor: tuple[float, float, float]
    invented: tuple[float, float, float]
    more: tuple[float, float, float]

    @property
    def within(self) -> bool:
        """Whether nothing shows that invented fields lie farther away than real ones do."""
        return self.more[1] <= 0


def compare(
    held_out: Sequence[Measured],
    others: Sequence[Measured],
    invented: Sequence[Measured],
    seed: int = 0,
    draws: int = 300,
) -> list[Comparison]:
    """Compare invented and other real fields with held-out real ones, by bootstrap over fields.

    In each draw as many other real fields are taken as there are held-out ones.

    Raises
    ------
    InvalidRequest
        When there are fewer than two fields of a set.
    """
    if min(len(held_out), len(others), len(invented)) < 2:
        raise InvalidRequest(
            f"expected two fields or more of each set, got {len(held_out)} held out, {len(others)} "
            f"other and {len(invented)} invented; give more images"
        )
    rng = np.random.default_rng(seed)
    many = len(held_out)
    chosen = [
        tuple(rng.integers(len(fields), size=many) for fields in (held_out, others, invented))
        for _ in range(draws)
    ]
    found = []
    for name, unit, distance in _distances(held_out, invented):
        pairs = []
        for a, b, c in chosen:
            real = [held_out[i] for i in a]
            floor = distance([others[i] for i in b], real)
            pairs.append((floor, distance([invented[i] for i in c], real)))
        drawn = np.array(pairs)
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        if len(drawn) > draws // 2:
            apart = drawn[:, 1] - drawn[:, 0]
            found.append(Comparison(name, unit, *map(_interval, (drawn[:, 0], drawn[:, 1], apart))))
    return found


def pair_correlation(fields: Sequence[Measured], a: int, b: int) -> NDArray[np.float64]:
    """Return how many times as many pairs there are at each distance as by chance, (bins,)."""
    pairs = np.sum([field.pairs[a, b] for field in fields], axis=0)
    expected = np.sum([field.expected[a, b] for field in fields], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(pairs / expected, np.float64)


def _distances(
    held_out: Sequence[Measured], invented: Sequence[Measured]
) -> list[tuple[str, str, Distance]]:
    kinds = range(len(KINDS))
    enough = [
        all(sum(len(f.size[k]) for f in fields) >= _FEW for fields in (held_out, invented))
        for k in kinds
    ]
    pairs = [(a, b) for a in kinds for b in kinds if enough[a] and enough[b]]
    found: list[tuple[str, str, Distance]] = [
        (f"pair correlation {_names(a, b)}", "", _of_pairs(a, b)) for a, b in pairs if a <= b
    ]
    found += [(f"nearest {KINDS[b]} of {KINDS[a]}", "µm", _of_nearest(a, b)) for a, b in pairs]
    for k in kinds:
        if enough[k]:
            found.append((f"diameter {KINDS[k]}", "µm", _of_shape("size", k)))
            found.append((f"eccentricity {KINDS[k]}", "", _of_shape("eccentricity", k)))
            found.append((f"nuclei per mm² {KINDS[k]}", "/mm²", _of_density(k)))
    found.append(("shares of tissue", "", _of_shares))
    return found


def _names(a: int, b: int) -> str:
    return KINDS[a] if a == b else f"{KINDS[a]} and {KINDS[b]}"


def _of_pairs(a: int, b: int) -> Distance:
    def distance(one: Sequence[Measured], other: Sequence[Measured]) -> float:
        apart = np.abs(pair_correlation(one, a, b) - pair_correlation(other, a, b))
        return float(np.nanmean(apart)) if np.isfinite(apart).any() else np.nan

    return distance


def _of_nearest(a: int, b: int) -> Distance:
    def distance(one: Sequence[Measured], other: Sequence[Measured]) -> float:
        return _apart(*([f.nearest.get((a, b), _NONE) for f in fields] for fields in (one, other)))

    return distance


def _of_shape(name: str, kind: int) -> Distance:
    def distance(one: Sequence[Measured], other: Sequence[Measured]) -> float:
        return _apart(*([getattr(f, name)[kind] for f in fields] for fields in (one, other)))

    return distance


def _of_density(kind: int) -> Distance:
    def distance(one: Sequence[Measured], other: Sequence[Measured]) -> float:
        first, second = ([f.density[kind] for f in fields] for fields in (one, other))
        return float(wasserstein_distance(first, second))

    return distance


def _of_shares(one: Sequence[Measured], other: Sequence[Measured]) -> float:
    first, second = (np.mean([f.shares for f in fields], axis=0) for fields in (one, other))
    return float(0.5 * np.abs(first - second).sum())


_NONE: Final = np.zeros(0)


def _apart(one: list[NDArray[np.float64]], other: list[NDArray[np.float64]]) -> float:
    first, second = np.concatenate(one), np.concatenate(other)
    return float(wasserstein_distance(first, second)) if len(first) and len(second) else np.nan


def _interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, [2.5, 50, 97.5]).tolist()
    return middle, low, high
