"""Pictures that hold a tissue map, in ids or in colours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES, as_tissue_map, in_schema
from napari_histodiff.datasets.annotations.placing import part_told
from napari_histodiff.datasets.pictures import Picture

__all__ = ["by_name", "names_beside", "place_beside", "tissue_of_picture"]

#: How edits name the tissue map they save, beside the request and the model's names of the ids.
_SAVED: Final = "_tissue.png"

#: End of the name of what describes an image that was exported.
_DESCRIBED: Final = ".histodiff.json"

#: What comes of files that are not there, or that say something else.
_UNTOLD: Final = (OSError, ValueError, KeyError, TypeError, InvalidRequest)

#: What ids 1-4 were painted in up to version 0.1; still read, and no colour means two tissues.
_EARLIER_HEX: Final = ("#000000", "#8e44ad", "#f4a6c0", "#5dade2", "#ffffff")

_OPAQUE: Final = 128

# Red, green and blue as one number.
_PLACES: Final = np.array([1 << 16, 1 << 8, 1], np.uint32)


def tissue_of_picture(picture: Picture, names: Sequence[str] = TISSUE_NAMES) -> NDArray[np.uint8]:
    """Return the tissue map that a picture shows, (h, w) uint8, ids of `names`.

    A gray picture holds ids; of a black and white one black is 0 and white is glass. In a colour
    picture each tissue has its colour of `TISSUE_HEX`, and transparent pixels are 0; one with a
    palette is read by its colours, or by its indices when the colours are others.

    Parameters
    ----------
    picture : Picture
        A lossless one.
    names : sequence of str
        `TISSUE_NAMES` or its first few, which it may hold.

    Raises
    ------
    InvalidMap
        When it holds other ids or colours.
    """
    shown = picture.shown
    if picture.lossy:
        picture.ids()  # says why not
    if shown.ndim == 3 and shown.shape[2] in {3, 4} and shown.dtype == np.uint8:
        try:
            return _by_colour(shown, picture.path, names)
        except InvalidMap:
            if picture.stored.ndim == 2 and picture.stored.max(initial=0) < len(names):
                return picture.stored.astype(np.uint8)
            raise
    if shown.ndim == 3 and shown.shape[2] == 2:
        gray, alpha = np.moveaxis(shown, -1, 0)
        return _by_id(np.where(alpha < _OPAQUE, 0, gray), picture.path, names)
    if shown.dtype == np.uint8 and shown.ndim == 2 and np.isin(shown, (0, 255)).all():
        return _by_colour(np.dstack([shown] * 3), picture.path, names)
    return _by_id(picture.ids(), picture.path, names)


def names_beside(path: Path) -> list[str] | None:
    """Return the names that the model of a saved edit gave the ids of its tissue map.

    None where the file is none of an edit, or the edit is not beside it.
    """
    try:
        told: Any = _edit_beside(path)["model"]["tissue_names"]
    except _UNTOLD:
        return None
    return told if isinstance(told, list) and all(isinstance(n, str) for n in told) else None


def place_beside(path: Path) -> Region | None:
    """Return where on its image a saved tissue map lies, as the edit or the description beside it.

    Of a description in pixels of full resolution, whatever the pixels of the map. None where
    neither is there, or it tells no place.
    """
    with suppress(*_UNTOLD):
        return Region(*(int(number) for number in _edit_beside(path)["region"]))
    with suppress(*_UNTOLD):
        said: Any = json.loads(path.with_name(path.name + _DESCRIBED).read_text("utf-8"))
        return part_told(said["source"]["part"])
    return None


def _edit_beside(path: Path) -> Any:
    if not path.name.endswith(_SAVED):
        raise ValueError(path.name)
    beside = path.with_name(path.name.removesuffix(_SAVED) + ".json")
    return json.loads(beside.read_text("utf-8"))


def by_name(
    ids: NDArray[Any], names: Sequence[str], wanted: Sequence[str]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return a tissue map in another schema, and which of its tissues have no name there.

    Raises
    ------
    InvalidMap
        When it holds ids beyond `names`.
    """
    ids = as_tissue_map(ids, len(names))
    present = [names[i] for i in np.unique(ids).tolist() if i]
    return in_schema(ids, wanted, names), [name for name in present if name not in wanted]


def _by_id(ids: NDArray[np.generic], path: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    try:
        return as_tissue_map(ids, len(names))
    except InvalidMap as error:
        raise InvalidMap(f"{error}; in {path}: {_legend(names)}") from error


def _by_colour(pixels: NDArray[np.uint8], path: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    packed = _packed(pixels)
    unknown = len(TISSUE_HEX)
    classes = np.full(packed.shape, unknown, np.uint8)
    for palette in (_EARLIER_HEX, TISSUE_HEX[: len(names)]):
        for number, colour in enumerate(palette):
            classes[packed == _packed(np.array(rgb_of(colour), np.uint8))] = number
    if pixels.shape[2] == 4:
        classes[pixels[..., 3] < _OPAQUE] = 0
    other = packed[classes == unknown]
    if other.size:
        found = ", ".join(f"#{colour:06x}" for colour in np.unique(other)[:3])
        raise InvalidMap(
            f"expected the colours of tissue in {path}, got {found} on {other.size} pixels; use "
            f"{_legend(names)}, without smooth edges"
        )
    return classes


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    packed: NDArray[np.uint32] = pixels[..., :3].astype(np.uint32) @ _PLACES
    return packed


def _legend(names: Sequence[str]) -> str:
    return ", ".join(
        f"{number} or {colour} for {name}"
        for number, (colour, name) in enumerate(zip(TISSUE_HEX, names, strict=False))
    )
