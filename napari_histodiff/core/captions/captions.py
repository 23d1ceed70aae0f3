"""Painted maps described as a caption."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from napari_histodiff.core.captions.slots import (
    TISSUE_WORDS,
    Caption,
    level_of_share,
)
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import (
    N_CLASSES,
    TISSUE_NAMES,
    as_class_map,
    as_tissue_map,
    nuclei_union,
)

__all__ = ["caption_from_maps", "captions_by_tissue"]

_TISSUE_SHARE: Final = 0.01
_WORD_OF: Final = {"muscle": "smooth muscle"}


def caption_from_maps(
    class_map: ArrayLike,
    instance_map: ArrayLike | None = None,
    tissue_map: ArrayLike | None = None,
) -> Caption:
    """Return the caption that painted maps of shape (h, w) would be described by.

    The level of a class comes from its share of the classified nuclear pixels. When all nuclei are
    of unknown class, the levels stay unspecified. A tissue that has a word is named when it
    covers at least 1 % of the frame. Organ and stain look are never guessed.

    Raises
    ------
    InvalidMap
        When a map is invalid or the maps differ in shape.
    """
    classes = as_class_map(class_map)
    counts = np.bincount(classes.ravel(), minlength=N_CLASSES + 1)[1:]
    total = int(counts.sum())
    levels: tuple[int | None, ...] = (None,) * N_CLASSES
    if total or not nuclei_union(classes, instance_map).any():
        levels = tuple(level_of_share(count / max(total, 1)) for count in counts.tolist())
    return Caption(levels=levels, tissue=_tissue_words(tissue_map, classes.shape))


def _tissue_words(tissue_map: ArrayLike | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    if tissue_map is None:
        return ()
    tissue = as_tissue_map(tissue_map, len(TISSUE_NAMES))
    if tissue.shape != shape:
        raise InvalidMap(
            f"expected a tissue map of shape {shape} like the class map, got {tissue.shape}; "
            "crop both to the same frame"
        )
    counts = np.bincount(tissue.ravel(), minlength=len(TISSUE_NAMES)).tolist()
    wanted = max(1.0, _TISSUE_SHARE * tissue.size)
    seen = (name for name, count in zip(TISSUE_NAMES, counts, strict=True) if count >= wanted)
    words = (_WORD_OF.get(name, name) for name in seen)
    return tuple(word for word in words if word in TISSUE_WORDS)


def captions_by_tissue(given: Any) -> tuple[tuple[str, str], ...]:
    """Return captions of single tissues in the order of their ids, without empty ones.

    Raises
    ------
    InvalidRequest
        When a tissue has no such name, or a caption is no text.
    """
    try:
        found = dict(given)
    except (TypeError, ValueError):
        found = {given: None}
    for name, caption in found.items():
        if name not in TISSUE_NAMES[1:] or not isinstance(caption, str):
            raise InvalidRequest(
                f"expected captions by tissue ({', '.join(TISSUE_NAMES[1:])}), got {caption!r} for "
                f'{name!r}; write for example {{"gland": "high neutrophil"}}'
            )
    said = {name: " ".join(caption.split()) for name, caption in found.items()}
    return tuple((name, said[name]) for name in TISSUE_NAMES if said.get(name))
