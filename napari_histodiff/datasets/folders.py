"""Reads folders of annotated images in the formats people have, and packs them for training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tqdm import tqdm

from napari_histodiff.core.captions import ORGANS, parse_caption
from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.datasets.annotated import COARSEST, FINEST, Entry, Origin, samples_of
from napari_histodiff.datasets.conic import conic_entries
from napari_histodiff.datasets.files import (
    CAPTIONS,
    ReadReport,
    by_stem,
    has_images,
    image_folder,
    read_captions,
    slides_among,
    suffix_of,
    unread,
    visible_files,
)
from napari_histodiff.datasets.geojson import geojson_entries, geojson_files
from napari_histodiff.datasets.lizard import lizard_entries
from napari_histodiff.datasets.packing import PackWriter, held_out_slides
from napari_histodiff.datasets.plain import plain_entries
from napari_histodiff.datasets.sources import Sample, Split
from napari_histodiff.datasets.tissue_labels import Opinion, label_sample

__all__ = [
    "FORMATS",
    "AnnotatedFolder",
    "PackedFolder",
    "detect_format",
    "pack_folder",
    "pack_split",
    "read_folder",
]

_READERS: Final[dict[str, Callable[[Path, float | None], list[Entry]]]] = {
    "conic": conic_entries,
    "lizard": lizard_entries,
    "geojson": geojson_entries,
    "folder": plain_entries,
}

_NAMES, _SETS = 8, 3  # of what a folder of no format holds, in a message

#: Share of the slides that is kept from training.
_HELD_OUT: Final = 0.1

#: The formats by name.
FORMATS: Final = tuple(_READERS)


class AnnotatedFolder:
    """A folder whose files are listed but not yet read.

    Parameters
    ----------
    folder : Path
    mpp : float, optional
        Micrometres per pixel of the images, 0.05-8; without it what each file states, else 0.5.
    organ : str, optional
        Organ of the images whose caption names none.
    data_format : str
        One of `FORMATS`, or "auto".

    Raises
    ------
    TrainingError
        When the folder holds nothing that can be read, a label has no image, or an argument is
        out of range.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mpp: float | None = None,
        organ: str | None = None,
        data_format: str = "auto",
    ) -> None:
        if mpp is not None and not FINEST <= mpp <= COARSEST:
            raise TrainingError(
                f"expected {FINEST:g} to {COARSEST:g} micrometres per pixel, got {mpp:g}; "
                "give 0.25 for 40x and 0.5 for 20x"
            )
        self.report = ReadReport()
        self._origin = Origin(folder.resolve().name, mpp, _organ(organ))
        found = detect_format(folder) if data_format == "auto" else data_format
        if found not in _READERS:
            raise TrainingError(
                f"expected a format of {', '.join(FORMATS)} or auto, got {data_format!r}; "
                "choose one of these"
            )
        entries = _READERS[found](folder, mpp)
        self._notes = read_captions(folder, [entry.name for entry in entries])
        self.entries = [self._of_slide(entry) for entry in entries]
        used = (path for entry in entries for path in entry.files)
        self.report.unread = unread(folder, (*used, folder / CAPTIONS))

    def samples(self, entry: Entry) -> Iterator[Sample]:
        """Read one image; its nuclei are counted in `report`."""
        note = self._notes.get(entry.name)
        yield from samples_of(entry, note.caption if note else "", self._origin, self.report)

    def _of_slide(self, entry: Entry) -> Entry:
        note = self._notes.get(entry.name)
        return replace(entry, slide=note.slide) if note and note.slide else entry


def detect_format(folder: Path) -> str:
    """Return which of `FORMATS` the files of a folder are in.

    Raises
    ------
    TrainingError
        When they are in none, or in two.
    """
    if not folder.is_dir():
        raise TrainingError(f"expected a folder of images, got {folder}; check the path")
    if (folder / "images.npy").is_file() and (folder / "labels.npy").is_file():
        return "conic"
    mat = next((path for path in visible_files(folder) if suffix_of(path) == ".mat"), None)
    geojson = next(geojson_files(folder), None)
    if mat is not None and geojson is not None:
        raise TrainingError(
            f"expected labels in one format, got {mat.name} and {geojson.name}; "
            "move one kind out of the folder"
        )
    if mat is not None:
        return "lizard"
    if geojson is not None:
        return "geojson"
    if by_stem(image_folder(folder).glob("*")):
        return "folder"
    raise TrainingError(
        f"expected images/ or another annotated set in {folder}, {_what_is_in(folder)}"
    )


def _what_is_in(folder: Path) -> str:
    """Say what a folder of no format holds instead, and what to do about it."""
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inside = there if image_folder(folder) == folder else [*there, *image_folder(folder).iterdir()]
    if slides := slides_among(inside):
        return (
            f"got slides ({slides}), which are not trained on whole; cut them into PNG tiles, or "
            "paint their nuclei and write tiles with histodiff export --format folder"
        )
    folders = [path for path in there if path.is_dir()]
    names = [path.name for path in there][:_NAMES]
    if folders == there and (sets := [path for path in folders if has_images(path)]):
        return f"got only folders ({', '.join(names)}); give one of them, as " + " or ".join(
            map(str, sets[:_SETS])
        )
    return (
        f"got {', '.join(names) or 'nothing'}; put the images into images/ and their maps into "
        "instances/ and classes/"
    )


