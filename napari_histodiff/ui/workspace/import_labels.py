"""Brings any Labels layer into the frame as nuclei, and an image to another pixel size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from skimage.transform import resize

from napari_histodiff.core.errors import InvalidImage, InvalidMap
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES
from napari_histodiff.ui.workspace.runs import Runs
from napari_histodiff.ui.workspace.targets import Target
from napari_histodiff.ui.workspace.transforms import place_on

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = [
    "LabelsUnder",
    "class_column",
    "classes_of_table",
    "labels_under",
    "look_like_numbers_of_nuclei",
    "nuclei_from_labels",
    "resampled",
]

#: What the column of a table may be called that says what each nucleus is.
_CLASS_COLUMNS: Final = ("class", "class_id", "class_name", "classification", "type", "label_class")

#: Most rows and columns of a layer that are looked at to tell what its numbers mean.
_LOOK: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class LabelsUnder:
    """Where the numbers of a Labels layer are for each pixel of a region; not read yet.

    Attributes
    ----------
    name : str
        Of the layer.
    data : array
        Its finest level, (height, width), of whatever array type the layer has.
    rows, cols : (h,), (w,) int
        Row and column of it for those of the region; some may lie outside.
    """

    name: str
    data: Any
    rows: NDArray[np.int_]
    cols: NDArray[np.int_]

    @property
    def is_lazy(self) -> bool:
        """Whether reading may take its time: the numbers are not in memory."""
        return not _in_memory(self.data)

    def read(self) -> NDArray[np.int64]:
        """Return the numbers, (h, w) int64; in any thread.

        Only the part under the region is read; 0 where the layer ends.

        Raises
        ------
        InvalidMap
            When the array cannot be read.
        """
        try:
            return _sample(self.data, self.rows, self.cols)
        except Exception as error:
            raise InvalidMap(
                f"expected labels that can be read, got {type(error).__name__} ({error}) from "
                f"'{self.name}'; check the file that it comes from"
            ) from error


def labels_under(source: Labels, target: Layer, region: Region) -> LabelsUnder:
    """Find the pixels of a Labels layer under a region of the target (nearest); reads none.

    The region may be of any level of the target.

    Raises
    ------
    InvalidMap
        When the layer is not 2-D, or is turned against the target.
    """
    if source.ndim != 2:
        raise InvalidMap(
            f"expected a 2-D Labels layer, got '{source.name}' with {source.ndim} dimensions; "
            "extract one plane first"
        )
    data = source.data[0] if source.multiscale else source.data
    side = 1 << region.level
    pixels = np.array([(region.y, region.x), (region.y + 1, region.x), (region.y, region.x + 1)])
    corners = pixels * side + (side - 1) / 2  # middles of pixels, counted in the finest level's
    # Units are converted by hand: data_to_world of two layers may differ in them.
    factor = [
        float((1 * t).to(s).magnitude) if t.is_compatible_with(s) else 1.0
        for t, s in zip(target.units, source.units, strict=True)
    ]
    origin, down, right = (
        np.asarray(source.world_to_data(np.asarray(target.data_to_world(c)) * factor))
        for c in corners
    )
    if abs(down - origin)[1] > 1e-6 or abs(right - origin)[0] > 1e-6:
        raise InvalidMap(
            f"expected a Labels layer parallel to the image, got '{source.name}' turned against "
            "it; resample it onto the image first"
        )
    rows = origin[0] + (down - origin)[0] * np.arange(region.height)
    cols = origin[1] + (right - origin)[1] * np.arange(region.width)
    return LabelsUnder(
        source.name, data, *(np.floor(places + 0.5).astype(int) for places in (rows, cols))
    )


def nuclei_from_labels(
    ids: NDArray[np.int64], class_of: Mapping[int, int] | int | None, first_instance: int
) -> NDArray[np.int32]:
    """Return nuclei labels, 7 * instance + class, made from another layer's ids.

    Parameters
    ----------
    ids : (h, w) int64
        Instances, or classes when `class_of` is None.
    class_of : mapping of int to int, int, or None
        Class 0-6 of each instance id, ids it lacks become nuclei of unknown class; or that of all.
        None = the ids are classes 1-6 already and every connected blob is a nucleus.
    first_instance : int
        Smallest nucleus id to use.

    Raises
    ------
    InvalidMap
        When ids are negative or a class is not 0-6.
    """
    present = np.unique(ids)
    if present.size and present[0] < 0:
        raise InvalidMap(
            f"expected label ids from 0, got {present[0]}; remove negative labels first"
        )
    if isinstance(class_of, Mapping):
        classes = np.array([class_of.get(int(i), 0) if i else 0 for i in present], np.int64)
    else:
        classes = present.copy() if class_of is None else np.where(present > 0, class_of, 0)
    if class_of is None and classes.size and classes.max() > N_CLASSES:
        raise InvalidMap(
            f"expected classes 1-{N_CLASSES} ({', '.join(CLASS_NAMES)}), got numbers up to "
            f"{classes.max()}, as if each nucleus had its own; say which class all of them are"
        )
    if classes.size and (classes.min() < 0 or classes.max() > N_CLASSES):
        wrong = classes.max() if classes.max() > N_CLASSES else classes.min()
        raise InvalidMap(
            f"expected classes 1-{N_CLASSES} ({', '.join(CLASS_NAMES)}), got {wrong}; "
            "say which class each label is"
        )
    runs = Runs.of(ids)
    instances = runs.filled(runs.blobs())
    class_map = classes[np.searchsorted(present, ids)] if present.size else ids
    labels = (N_CLASSES + 1) * (instances + (first_instance - 1)) + class_map
    return np.where(ids > 0, labels, 0).astype(np.int32)


def class_column(source: Labels) -> str:
    """Return the column of a layer's features that says what each nucleus is; empty without one."""
    for column in source.features.columns:
        if str(column).strip().lower() in _CLASS_COLUMNS:
            return str(column)
    return ""


