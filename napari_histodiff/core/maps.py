"""Class, instance and tissue maps, edit masks and RGB images: checked, converted, encoded.

A *class map* says what is where (Lizard ids), an *instance map* which nucleus a pixel belongs to, a
*tissue map* what region it lies in, an *edit mask* where pixels may change. All are (h, w).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.errors import HistodiffError, InvalidImage, InvalidMap, InvalidRequest

__all__ = [
    "BARE_TISSUES",
    "CLASS_NAMES",
    "FEW_NUCLEI",
    "FIBRE_TURNS",
    "FIRST_TISSUE_NAMES",
    "LABEL_BASE",
    "MAX_INSTANCE",
    "N_CLASSES",
    "TISSUE_NAMES",
    "as_array",
    "as_class_map",
    "as_edit_mask",
    "as_fibres",
    "as_instance_map",
    "as_rgb",
    "as_tissue_map",
    "decode_labels",
    "encode_labels",
    "give",
    "in_schema",
    "instance_edges",
    "is_given",
    "label_of",
    "mixed_instances",
    "nuclei_mask",
    "nuclei_union",
    "plain_ids",
]

A = TypeVar("A", bound=NDArray[Any])

#: Nucleus classes; the id is the position + 1 (ids of the Lizard data set).
CLASS_NAMES: Final = (
    "neutrophil",
    "epithelial",
    "lymphocyte",
    "plasma",
    "eosinophil",
    "connective",
)
N_CLASSES: Final = len(CLASS_NAMES)

#: Directions that fibres can have, over half a turn.
FIBRE_TURNS: Final = 16

#: A class of fewer training nuclei than this may not be recognisable in what a model draws.
FEW_NUCLEI: Final = 500

#: Tissue schema; the id is the position. A model knows all of these or the first few, see its
#: `tissue_names`; ids never change, so that maps, slides and weights stay valid.
TISSUE_NAMES: Final = (
    "unspecified",
    "gland",
    "stroma",
    "lumen",
    "glass",
    "muscle",
    "fat",
    "blood",
    "mucus",
    "lymphoid",
    "necrosis",
    "vessel",
)

#: What models before version 5 know of the schema, and slides hold that were made before.
FIRST_TISSUE_NAMES: Final = TISSUE_NAMES[:5]

#: Tissue in which no nucleus is expected.
BARE_TISSUES: Final = ("lumen", "glass")

#: Labels of nuclei are this times their number, plus their class.
LABEL_BASE: Final = N_CLASSES + 1

#: The largest nucleus id whose label still fits int32.
MAX_INSTANCE: Final = (2**31 - 1) // LABEL_BASE - 1


def as_class_map(a: ArrayLike) -> NDArray[np.uint8]:
    """Return a class map: (h, w) uint8, ids 0-6, 0 = no nucleus or class unknown.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, not of whole numbers, or holds an id outside 0-6.
    """
    advice = "use 0 for none and 1-6 for " + ", ".join(CLASS_NAMES)
    return _ids(a, "a class map", N_CLASSES, advice).astype(np.uint8, copy=False)


def as_instance_map(a: ArrayLike) -> NDArray[np.int32]:
    """Return an instance map: (h, w) int32, 0 = background, one positive id per nucleus.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, not of whole numbers, negative or above `MAX_INSTANCE`.
    """
    advice = "number the nuclei from 1, for example with skimage.segmentation.relabel_sequential"
    return _ids(a, "an instance map", MAX_INSTANCE, advice).astype(np.int32, copy=False)


def as_tissue_map(a: ArrayLike, n_classes: int) -> NDArray[np.uint8]:
    """Return a tissue map: (h, w) uint8, ids 0 .. n_classes - 1, 0 = unspecified.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, not of whole numbers, or holds an unknown id.
    """
    advice = "map its ids to the tissue schema of the model"
    return _ids(a, "a tissue map", n_classes - 1, advice).astype(np.uint8, copy=False)


def as_fibres(a: ArrayLike) -> NDArray[np.uint8]:
    """Return a map of where fibres point: (h, w) uint8, 0 = nowhere, 1 to `FIBRE_TURNS`.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, not of whole numbers, or holds another number.
    """
    advice = "give 0 where there are none, else 1 + their sixteenth of half a turn"
    return _ids(a, "a map of fibres", FIBRE_TURNS, advice).astype(np.uint8, copy=False)


def in_schema(
    tissue_map: ArrayLike, names: Sequence[str], known: Sequence[str] = TISSUE_NAMES
) -> NDArray[np.uint8]:
    """Return a tissue map in another schema, (h, w) uint8: ids are matched by their names.

    What `names` lacks becomes 0, unspecified.

    Parameters
    ----------
    tissue_map : (h, w) whole numbers
        Ids of `known`.
    names : sequence of str
        The schema wanted, such as a model's; the id is the position.
    known : sequence of str
        The schema given.

    Raises
    ------
    InvalidMap
        When it is no tissue map of `known`.
    """
    found = [names.index(name) if name in names else 0 for name in known]
    table = np.array(found, np.uint8)
    result: NDArray[np.uint8] = table[as_tissue_map(tissue_map, len(known))]
    return result


def as_edit_mask(a: ArrayLike) -> NDArray[np.bool_]:
    """Return an edit mask: (h, w) bool, True where pixels may change.

    Whole numbers are taken when they are 0 and 1, or 0 and 255.

    Raises
    ------
    InvalidMap
        When it is not two-dimensional, or not clearly two-valued.
    """
    array = as_array(a, "an edit mask", InvalidMap)
    _check_plane(array, "an edit mask")
    on = array.astype(np.bool_, copy=False)
    marked = array[on]
    two_valued = array.dtype.kind in "iu" and (np.all(marked == 1) or np.all(marked == 255))
    if array.dtype != np.bool_ and not two_valued:
        raise InvalidMap(
            f"expected an edit mask of bool, got {_describe(array)}; "
            "compare first, for example mask > 0"
        )
    return on


def as_rgb(a: ArrayLike) -> NDArray[np.uint8]:
    """Return an image as (h, w, 3) uint8 RGB, converted only when there is one way to read it.

    Whole numbers of any width are taken when all lie in 0-255, floats when all lie in 0-1
    (multiplied by 255 and rounded), a fourth channel when it is opaque everywhere.

    Raises
    ------
    InvalidImage
        For every other shape, dtype or range; the message says how to convert.
    """
    array = as_array(a, "an image", InvalidImage)
    if array.dtype.kind not in "iuf":
        raise InvalidImage(
            f"expected an image of uint8, got dtype {array.dtype}; "
            "convert it to uint8 or to floats in 0-1"
        )
    array = _without_alpha(array)
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InvalidImage(
                "expected an image of finite numbers, got NaN or infinity; "
                "fill those pixels first, for example with numpy.nan_to_num"
            )
        if low < 0 or high > 1:
            raise InvalidImage(
                f"expected a float image in 0-1, got {low:g} to {high:g}; "
                "rescale it, or convert to uint8 when it holds 0-255"
            )
        rounded: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
        return rounded
    if low < 0 or high > 255:
        raise InvalidImage(
            f"expected an 8-bit image, got {array.dtype} with values {low} to {high}; rescale it "
            "to 0-255 and convert to uint8"
        )
    return array.astype(np.uint8)


def instance_edges(
    instance_map: ArrayLike, class_map: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Return the pixels of nuclei that touch anything else, (h, w) bool.

    A nucleus pixel is an edge when one of its 4 neighbours inside the image has another (instance,
    class) pair, background included; so touching nuclei are separated from both sides. The border
    of the image makes no edge.
    """
    instances = as_instance_map(instance_map)
    classes = np.zeros(instances.shape, np.uint8) if class_map is None else as_class_map(class_map)
    labels = encode_labels(instances, classes)
    edges: NDArray[np.bool_] = np.zeros(labels.shape, np.bool_)
    vertical = labels[1:] != labels[:-1]
    edges[1:] |= vertical
    edges[:-1] |= vertical
    horizontal = labels[:, 1:] != labels[:, :-1]
    edges[:, 1:] |= horizontal
    edges[:, :-1] |= horizontal
    edges &= labels != 0
    return edges


