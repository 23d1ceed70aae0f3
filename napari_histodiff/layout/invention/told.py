"""What is told of a field before it is made up: by caption, by counts, or as an example has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, caption_from_maps, level_of_share, parse_caption
from napari_histodiff.core.captions.vocabulary import class_said
from napari_histodiff.core.errors import InvalidRequest, ModelNotFound
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    N_CLASSES,
    TISSUE_NAMES,
    decode_labels,
    encode_labels,
)
from napari_histodiff.layout.invention.network import WEIGHTS, Told

__all__ = ["Example", "count_nuclei", "told_by_caption", "told_by_example", "with_counts"]

_FIELDS: Final = WEIGHTS.with_name("fields.json")
_ORGAN_APART: Final = 3.0  # how much less alike a field of another organ is, in words or levels
_SPREAD: Final = 0.75  # among fields so much less alike than the best one is chosen
_SOFT: Final = 1.2  # as much less alike is a field whose classes nobody told
_GLASS: Final = 4.0  # and one by its share of glass, beyond a tenth
#: Share of all nuclei that makes a class none, low, medium and high; in the middle of each level.
_MIDDLE: Final = (0.0, 0.06, 0.28, 0.6)
_MOST: Final = 9000.0  # nuclei per mm^2 in all
_COUNT: Final = 1e9  # more nuclei than any frame has

#: Class map, instance map and tissue map.
Example = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    told: Told
    levels: tuple[int | None, ...]


@cache
def _fields() -> tuple[_Field, ...]:
    if not _FIELDS.is_file():
        raise ModelNotFound(
            f"expected the list of training fields at {_FIELDS}, got no file; install "
            "napari-histodiff again"
        )
    return tuple(_field(*line) for line in json.loads(_FIELDS.read_text(encoding="utf-8")))


def _field(
    organ: str | None, words: list[str], shares: list[float], densities: list[float | None], *_: Any
) -> _Field:
    many = np.array([np.nan if d is None else d for d in densities], np.float32)
    told = Told(organ, tuple(words), np.array(shares, np.float32), many)
    total = float(many[0])
    levels = tuple(
        None if np.isnan(d) or total <= 0 else level_of_share(float(d) / total) for d in many[1:]
    )
    return _Field(told, levels)


def told_by_caption(text: str, seed: int) -> Told:
    """Return what a real field is like that a caption fits; each seed chooses one of several.

    Raises
    ------
    ModelNotFound
        When the list of training fields is missing.
    """
    caption = parse_caption(text).caption
    fields = _fields()
    apart = np.array([_apart(caption, field) for field in fields])
    chosen = np.flatnonzero(apart <= apart.min() + _SPREAD)
    field = fields[int(np.random.default_rng(seed).choice(chosen))]
    words = tuple(dict.fromkeys((*caption.tissue, *field.told.words)))
    told = replace(field.told, words=words)
    if caption.organ is not None:
        told = replace(told, organ=caption.organ)
    return replace(told, densities=_at_levels(told.densities, caption.levels))


def told_by_example(example: Example, mpp: float, organ: str | None) -> Told:
    """Return what is true of labelled tissue.

    Parameters
    ----------
    example : tuple of three (h, w) arrays
        Class map, instance map and tissue map; tissue may be 0 where nobody said.
    mpp : float
    organ : str, optional
    """
    classes, instances, tissue = example
    counts = np.bincount(tissue[tissue > 0], minlength=len(TISSUE_NAMES))
    shares = None if not counts.any() else (counts / counts.sum()).astype(np.float32)
    area = classes.size * mpp**2 / 1e6
    found = count_nuclei(classes, instances)
    densities = np.array([found.sum(), *found[1:]], np.float32) / np.float32(area)
    if found[0]:  # nuclei of unknown class may be of those that nobody told
        densities[1:][found[1:] == 0] = np.nan
    words = caption_from_maps(classes, instances, tissue).tissue
    return Told(organ, words, shares, densities)


def with_counts(told: Told, counts: Mapping[str, int] | None, density: float, area: float) -> Told:
    """Return what is told, with other densities.

    Parameters
    ----------
    told : Told
    counts : mapping of str to int, optional
        Nuclei wanted of a class by its name, as captions say it.
    density : float
        As many times as many nuclei of all other classes.
    area : float
        Mm^2 of the frame.

    Raises
    ------
    InvalidRequest
        When a class is none or named twice, a count is negative, or there would be no room.
    """
    if not 0 < density <= 4:
        raise InvalidRequest(
            f"expected a density above 0 and up to 4, got {density!r}; 1 is as in real tissue"
        )
    densities = told.densities * np.float32(density)
    named: set[int] = set()
    counts = {} if counts is None else counts
    if not isinstance(counts, Mapping):
        raise InvalidRequest(
            f"expected counts by class, got {counts!r}; give for example " + '{"lymphocyte": 120}'
        )
    for name, count in counts.items():
        class_id = class_said(str(name))
        is_count = isinstance(count, Real) and 0 <= count < _COUNT and count == int(count)
        if class_id is None or not is_count:
            raise InvalidRequest(
                f"expected counts of {', '.join(CLASS_NAMES)}, whole numbers of at most nine "
                f"digits, got {name!r}: {str(count)[:20]}; give for example lymphocyte 120"
            )
        if class_id in named:
            raise InvalidRequest(
                f"expected one count of each class, got another of {CLASS_NAMES[class_id - 1]}, "
                f"{name!r}: {count}; leave one out"
            )
        named.add(class_id)
        densities[class_id] = int(count) / area
    if np.isfinite(densities[1:]).all():
        densities[0] = densities[1:].sum()
    elif counts:
        densities[0] = max(densities[0], np.nansum(densities[1:]))
    if densities[0] > 2 * _MOST:
        raise InvalidRequest(
            f"expected at most {2 * _MOST:.0f} nuclei per mm², got {densities[0]:.0f}; ask for "
            "fewer, or for a larger frame"
        )
    return replace(told, densities=densities)


def count_nuclei(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many nuclei there are of no class and of each, (7,) int64."""
    labels = np.unique(encode_labels(instances, classes))
    _, found = decode_labels(labels[labels > 0].reshape(1, -1))
    return np.bincount(found.ravel(), minlength=N_CLASSES + 1)


def _apart(caption: Caption, field: _Field) -> float:
    told = field.told
    apart = 0.0
    if caption.organ is not None and told.organ != caption.organ:
        apart += _ORGAN_APART
    apart += sum(word not in told.words for word in caption.tissue)
    for wanted, level in zip(caption.levels, field.levels, strict=True):
        if wanted is not None:
            apart += _SOFT if level is None else 0.5 * abs(wanted - level)
    if all(level is None for level in field.levels):
        apart += _SOFT
    if told.shares is not None:
        apart += _GLASS * max(0.0, float(told.shares[TISSUE_NAMES.index("glass")]) - 0.1)
    return apart


def _at_levels(
    densities: NDArray[np.float32], levels: tuple[int | None, ...]
) -> NDArray[np.float32]:
    many = densities.copy()
    total = float(many[0])
    for token, level in enumerate(levels, 1):
        if level is None:
            continue
        share = float(many[token]) / total if total > 0 else 0.0
        if level == 0:
            many[token] = 0
        elif not np.isfinite(share) or level_of_share(share) != level:
            many[token] = _MIDDLE[level] * total
    if np.isfinite(many[1:]).all():
        many[0] = many[1:].sum()
    return many