def classes_of_table(source: Labels) -> dict[int, int]:
    """Return the class, 1-6, of each label that a layer's features tell it of.

    The column `index` has the labels, as napari has it; without one, the rows are labels 0, 1, ...
    Classes are numbers or names; what is neither, and a label without a row, is of unknown class.

    Raises
    ------
    InvalidMap
        When no column says what nuclei are.
    """
    column = class_column(source)
    if not column:
        raise InvalidMap(
            f"expected a column 'class' in the table of features of '{source.name}', got none; "
            "say which class all nuclei are"
        )
    table = source.features
    labels = table["index"] if "index" in table.columns else range(len(table))
    return {
        int(label): _class_named(value) for label, value in zip(labels, table[column], strict=True)
    }


def _class_named(value: object) -> int:
    word = str(value).strip().lower()
    if word in CLASS_NAMES:
        return CLASS_NAMES.index(word) + 1
    number = word.removesuffix(".0")
    return int(number) if number.isdecimal() and int(number) <= N_CLASSES else 0


def look_like_numbers_of_nuclei(source: Labels, counts: Mapping[str, int]) -> bool:
    """Tell whether what was imported as classes rather numbers the nuclei.

    It does when several classes were found and each once, or when the layer has larger numbers
    elsewhere; of a layer that is not in memory nothing more is read.

    Parameters
    ----------
    source : Labels
        The layer.
    counts : mapping of str to int
        Nuclei of each class that were made of it.
    """
    found = [count for count in counts.values() if count]
    if len(found) > 1 and max(found) == 1:
        return True
    data = source.data[0] if source.multiscale else source.data
    if not found or not _in_memory(data):
        return False
    rows, cols = (max(1, side // _LOOK) for side in data.shape)
    return int(data[::rows, ::cols].max()) > N_CLASSES


def _in_memory(data: Any) -> bool:
    return isinstance(data, np.ndarray) and not isinstance(data, np.memmap)


def _sample(data: Any, rows: NDArray[np.int_], cols: NDArray[np.int_]) -> NDArray[np.int64]:
    height, width = data.shape
    result = np.zeros((rows.size, cols.size), np.int64)
    ok_rows, ok_cols = (rows >= 0) & (rows < height), (cols >= 0) & (cols < width)
    if not ok_rows.any() or not ok_cols.any():
        return result
    y, x = rows[ok_rows], cols[ok_cols]
    part = np.asarray(data[y.min() : y.max() + 1, x.min() : x.max() + 1])
    result[np.ix_(ok_rows, ok_cols)] = part[np.ix_(y - y.min(), x - x.min())]
    return result


#: Largest side that is resampled; the whole image passes through memory.
_MAX_SIDE: Final = 8192


def resampled(target: Target, mpp: float) -> Image:
    """Return a coarser copy of an image, as a layer on the same place.

    Parameters
    ----------
    target : Target
        The image; it is only read.
    mpp : float
        Micrometres per pixel of the copy, above those of the image.

    Raises
    ------
    InvalidImage
        When a side is above 8192 px.
    """
    bounds = target.bounds
    if max(bounds.shape) > _MAX_SIDE:
        raise InvalidImage(
            f"expected an image of at most {_MAX_SIDE} x {_MAX_SIDE} px to resample, got "
            f"{bounds.height} x {bounds.width}; crop it, or open a coarser level of the file"
        )
    factor = mpp / target.mpp
    height, width = (max(1, int(side / factor)) for side in bounds.shape)
    # Whole pixels of exactly `mpp`: the rest, less than one of them, is cut off.
    part = Region(0, 0, 0, round(height * factor), round(width * factor)).intersect(bounds)
    pixels = target.read(part)
    planes = [resize(pixels[..., i], (height, width), anti_aliasing=True) for i in range(3)]
    layer = target.layer
    # Pixel centres: the first of the copy lies in the middle of `factor` pixels.
    place = place_on(layer, (factor - 1) / 2, (factor - 1) / 2)
    place["scale"] = np.asarray(layer.scale) * factor
    copy = np.stack([np.round(plane * 255) for plane in planes], axis=-1).astype(np.uint8)
    return Image(copy, rgb=True, name=f"{layer.name} at {mpp:g} um per px", **place)
