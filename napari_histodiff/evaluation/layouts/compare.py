"""How far sets of layouts lie apart, beside how far real ones do, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.layouts.fields import Field
from napari_histodiff.evaluation.layouts.statistics import (
    CLASSES,
    KINDS,
    Grouping,
    Measured,
    measure,
)

__all__ = ["FEW", "SETS", "Comparison", "Part", "compare", "enough", "pair_correlation", "parts_of"]

#: What is compared: real fields, others to tell how far real ones lie apart, and invented ones.
SETS: Final = ("held-out", "other real", "invented")

#: Nuclei of a kind in each of the sets below which its figures are left out.
FEW: Final = 40

_LEAST_FIELDS: Final = 2  # of a set: fewer cannot be drawn anew

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


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Fields compared with their nuclei grouped in one way.

    Attributes
    ----------
    sets : dict of str to list of Measured
        By the names of `SETS`.
    found : list of Comparison
    """

    sets: dict[str, list[Measured]]
    found: list[Comparison]

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """Nuclei of each kind in each of `SETS`."""
        names = self.sets[SETS[0]][0].grouping.names
        sums = [np.sum([field.count for field in self.sets[name]], axis=0) for name in SETS]
        return {name: tuple(int(some[k]) for some in sums) for k, name in enumerate(names)}


def parts_of(fields: Mapping[str, Sequence[Field]], draws: int = 300) -> tuple[Part, Part | None]:
    """Measure and compare fields of each of `SETS`: in kinds, and by class.

    By class are those of sets that tell our classes apart, and nothing where a set has fewer than
    two of them. `draws` is that of `compare`.

    Raises
    ------
    InvalidRequest
        When there are fewer than two fields of a set.
    """
    telling = {name: [one for one in some if one.tells_classes] for name, some in fields.items()}
    few = min(map(len, telling.values())) < _LEAST_FIELDS
    return _part(fields, KINDS, draws), None if few else _part(telling, CLASSES, draws)


def _part(fields: Mapping[str, Sequence[Field]], grouping: Grouping, draws: int) -> Part:
    sets = {name: [measure(field, grouping) for field in fields[name]] for name in SETS}
    held_out, others, invented = (sets[name] for name in SETS)
    return Part(sets, compare(held_out, others, invented, draws=draws))


def compare(
    held_out: Sequence[Measured],
    others: Sequence[Measured],
    invented: Sequence[Measured],
    seed: int = 0,
    draws: int = 300,
) -> list[Comparison]:
    """Compare invented and other real fields with held-out real ones, by bootstrap over fields.

    In each draw as many other real fields are taken as there are held-out ones. Kinds with fewer
    than `FEW` nuclei in a set are left out.

    Raises
    ------
    InvalidRequest
        When there are fewer than two fields of a set.
    """
    if min(len(held_out), len(others), len(invented)) < _LEAST_FIELDS:
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
    for name, unit, distance in _distances(held_out, others, invented):
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


def enough(*sets: Sequence[Measured]) -> list[int]:
    """Return the kinds of which each set has `FEW` nuclei or more."""
    counts = [np.sum([field.count for field in fields], axis=0) for fields in sets]
    return np.flatnonzero(np.min(counts, axis=0) >= FEW).tolist()


def _distances(*sets: Sequence[Measured]) -> list[tuple[str, str, Distance]]:
    names, kinds = sets[0][0].grouping.names, enough(*sets)
    found: list[tuple[str, str, Distance]] = [
        (f"pair correlation {_names(names, a, b)}", "", _of_pairs(a, b))
        for a, b in product(kinds, kinds)
        if a <= b
    ]
    found += [
        (f"nearest {names[b]} of {names[a]}", "µm", _of_nearest(a, b))
        for a, b in product(kinds, kinds)
    ]
    for k in kinds:
        found.append((f"diameter {names[k]}", "µm", _of_shape("size", k)))
        found.append((f"eccentricity {names[k]}", "", _of_shape("eccentricity", k)))
        found.append((f"nuclei per mm² {names[k]}", "/mm²", _of_density(k)))
    if names == KINDS.names:  # which have nothing to do with how nuclei are grouped
        found.append(("shares of tissue", "", _of_shares))
    return found


def _names(names: Sequence[str], a: int, b: int) -> str:
    return names[a] if a == b else f"{names[a]} and {names[b]}"


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
    known = [[f.shares for f in fields if np.isfinite(f.shares[0])] for fields in (one, other)]
    if not all(known):
        return np.nan
    first, second = (np.mean(shares, axis=0) for shares in known)
    return float(0.5 * np.abs(first - second).sum())


_NONE: Final = np.zeros(0)


def _apart(one: list[NDArray[np.float64]], other: list[NDArray[np.float64]]) -> float:
    first, second = np.concatenate(one), np.concatenate(other)
    return float(wasserstein_distance(first, second)) if len(first) and len(second) else np.nan


def _interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, [2.5, 50, 97.5]).tolist()
    return middle, low, high
