"""Labelled fields of a packed file, and an invented one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import caption_from_maps
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.packing import LAYERS, load_pack, slide_of
from napari_histodiff.layout.completion import complete_paint
from napari_histodiff.layout.invention import invent

__all__ = ["WAYS", "Field", "fields_of", "invented_like"]

#: How layouts are made: by the sampler from shares and densities, or from words; by the rules that
#: lay out slides, from words.
WAYS: Final = ("like", "caption", "rules")

_SIDE: Final = 280.0  # um
_LEAST_VALID: Final = 0.2
_LEAST_NUCLEI: Final = 25
#: Sets in which some classes are not outlined, and those that have one class for several of ours.
_INCOMPLETE: Final = ("monusac",)
_LUMPED: Final = ("consep",)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A labelled field.

    Attributes
    ----------
    name, slide, organ : str
    mpp : float
    classes : (h, w) uint8
    instances : (h, w) int32
    tissue : (h, w) uint8
    valid : (h, w) bool
        Where somebody looked.
    tells_classes : bool
        Whether its set tells our six classes apart.
    """

    name: str
    slide: str
    organ: str
    mpp: float
    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    tissue: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    tells_classes: bool = True


def fields_of(pack: Path) -> list[Field]:
    """Return the fields of a packed file whose nuclei and classes people told, cut to 280 um.

    Raises
    ------
    InvalidRequest
        When there is none.
    """
    loaded = load_pack(pack)
    fields = []
    for item, layers, instances in zip(loaded.items, loaded.layers, loaded.instances, strict=True):
        if not (item.annotated and item.has_classes) or item.source in _INCOMPLETE:
            continue
        plane = {name: layers[..., n] for n, name in enumerate(LAYERS)}
        whole = Field(
            item.name,
            item.slide or slide_of(item.name),
            item.organ or "",
            item.mpp,
            plane["class"],
            instances.astype(np.int32),
            plane["tissue"],
            plane["valid"] > 0,
            item.source not in _LUMPED,
        )
        fields += list(_cut(whole))
    if not fields:
        raise InvalidRequest(
            f"expected annotated nuclei with classes in {pack}, got none; pack images with class "
            "and tissue maps (histodiff pack --label)"
        )
    return fields


def invented_like(
    field: Field, seed: int, way: str, on_step: Callable[[int, int], None] | None = None
) -> Field:
    """Return an invented field of the same size, looked at in the same places.

    Raises
    ------
    InvalidRequest
        When the way is none of `WAYS`.
    """
    if way not in WAYS:
        raise InvalidRequest(f"expected one of {', '.join(WAYS)}, got {way!r}")
    shape = field.classes.shape
    classes = np.where(field.valid, field.classes, 0).astype(np.uint8)
    instances = np.where(field.valid, field.instances, 0).astype(np.int32)
    tissue = np.where(field.valid, field.tissue, 0).astype(np.uint8)
    caption = caption_from_maps(classes, instances, tissue)
    text = replace(caption, organ=field.organ or None).to_text()
    if way == "rules":
        laid = complete_paint(shape=shape, caption=text, mpp=field.mpp, seed=seed)
        made = laid.class_map, laid.instance_map, laid.tissue_map
    else:
        like = None
        if way == "like":  # densities are of what was looked at
            rows, cols = np.nonzero(field.valid)
            part = None, rows, cols
            like = classes[part], instances[part], tissue[part]
        found = invent(
            shape, text, like=like, like_mpp=field.mpp, mpp=field.mpp, seed=seed, on_step=on_step
        )
        made = found.class_map, found.instance_map, found.tissue_map
    return replace(field, classes=made[0], instances=made[1], tissue=made[2])


def _cut(field: Field) -> Iterator[Field]:
    height, width = field.classes.shape
    side = round(_SIDE / field.mpp)
    for y in range(0, max(1, height - side // 2), side):
        for x in range(0, max(1, width - side // 2), side):
            part = slice(y, min(height, y + side)), slice(x, min(width, x + side))
            valid = field.valid[part]
            nuclei = np.unique(field.instances[part][valid])
            if valid.mean() < _LEAST_VALID or len(nuclei) <= _LEAST_NUCLEI:
                continue
            yield replace(
                field,
                name=f"{field.name}_y{y}_x{x}",
                classes=field.classes[part],
                instances=field.instances[part],
                tissue=field.tissue[part],
                valid=valid,
            )
