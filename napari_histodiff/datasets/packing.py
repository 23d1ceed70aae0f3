"""Packs annotated H&E into one small training file, a slide on one side of a split.

The file is a NumPy archive (no pickles): `index` is JSON, and item i has `pixels_i`
(h, w, 3) uint8 RGB, `layers_i` (h, w, 5) uint8 in the order of `LAYERS`, and `instances_i`
(h, w) uint16. It is written image by image, so that no set has to fit into memory.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import relabel_sequential
from tqdm import tqdm

from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.maps import CLASS_NAMES, instance_edges, nuclei_union
from napari_histodiff.datasets.sources import PackItem, Sample, Split, read_all
from napari_histodiff.datasets.tissue_labels import labelled

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "LAYERS",
    "Pack",
    "PackWriter",
    "class_counts",
    "held_out_slides",
    "load_pack",
    "pack",
    "slide_of",
]

_log = logging.getLogger(__name__)

#: Meaning of the last axis of `layers_i`.
LAYERS: Final = ("class", "edges", "union", "tissue", "valid")


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A loaded training file; element i of each list belongs to `items[i]`."""

    items: list[PackItem]
    pixels: list[NDArray[np.uint8]]
    layers: list[NDArray[np.uint8]]
    instances: list[NDArray[np.uint16]]


def pack(
    data: Path,
    output: Path,
    *,
    split: Split = "train",
    fine: bool = False,
    change: Callable[[Sample], Sample] | None = None,
) -> Path:
    """Write every image of `split` under `data` into `output` and return it.

    With `fine`, those that were scanned at 40x, at about 0.25 um/px. `change`, such as
    `tissue_labels.label_sample`, makes of each image with its maps what is written.

    Raises
    ------
    TrainingError
        When `data` holds no `splits.json` or no image of that split.
    StorageError
        When the file cannot be written.
    """
    if not (data / "splits.json").is_file():
        raise TrainingError(
            f"expected splits.json in {data}, got none; give the folder that holds it"
        )
    notes: Counter[str] = Counter()
    with PackWriter(output) as writer:
        for sample in tqdm(read_all(data, split, fine=fine), desc=f"packing {split}", unit="image"):
            notes.update(writer.add_all([sample], change))
    for note, many in notes.items():
        _log.info("%s: %d", note, many)
    if not writer.items:
        raise TrainingError(
            f"expected images of the {split} split under {data}, got none; "
            "give the folder that holds splits.json"
        )
    return output


def load_pack(path: Path) -> Pack:
    """Read a packed file into memory.

    Raises
    ------
    TrainingError
        When the file is missing or is no packed file.
    """
    if not path.is_file():
        raise TrainingError(f"expected a packed file at {path}, got none; run `histodiff pack`")
    if not is_zipfile(path):
        raise TrainingError(f"expected a packed file, got something else in {path}; pack again")
    with np.load(path, allow_pickle=False) as archive:
        if "index" not in archive:
            raise TrainingError(f"expected a packed file, got {path} without an index; pack again")
        try:
            items = [from_json(PackItem, entry) for entry in json.loads(str(archive["index"]))]
        except ValueError as error:
            raise TrainingError(
                f"expected a packed file of this version in {path}, got {error}; pack again"
            ) from error
        numbers = range(len(items))
        return Pack(
            items,
            pixels=[archive[f"pixels_{i}"] for i in numbers],
            layers=[archive[f"layers_{i}"] for i in numbers],
            instances=[archive[f"instances_{i}"] for i in numbers],
        )


def class_counts(packed: Pack) -> dict[str, int]:
    """Count the nuclei of each class name over all items whose classes are known.

    A nucleus that the border of a tile cuts counts once.
    """
    counts = dict.fromkeys(CLASS_NAMES, 0)
    for item, layers, instances in zip(packed.items, packed.layers, packed.instances, strict=True):
        if not item.has_classes:
            continue
        if item.nuclei is not None:
            for name, count in zip(CLASS_NAMES, item.nuclei[1:], strict=True):
                counts[name] += count
            continue
        inside = (instances > 0) & (layers[..., LAYERS.index("valid")] > 0)
        keys = instances[inside].astype(np.int64) * 8 + layers[..., 0][inside]
        classes = np.unique(keys) % 8
        for i, name in enumerate(CLASS_NAMES, start=1):
            counts[name] += int((classes == i).sum())
    return counts


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

    def add_all(
        self,
        samples: Iterable[Sample],
        change: Callable[[Sample], Sample] | None,
        *,
        network: bool = True,
    ) -> list[str]:
        """Append an image, tile by tile.

        Parameters
        ----------
        samples : iterable of Sample
            Its tiles.
        change : callable, optional
            Makes of each what is written.
        network : bool
            Whether a network had a say in the change.

        Returns
        -------
        list of str
            Once each, what was labelled in it; see `tissue_labels.labelled`.
        """
        said: set[str] = set()
        for sample in samples:
            written = sample if change is None else change(sample)
            self.add(written)
            said.update(labelled(sample, written, network=network))
        return sorted(said)

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


_TCGA: Final = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)


def slide_of(name: str) -> str:
    """Return what images of one person share in their names.

    Of a TCGA barcode the first 12 characters, which name the patient; any other name as it is.
    """
    found = _TCGA.search(name)
    return name if found is None else found.group().upper()


def held_out_slides(slides: Iterable[str], share: float) -> frozenset[str]:
    """Choose the slides of the validation set: the same ones whenever the names are the same.

    About `share` of the slides, at least one and never all; none when `share` is 0 or there is
    one slide only.

    Raises
    ------
    TrainingError
        When `share` is not in 0-0.5.
    """
    if not 0 <= share <= 0.5:
        raise TrainingError(
            f"expected a validation share from 0 to 0.5, got {share:g}; give 0.1 for a tenth"
        )
    names = sorted(set(slides), key=lambda name: sha256(os.fsencode(name)).digest())
    if share == 0 or len(names) < 2:
        return frozenset()
    return frozenset(names[: max(1, round(share * len(names)))])