def nuclei_mask(class_map: ArrayLike, instance_map: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Return the 7 channels the model reads: (7, h, w) uint8 of 0 and 1.

    Channels 0-5 are the classes one-hot in the order of `CLASS_NAMES`, channel 6 the edges (see
    `instance_edges`; without an instance map, the borders between classes). Nuclei of unknown class
    (class 0, instance > 0) show in the edges only.
    """
    classes = as_class_map(class_map)
    instances = _instances_like(classes, instance_map)
    mask = np.empty((N_CLASSES + 1, *classes.shape), np.uint8)
    for channel in range(N_CLASSES):
        np.equal(classes, channel + 1, out=mask[channel], casting="unsafe")
    mask[N_CLASSES] = instance_edges(instances, classes)
    return mask


def nuclei_union(class_map: ArrayLike, instance_map: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Return where any nucleus is, of known class or not, (h, w) bool."""
    classes = as_class_map(class_map)
    union: NDArray[np.bool_] = (classes != 0) | (_instances_like(classes, instance_map) != 0)
    return union


def encode_labels(instance_map: ArrayLike, class_map: ArrayLike) -> NDArray[np.int32]:
    """Return one number per (instance, class) pair, 7 * instance + class, (h, w) int32.

    Raises
    ------
    InvalidMap
        When a map is invalid or the two differ in shape.
    """
    classes = as_class_map(class_map)
    return _instances_like(classes, instance_map) * np.int32(LABEL_BASE) + classes


def label_of(instance: int, class_id: int) -> int:
    """Return the label of one nucleus, as `encode_labels` gives it."""
    return LABEL_BASE * instance + class_id


def decode_labels(labels: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the instance map and class map of labels made by `encode_labels`.

    Label 0 is background; labels 1-6 are pixels of that class without an instance.

    Raises
    ------
    InvalidMap
        When the labels are not whole numbers from 0 to 2**31 - 1.
    """
    top = LABEL_BASE * MAX_INSTANCE + N_CLASSES
    checked = _ids(labels, "a label map", top, "use labels of 7 * instance + class")
    instances, classes = np.divmod(checked, checked.dtype.type(LABEL_BASE))
    return instances.astype(np.int32), classes.astype(np.uint8)


def mixed_instances(instance_map: ArrayLike, class_map: ArrayLike) -> tuple[int, int]:
    """Count the instances of several classes (of 1-6), and those whose classes lie apart.

    Classes lie apart where no pixel of one touches a pixel of another inside the instance: so look
    numbers that were no 7 * instance + class.
    """
    classes = as_class_map(class_map)
    instances = _instances_like(classes, instance_map)
    inside = (instances > 0) & (classes > 0)
    pairs = np.unique(instances[inside].astype(np.int64) * LABEL_BASE + classes[inside])
    ids, counts = np.unique(pairs // LABEL_BASE, return_counts=True)
    mixed = ids[counts > 1]
    touching = [
        a[(a == b) & (c != d) & (a > 0) & (c > 0) & (d > 0)]
        for a, b, c, d in (
            (instances[1:], instances[:-1], classes[1:], classes[:-1]),
            (instances[:, 1:], instances[:, :-1], classes[:, 1:], classes[:, :-1]),
        )
    ]
    return len(mixed), len(np.setdiff1d(mixed, np.concatenate(touching)))


def plain_ids(labels: ArrayLike) -> bool:
    """Tell whether numbers look like plain nucleus ids rather than `encode_labels` output.

    They do when they run from 1 without a gap beyond the six classes, or when, decoded, instances
    hold several classes in places apart.
    """
    instances, classes = decode_labels(labels)
    present = np.unique(np.asarray(labels))
    present = present[present > 0]
    if len(present) > N_CLASSES and present[-1] == len(present):
        return True
    apart = mixed_instances(instances, classes)[1]
    return apart >= max(2, len(np.unique(instances)) // 20)


def _ids(a: ArrayLike, what: str, top: int, advice: str) -> NDArray[Any]:
    array = as_array(a, what, InvalidMap)
    _check_plane(array, what)
    if array.dtype.kind not in "iu":
        raise InvalidMap(
            f"expected {what} of whole numbers, got dtype {array.dtype}; "
            "convert it to integer ids first"
        )
    if array.size and (array.min() < 0 or array.max() > top):
        raise InvalidMap(f"expected {what} with ids 0-{top}, got {_describe(array)}; {advice}")
    return array


def as_array(a: ArrayLike, what: str, refusal: type[InvalidRequest]) -> NDArray[Any]:
    """Return an array; a lazy one is computed here, and may fail in any way."""
    try:
        return np.asarray(a)
    except (HistodiffError, MemoryError):
        raise
    except Exception as error:
        raise refusal(
            f"expected {what} that can be read, got {type(error).__name__} ({error}); "
            "check the file that it comes from"
        ) from error


def _check_plane(array: NDArray[Any], what: str) -> None:
    if array.ndim != 2:
        raise InvalidMap(
            f"expected {what} of shape (height, width), got shape {array.shape}; "
            "take one plane of it"
        )


def _describe(array: NDArray[Any]) -> str:
    if not array.size or array.dtype.kind not in "iuf":
        return f"dtype {array.dtype}"
    return f"{array.dtype} with values {array.min()} to {array.max()}"


def _without_alpha(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        raise InvalidImage(
            f"expected an RGB image of shape (height, width, 3), got a gray one of {array.shape}; "
            "give a colour image, or stack the plane three times"
        )
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise InvalidImage(
            f"expected an RGB image of shape (height, width, 3), got shape {array.shape}; "
            "take one plane and move the channels last"
        )
    if array.shape[2] == 3:
        return array
    alpha = array[..., 3]
    opaque = (1,) if array.dtype.kind == "f" else (255, 65535)
    if not any(np.all(alpha == value) for value in opaque):
        raise InvalidImage(
            "expected an RGB image, got RGBA that is not opaque everywhere; "
            "flatten it onto a background first"
        )
    return array[..., :3]


def _instances_like(
    classes: NDArray[np.uint8], instance_map: ArrayLike | None
) -> NDArray[np.int32]:
    if instance_map is None:
        return np.zeros(classes.shape, np.int32)
    instances = as_instance_map(instance_map)
    if instances.shape != classes.shape:
        raise InvalidMap(
            f"expected an instance map of shape {classes.shape} like the class map, "
            f"got {instances.shape}; crop both to the same frame"
        )
    return instances


#: By their identity: an array can be read-only for one and have a view that another writes to.
_GIVEN: WeakValueDictionary[int, NDArray[Any]] = WeakValueDictionary()


def give(array: A) -> A:
    """Freeze an array and return it: a request takes it as it is.

    Parameters
    ----------
    array : ndarray
        Its own, or one of whose pixels nobody holds a view that can be written to.
    """
    array.setflags(write=False)
    _GIVEN[id(array)] = array
    return array


def is_given(array: Any) -> bool:
    """Tell whether an array was given, and is as it was then."""
    return (
        isinstance(array, np.ndarray)
        and _GIVEN.get(id(array)) is array
        and not array.flags.writeable
    )