def read_folder(
    folder: Path,
    *,
    mpp: float | None = None,
    organ: str | None = None,
    data_format: str = "auto",
    report: ReadReport | None = None,
) -> Iterator[Sample]:
    """Yield the images of a folder at about 0.5 um/px; the files are listed before this returns.

    Parameters are those of `AnnotatedFolder`; `report` is filled as images are drawn.

    Raises
    ------
    TrainingError
        When the folder cannot be read; for a damaged file, when its turn comes.
    """
    opened = AnnotatedFolder(folder, mpp=mpp, organ=organ, data_format=data_format)
    if report is not None:
        report.unread.update(opened.report.unread)
        opened.report = report
    return (sample for entry in opened.entries for sample in opened.samples(entry))


def _organ(name: str | None) -> str | None:
    if not name:
        return None
    organ = parse_caption(name).caption.organ
    if organ is None:
        raise TrainingError(
            f"expected an organ of {', '.join(ORGANS)}, got {name!r}; choose one or leave it out"
        )
    return organ


@dataclass(frozen=True, slots=True)
class PackedFolder:
    """The written files, no validation file when there is one slide only, and what was read."""

    train: Path
    validation: Path | None
    report: ReadReport


def pack_folder(
    folder: Path,
    output: Path,
    *,
    mpp: float | None = None,
    organ: str | None = None,
    data_format: str = "auto",
    validation: float = _HELD_OUT,
    opinion: Opinion | None = None,
) -> PackedFolder:
    """Write the images of `folder` into `output` and `NAME-validation.npz` beside it.

    All images of a slide (see `splitting.slide_of`, and the column slide of `captions.csv`) go
    into the same file; the same folder is always split in the same way. Images without a tissue map
    get one by rule and by `opinion`, see `tissue_labels`.

    Parameters
    ----------
    folder : Path
        Annotated images in one of `folders.FORMATS`.
    output : Path
        The training file; replaced when it exists.
    mpp : float, optional
        Micrometres per pixel of the images, 0.05-8, else what each file states, else 0.5; finer
        than 0.4 they are reduced to about 0.5.
    organ : str, optional
        Organ of the images whose caption names none.
    data_format : str
        One of `folders.FORMATS`, or "auto".
    validation : float
        Share of the slides that are held out, 0-0.5.
    opinion : Opinion, optional
        A network's word on where glands are, for images without a tissue map.

    Raises
    ------
    TrainingError
        When the folder or one of its files cannot be used.
    StorageError
        When a file cannot be written.
    """
    opened = AnnotatedFolder(folder, mpp=mpp, organ=organ, data_format=data_format)
    held_out = held_out_slides((entry.slide for entry in opened.entries), validation)
    aside = output.with_name(f"{output.stem}-validation.npz")

    def change(sample: Sample) -> Sample:
        return sample if sample.item.has_tissue else label_sample(sample, opinion=opinion)

    with PackWriter(output) as train, PackWriter(aside) as test:
        for entry in tqdm(opened.entries, desc="packing", unit="image", disable=None):
            held = entry.slide in held_out
            if held:
                opened.report.notes["images kept for validation"] += 1
            writer, samples = test if held else train, opened.samples(entry)
            said = writer.add_all(samples, change, network=opinion is not None)
            opened.report.notes.update(said)
    if not held_out:
        _remove(aside)
    return PackedFolder(output, aside if held_out else None, opened.report)


def pack_split(
    folder: Path,
    output: Path,
    split: Split,
    *,
    mpp: float | None = None,
    organ: str | None = None,
    change: Callable[[Sample], Sample] | None = None,
) -> ReadReport:
    """Write the images of `folder` that training learns from, or those it keeps aside.

    The slides are split as `pack_folder` splits them.

    Parameters
    ----------
    folder, mpp, organ
        As those of `pack_folder`.
    output : Path
        The packed file; replaced when it exists.
    split : "train" or "test"
        Of one slide alone all is "train".
    change : callable, optional
        Makes of each image with its maps what is written.

    Raises
    ------
    TrainingError
        When the folder or one of its files cannot be used, or no slide is kept aside.
    StorageError
        When the file cannot be written.
    """
    opened = AnnotatedFolder(folder, mpp=mpp, organ=organ)
    held_out = held_out_slides((entry.slide for entry in opened.entries), _HELD_OUT)
    chosen = [entry for entry in opened.entries if (entry.slide in held_out) == (split == "test")]
    if not chosen:
        raise TrainingError(
            f"expected images of two slides or more in {folder}, of which one is the {split} "
            f"split, got one slide; name the slides in {CAPTIONS}, or pack the train split"
        )
    with PackWriter(output) as writer:
        for entry in tqdm(chosen, desc=f"packing {split}", unit="image", disable=None):
            opened.report.notes.update(writer.add_all(opened.samples(entry), change))
    if rest := len(opened.entries) - len(chosen):
        other = "test" if split == "train" else "train"
        opened.report.notes[f"images left out, which are the {other} split"] = rest
    return opened.report


def _remove(path: Path) -> None:
    """Remove the validation file of an earlier run: it may hold what is trained on now."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected to remove {path}, got '{error.strerror or error}'; remove it yourself"
        ) from error
