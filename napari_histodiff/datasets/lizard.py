"""Reads Lizard as published: PNG images beside `Labels/*.mat` (Graham et al., ICCVW 2021)."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import N_CLASSES, as_instance_map
from napari_histodiff.datasets.annotated import Annotated, Entry
from napari_histodiff.datasets.files import by_stem, check_pairs, read_image, valid
from napari_histodiff.datasets.packing import slide_of

__all__ = ["lizard_entries"]

_KEYS: Final = ("inst_map", "id", "class")


def lizard_entries(folder: Path, mpp: float | None) -> list[Entry]:
    """List the images below `folder`; each `.mat` belongs to the image of the same name.

    Raises
    ------
    TrainingError
        When there is no image, or a `.mat` has none.
    """
    labels = by_stem(folder.rglob("*"), frozenset({".mat"}))
    images = by_stem(path for path in folder.rglob("*") if path.suffix.lower() != ".npy")
    check_pairs(images, labels, folder)
    return [
        Entry(
            name,
            slide_of(name),
            partial(_load, path, labels.get(name)),
            tuple(p for p in (path, labels.get(name)) if p is not None),
        )
        for name, path in images.items()
    ]


def _load(image: Path, labels: Path | None) -> Annotated:
    pixels, mpp = read_image(image)
    if labels is None:
        return Annotated(pixels, mpp=mpp)
    content = _content(labels)
    instances = valid(as_instance_map, _whole(content["inst_map"]), labels)
    ids, kinds = (_whole(content[key]).ravel() for key in ("id", "class"))
    if len(ids) != len(kinds) or (len(kinds) and not 1 <= kinds.min() <= kinds.max() <= N_CLASSES):
        raise TrainingError(
            f"expected one class from 1 to {N_CLASSES} for each of {len(ids)} ids in {labels}, "
            f"got {len(kinds)} of {sorted(set(kinds.tolist()))[:9]}; export the file again"
        )
    classes, missing = _classes(instances, ids, kinds)
    notes = Counter({"nuclei without a class in their .mat": missing} if missing else {})
    return Annotated(pixels, instances, classes, mpp=mpp, notes=notes)


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = loadmat(path)
    except Exception as error:  # scipy raises whatever it likes at a damaged file
        raise TrainingError(
            f"expected a MATLAB file before version 7.3 in {path}, got {error}; save it with -v7"
        ) from error
    missing = [key for key in _KEYS if key not in content]
    if missing:
        present = ", ".join(key for key in content if not key.startswith("__"))
        raise TrainingError(
            f"expected {', '.join(_KEYS)} in {path}, got {present or 'nothing'}; "
            "use the label files of Lizard, or PNG maps in classes/ and instances/"
        )
    return content


def _whole(array: NDArray[Any]) -> NDArray[Any]:
    """MATLAB keeps whole numbers as floats; as integers where nothing is lost."""
    numbers = np.asarray(array)
    if numbers.dtype.kind == "f" and np.all(numbers == np.rint(numbers)):
        return numbers.astype(np.int64)
    return numbers


def _classes(
    instances: NDArray[np.int32], ids: NDArray[Any], kinds: NDArray[Any]
) -> tuple[NDArray[np.uint8], int]:
    """The class map, and how many nuclei are in no list of classes."""
    present, inverse = np.unique(instances, return_inverse=True)
    table = dict(zip(ids.tolist(), kinds.tolist(), strict=True))
    of_present = np.array([table.get(i, 0) if i else 0 for i in present.tolist()], np.uint8)
    missing = int((of_present[present > 0] == 0).sum())
    return of_present[inverse].reshape(instances.shape), missing
