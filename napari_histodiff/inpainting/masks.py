"""Edit masks in micrometres: grown, shrunk, feathered, and made from nuclei or from outlines."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import as_class_map, as_edit_mask, as_instance_map

__all__ = ["around_nuclei", "feathered", "grow", "inside_outline", "nuclei_under", "shrink"]


def grow(mask: ArrayLike, by: float, mpp: float = 0.5) -> NDArray[np.bool_]:
    """Return a mask with everything nearer than a distance to it, (h, w) bool.

    Parameters
    ----------
    mask : (h, w) bool
        Where pixels may change.
    by : float
        In um, 0 or more; half a pixel is the least that has an effect.
    mpp : float
        Micrometres per pixel.

    Raises
    ------
    InvalidMap, InvalidRequest
        When the mask is none or a length is no length.
    """
    inside, reach = as_edit_mask(mask), _pixels(by, mpp)
    if reach <= 0 or not inside.any():
        return inside.copy()
    grown: NDArray[np.bool_] = distance_transform_edt(~inside) <= reach
    return grown


def shrink(mask: ArrayLike, by: float, mpp: float = 0.5) -> NDArray[np.bool_]:
    """Return a mask without everything nearer than a distance to its edge, (h, w) bool.

    The border of the map is no edge: what a mask touches there goes on outside. Parameters and
    errors are those of `grow`.
    """
    inside = as_edit_mask(mask)
    return ~grow(~inside, by, mpp)


def feathered(mask: ArrayLike, by: float, mpp: float = 0.5) -> NDArray[np.float32]:
    """Return how much of a new pixel is taken, (h, w) float32: 1 deep in a mask, 0 outside it.

    Between the edge and a distance inside it rises smoothly, so that old and new fade into each
    other and nothing outside the mask changes. Parameters and errors are those of `grow`.
    """
    inside, width = as_edit_mask(mask), _pixels(by, mpp)
    # Centres of pixels at the edge are half a pixel inside.
    if width <= 0.5 or inside.all():
        return inside.astype(np.float32)
    share = np.clip((distance_transform_edt(inside) - 0.5) / width, 0, 1)
    smooth = share * share * (3 - 2 * share)
    return np.where(inside, smooth, 0).astype(np.float32)


def around_nuclei(
    instance_map: ArrayLike,
    class_map: ArrayLike | None = None,
    *,
    classes: Collection[int] | None = None,
    ids: Collection[int] | None = None,
    around: float = 0.0,
    mpp: float = 0.5,
) -> NDArray[np.bool_]:
    """Return where nuclei lie, with what is around them, (h, w) bool.

    Parameters
    ----------
    instance_map : (h, w) whole numbers
        Nucleus ids, 0 = background.
    class_map : (h, w) whole numbers 0-6, optional
        Class of each pixel; a nucleus counts when any pixel of it is of a class asked for.
    classes : collection of int, optional
        Only nuclei of these classes; 0 = unknown. All by default.
    ids : collection of int, optional
        Only nuclei of these ids. All by default.
    around : float
        How far around them pixels may change, in um.
    mpp : float
        Micrometres per pixel.

    Raises
    ------
    InvalidMap, InvalidRequest
        When a map is none, their shapes differ, classes are asked for without a class map, or a
        length is no length.
    """
    instances = as_instance_map(instance_map)
    chosen = np.ones(int(instances.max(initial=0)) + 1, np.bool_)
    if classes is not None:
        if class_map is None:
            raise InvalidRequest(
                "expected a class map to choose nuclei by class, got none; give class_map"
            )
        of_class = as_class_map(class_map)
        _same_shape(instances, of_class)
        chosen[:] = False
        chosen[instances[np.isin(of_class, list(classes))]] = True
    if ids is not None:
        chosen &= np.isin(np.arange(len(chosen)), list(ids))
    chosen[0] = False
    return grow(chosen[instances], around, mpp)


def nuclei_under(instance_map: ArrayLike, mask: ArrayLike) -> list[int]:
    """Return the ids of the nuclei that a mask touches, in order.

    Raises
    ------
    InvalidMap
        When a map is none, or their shapes differ.
    """
    instances, inside = as_instance_map(instance_map), as_edit_mask(mask)
    _same_shape(instances, inside)
    touched = np.unique(instances[inside])
    return [int(number) for number in touched if number > 0]


def inside_outline(outline: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie inside a polygon, (h, w) bool.

    Parameters
    ----------
    outline : (n, 2) float
        Corners (y, x), in pixels, the middle of pixel (0, 0) at 0; closed by itself. What lies
        outside the map is left out.
    shape : (int, int)
        Height and width of the map.

    Raises
    ------
    InvalidMap
        When it is no outline of at least three corners.
    """
    from skimage.draw import polygon

    corners = np.asarray(outline, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise InvalidMap(
            f"expected an outline of three (y, x) corners or more, got {corners.shape}; "
            "draw around an area"
        )
    if not np.isfinite(corners).all():
        raise InvalidMap("expected finite corners, got others; draw the outline again")
    inside = np.zeros(shape, np.bool_)
    rows, columns = polygon(corners[:, 0], corners[:, 1], shape)
    inside[rows, columns] = True
    return inside


def _pixels(length: float, mpp: float) -> float:
    """A length in pixels."""
    if not (math.isfinite(length) and length >= 0 and math.isfinite(mpp) and mpp > 0):
        raise InvalidRequest(
            f"expected a length of 0 um or more and a pixel size above 0, got {length!r} and "
            f"{mpp!r}; give both in um"
        )
    return length / mpp


def _same_shape(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise InvalidMap(
            f"expected maps of one shape, got {first.shape} and {second.shape}; crop them alike"
        )
