"""Packs a folder of annotated images into a training and a validation file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from napari_histodiff.core.errors import StorageError
from napari_histodiff.datasets.folders import AnnotatedFolder
from napari_histodiff.datasets.pack_writer import PackWriter
from napari_histodiff.datasets.read_report import ReadReport
from napari_histodiff.datasets.splitting import held_out_slides

__all__ = ["PackedFolder", "pack_folder"]


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
    mpp: float,
    organ: str | None = None,
    data_format: str = "auto",
    validation: float = 0.1,
) -> PackedFolder:
    """Write the images of `folder` into `output` and `NAME-validation.npz` beside it.

    All images of a slide (see `splitting.slide_of`, and the column slide of `captions.csv`) go
    into the same file; the same folder is always split in the same way.

    Parameters
    ----------
    folder : Path
        Annotated images in one of `folders.FORMATS`.
    output : Path
        The training file; replaced when it exists.
    mpp : float
        Micrometres per pixel of the images, 0.05-8; finer than 0.4 they are reduced to about 0.5.
    organ : str, optional
        Organ of the images whose caption names none.
    data_format : str
        One of `folders.FORMATS`, or "auto".
    validation : float
        Share of the slides that are held out, 0-0.5.

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
    with PackWriter(output) as train, PackWriter(aside) as test:
        for entry in tqdm(opened.entries, desc="packing", unit="image", disable=None):
            writer = test if entry.slide in held_out else train
            for sample in opened.samples(entry):
                writer.add(sample)
    if not held_out:
        _remove(aside)
    return PackedFolder(output, aside if held_out else None, opened.report)


def _remove(path: Path) -> None:
    """Remove the validation file of an earlier run: it may hold what is trained on now."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected to remove {path}, got '{error.strerror or error}'; remove it yourself"
        ) from error
