"""Where a change happens: a border, a side of the frame, in or around tissue, the edit mask."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.changes.words import Place
from napari_histodiff.layout.fields import Pixels, ValueNoise

__all__ = [
    "INNER",
    "SWING",
    "Zone",
    "areas_in",
    "body_of",
    "border_length",
    "name_of",
    "nothing_of",
    "share_of",
    "wavy_distance",
    "zone_of",
]

_ID: Final = {name: number for number, name in enumerate(TISSUE_NAMES)}

#: What lies in a gland and grows, shrinks and goes with it.
INNER: Final = (_ID["lumen"], _ID["mucus"])

_BORDER: Final = 30.0  # um beside a border that belong to it
_AROUND: Final = 60.0
_BETWEEN: Final = 60.0  # um; glands closer than twice this have something between them
_SIDE: Final = 1 / 3  # of the frame
_EVEN: Final = 1.1  # areas whose sizes differ by less are as large as each other
_SPLINTER: Final = 0.05  # of the largest area; what is smaller is no area of its own
_WAVES: Final = 7.0  # um by which new borders swing, and half as many the finer waves on them
#: Um by which new borders swing at the most.
SWING: Final = 1.5 * _WAVES
_WAVE_SIDES: Final = (90.0, 40.0)


class Zone:
    """A place as pixels, and as words.

    Attributes
    ----------
    mask : (h, w) bool
    words : str
        " along 1.2 mm of the border of the gland"; empty when it is the whole frame.
    """

    __slots__ = ("mask", "words")

    def __init__(self, mask: NDArray[np.bool_], words: str) -> None:
        self.mask, self.words = mask, words


def name_of(tissue: int) -> str:
    """Return a tissue's name."""
    return TISSUE_NAMES[tissue]


