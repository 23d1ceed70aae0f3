"""Writes a training file image by image, so that no set has to fit into memory."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import relabel_sequential

from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.maps import instance_edges, nuclei_union
from napari_histodiff.datasets.sources import PackItem, Sample

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PackWriter"]

_MOST_IDS: Final = int(np.iinfo(np.uint16).max)
_LEVEL: Final = 1  # pixels hardly compress further, and level 6 takes three times as long


class PackWriter:
    """A context manager that writes samples into the packed file `path`.

    The file takes its place when the block ends without an error and holds at least one image;
    until then, and after an error, what lay there before stays.

    Raises
    ------
    StorageError
        When the folder or the file cannot be written.
    TrainingError
        When one image holds more than 65,535 nuclei.
    """

    def __init__(self, path: Path) -> None:
        self.items: list[PackItem] = []
        self._path = path
        self._partial = path.with_suffix(".partial.npz")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._zip = ZipFile(self._partial, "w", ZIP_DEFLATED, compresslevel=_LEVEL)
        except OSError as error:
            raise self._refusal(error) from error

    def add(self, sample: Sample) -> None:
        """Append one image with its maps."""
        i = len(self.items)
        self._write(f"pixels_{i}", sample.pixels)
        self._write(f"layers_{i}", _layers(sample))
        self._write(f"instances_{i}", _short_ids(sample.instances, sample.item.name))
        self.items.append(sample.item)

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self.items:
                self._finish()
        finally:
            with suppress(OSError, ValueError):  # the first error is the one to tell
                self._zip.close()
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._write("index", np.array(json.dumps([asdict(item) for item in self.items])))
        try:
            self._zip.close()
            self._partial.replace(self._path)
        except OSError as error:
            raise self._refusal(error) from error

    def _write(self, name: str, array: NDArray[Any]) -> None:
        try:
            with self._zip.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> StorageError:
        return StorageError(
            f"expected to write {self._path}, got '{error.strerror or error}'; "
            "free some space or choose another place"
        )


def _layers(sample: Sample) -> NDArray[np.uint8]:
    """Return the planes of `packing.LAYERS`, (h, w, 5) uint8."""
    instances, classes = sample.instances.astype(np.int32), sample.classes
    edges = instance_edges(instances, classes)
    union = nuclei_union(classes, instances)
    return np.stack(
        [classes, edges.astype(np.uint8), union.astype(np.uint8), sample.tissue, sample.valid], -1
    )


def _short_ids(instances: NDArray[np.int32], name: str) -> NDArray[np.uint16]:
    if instances.size and int(instances.max()) > _MOST_IDS:
        instances = relabel_sequential(instances)[0]
        if int(instances.max()) > _MOST_IDS:
            raise TrainingError(
                f"expected at most {_MOST_IDS} nuclei in one image, got {int(instances.max())} in "
                f"{name}; cut it into smaller images"
            )
    return instances.astype(np.uint16)