def body_of(tissue: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    """Return where a tissue is, with what it encloses when it is gland, (h, w) bool."""
    body: NDArray[np.bool_] = tissue == number
    if number != _ID["gland"]:
        return body
    inner = np.isin(tissue, INNER)
    areas, count = ndimage.label(body | inner)
    holds = np.zeros(count + 1, np.bool_)
    holds[np.unique(areas[body])] = True
    holds[0] = False
    touched: NDArray[np.bool_] = holds[areas]
    # Nobody says what a hole is that is not painted: a part of the gland.
    touched |= ndimage.binary_fill_holes(touched) & (tissue == 0)
    return touched


def areas_in(
    body: NDArray[np.bool_], place: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the areas of a body, and those that count and lie mostly in a place.

    Returns
    -------
    areas : (h, w) int32
        The number of its area at each pixel, 0 outside.
    ids : (n,) int64
        Numbers of areas. Splinters beside a large one are none of their own.
    """
    areas, count = ndimage.label(body)
    size = np.bincount(areas.ravel(), minlength=count + 1)
    size[0] = 0
    inside = np.bincount(areas.ravel(), weights=place.ravel(), minlength=count + 1)
    counts = (size > 0) & (size >= _SPLINTER * size.max())
    return areas, np.flatnonzero(counts & (2 * inside > size))


def share_of(areas: NDArray[np.int32], ids: NDArray[np.int64], share: float) -> list[int]:
    """Return the first areas that fit: no more of them than a share, nor of what all cover."""
    size = np.bincount(areas.ravel())
    most, room = int(share * len(ids) + 1e-6), _EVEN * share * int(size[ids].sum())
    taken: list[int] = []
    for one in ids.tolist():
        if len(taken) < most and size[one] <= room:
            taken.append(one)
            room -= size[one]
    return taken


def border_length(body: NDArray[np.bool_], mpp: float) -> float:
    """Return how many um of border a body has inside the frame."""
    steps = (body[1:] != body[:-1]).sum() + (body[:, 1:] != body[:, :-1]).sum()
    return float(steps) * mpp * np.pi / 4  # a staircase is longer than what it stands for


def wavy_distance(
    body: NDArray[np.bool_], frame: Region, mpp: float, seed: int, most: float
) -> NDArray[np.float32]:
    """Return um outside a body, below 0 inside, (h, w) float32; its border swings by `most` um."""
    away = ndimage.distance_transform_edt(~body) - ndimage.distance_transform_edt(body)
    return np.asarray(away * mpp + _waves(frame, mpp, seed) * min(1.0, most / SWING), np.float32)


def zone_of(
    place: Place,
    tissue: NDArray[np.uint8],
    where: NDArray[np.bool_] | None,
    *,
    frame: Region,
    mpp: float,
    seed: int,
    width: float | None = None,
) -> Zone:
    """Return where a change happens.

    Parameters
    ----------
    place : Place
    tissue : (h, w) uint8
    where : (h, w) bool, optional
        What "here" means; the whole frame by default.
    frame : Region
        On the plane, in pixels of `mpp` um.
    mpp : float
    seed : int
        Of the waves of new borders.
    width : float, optional
        Um of a band, in place of what is usual.

    Raises
    ------
    InvalidRequest
        When the place is not in the frame.
    """
    whole = np.ones(tissue.shape, np.bool_)
    if place.kind == "everywhere":
        return Zone(whole, "")
    if place.kind == "here":
        if where is not None and not where.any():
            raise InvalidRequest(
                'expected a mask with at least one painted pixel for "here", got an empty one; '
                "paint where something may change, or leave the mask out"
            )
        return Zone(whole if where is None else where, " here")
    if place.tissue is None or place.kind.split()[0] in (
        "top",
        "bottom",
        "left",
        "right",
        "middle",
    ):
        return Zone(_side(place.kind, frame, mpp, seed, width), f" at the {place.kind}")
    name = name_of(place.tissue)
    if place.kind == "in":
        mask = tissue == place.tissue
        words = f" in the {name}"
    else:
        body = body_of(tissue, place.tissue)
        if not body.any():
            raise nothing_of(place.tissue, tissue)
        away = ndimage.distance_transform_edt(~body) * mpp
        long = border_length(body, mpp)
        length = f"{long / 1000:.1f} mm" if long >= 100 else f"{long:.0f} µm"
        length += f" of the border of the {name}"
        if place.kind == "border":
            mask, words = (away > 0) & (away <= (width or _BORDER)), f" along {length}"
        elif place.kind == "between":
            reach = _BETWEEN / mpp
            wide = away <= _BETWEEN
            closed = ndimage.distance_transform_edt(np.pad(wide, 1, constant_values=True)) > reach
            mask, words = closed[1:-1, 1:-1] & ~body, f" between the {name}s"
        else:
            mask, words = (away > 0) & (away <= (width or _AROUND)), f" around the {name}"
    if not mask.any():
        raise nothing_of(place.tissue, tissue)
    return Zone(mask, words)


def nothing_of(number: int, tissue: NDArray[np.uint8]) -> InvalidRequest:
    """Return the error of a tissue that is not in the frame."""
    present = [name_of(n) for n in np.unique(tissue[tissue > 0]).tolist()]
    seen = ", ".join(present) or "no tissue at all"
    return InvalidRequest(
        f"expected {name_of(number)} in the frame, got {seen}; paint some, or let tissue be "
        "suggested first"
    )


def _side(
    kind: str, frame: Region, mpp: float, seed: int, width: float | None
) -> NDArray[np.bool_]:
    height, wide = frame.shape
    y, x = np.mgrid[:height, :wide].astype(np.float32) * np.float32(mpp)
    tall, across = height * mpp, wide * mpp
    sides = kind.split()
    if sides == ["middle"]:
        away = np.hypot(y - tall / 2, x - across / 2) - (width or min(tall, across)) / 4
    else:
        bands = {"top": y, "bottom": tall - y, "left": x, "right": across - x}
        along = {"top": tall, "bottom": tall, "left": across, "right": across}
        chosen = [side for side in sides if side in bands]
        aways = [bands[side] - (width or along[side] * _SIDE) for side in chosen]
        away = np.max(aways, axis=0)
    mask: NDArray[np.bool_] = away + _waves(frame, mpp, seed) < 0
    return mask


def _waves(frame: Region, mpp: float, seed: int) -> NDArray[np.float32]:
    sides = tuple(max(2, round(side / mpp)) for side in _WAVE_SIDES)
    field = ValueNoise(seed, 95, sides, (_WAVES, _WAVES / 2))
    return field.on(Pixels(frame.y, frame.x, 1, *frame.shape))
