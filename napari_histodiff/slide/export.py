"""Saving files that belong together: an edit with its maps and request, or maps alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.exporting.targets import staged

__all__ = [
    "Writer",
    "free_stem",
    "map_writers",
    "save_edit",
    "save_together",
    "write_json",
    "write_png",
    "write_tiff",
]

#: Writes one file to a path.
Writer = Callable[[Path], None]


@contextmanager
def free_stem(folder: Path, prefix: str) -> Iterator[str]:
    """Yield `prefix` with the first number that no file of a folder has; nobody else gets it.

    Programs and windows may ask at the same time: while the block runs, a hidden file of this
    name says that the number is taken.

    Parameters
    ----------
    folder : Path
        Made when missing.
    prefix : str
        Start of the names; the number follows in three digits or more.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    stem, claim = "", folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            stem = f"{prefix}{number:03d}"
            claim = folder / f".{stem}.claim"
            try:
                claim.open("x").close()
            except FileExistsError:
                continue
            # Looked at after the claim: who had it before has placed all files, or none.
            if not any(_has_stem(path.name, stem) for path in folder.iterdir()):
                break
            claim.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected to write into {folder}, got '{error.strerror or error}'; choose another "
            "folder"
        ) from error
    try:
        yield stem
    finally:
        with suppress(OSError):
            claim.unlink(missing_ok=True)


def _has_stem(name: str, stem: str) -> bool:
    return name.startswith(stem) and not name[len(stem) : len(stem) + 1].isdigit()


def save_edit(
    folder: Path,
    stem: str,
    image: NDArray[np.uint8],
    request: EditRequest,
    *,
    info: BackendInfo | None = None,
    png: bool = False,
    variant: int = 0,
) -> list[Path]:
    """Write an edit as files that open anywhere, all of them or none.

    `{stem}.tif` holds the image with its pixel size, `{stem}_classes.png` the class map,
    `{stem}_instances.tif` the instance map, `{stem}_tissue.png` the tissue map,
    `{stem}_edit_mask.png` the edit mask, `{stem}_strength.png` the strengths of its parts, black to
    white for 0 to 1 (maps only where the request has them), `{stem}.json` the request, the model
    with the names of the tissue ids, and the mark that it is synthetic.

    Parameters
    ----------
    folder : Path
        Made when missing. Files of the same name are replaced.
    stem : str
        Start of every file name.
    image : (h, w, 3) uint8
        The pixels.
    request : EditRequest
        What they were made from.
    info : BackendInfo, optional
        The model that made them.
    png : bool
        Write the image as `{stem}.png` as well.
    variant : int
        Which of the images that the request draws it is; the description says so. Where each has
        its own maps, the request of that one alone is written.

    Returns
    -------
    list of Path
        The files, the image first.

    Raises
    ------
    StorageError
        When the disk is full or the folder can not be written; the folder is left as it was.
    """
    if request.structures:
        request, variant = request.alone(variant), 0
    writers = _writers(stem, image, request, _provenance(request, info, variant))
    if png:
        writers[f"{stem}.png"] = partial(write_png, image, mpp=request.mpp)
    return save_together(folder, writers)


def save_together(folder: Path, writers: Mapping[str, Writer]) -> list[Path]:
    """Write files that belong together, all of them or none.

    Parameters
    ----------
    folder : Path
        Made when missing. Files of the same name are replaced.
    writers : mapping of str to callable
        What writes each, by its name in the folder.

    Returns
    -------
    list of Path
        The files, in their order.

    Raises
    ------
    StorageError
        When the disk is full or the folder can not be written; the folder is left as it was.
    """
    paths = [folder / name for name in writers]
    with staged(*paths, overwrite=True) as parts:
        for write, part in zip(writers.values(), parts, strict=True):
            write(part)
    return paths


def map_writers(
    stem: str,
    classes: NDArray[np.uint8] | None,
    instances: NDArray[np.int32] | None,
    tissue: NDArray[np.uint8] | None,
    *,
    mpp: float,
) -> dict[str, Writer]:
    """Return what writes the maps of a frame that there are, (h, w) each, by their files' names."""
    writers: dict[str, Writer] = {}
    if classes is not None:
        writers[f"{stem}_classes.png"] = partial(write_png, classes, mpp=mpp)
    if instances is not None:
        writers[f"{stem}_instances.tif"] = partial(write_tiff, instances, mpp=mpp)
    if tissue is not None:
        writers[f"{stem}_tissue.png"] = partial(write_png, tissue, mpp=mpp)
    return writers


def _writers(
    stem: str, image: NDArray[np.uint8], request: EditRequest, said: dict[str, Any]
) -> dict[str, Writer]:
    mpp = request.mpp
    writers: dict[str, Writer] = {f"{stem}.tif": partial(write_tiff, image, mpp=mpp)}
    maps = request.class_map, request.instance_map, request.tissue_map
    writers |= map_writers(stem, *maps, mpp=mpp)
    if request.edit_mask is not None:
        writers[f"{stem}_edit_mask.png"] = partial(
            write_png, request.edit_mask.astype(np.uint8) * 255, mpp=mpp
        )
    if request.strength_map is not None:
        strengths = np.rint(request.strength_map * 255).astype(np.uint8)
        writers[f"{stem}_strength.png"] = partial(write_png, strengths, mpp=mpp)
    writers[f"{stem}.json"] = partial(write_json, said)
    return writers


def _provenance(request: EditRequest, info: BackendInfo | None, variant: int) -> dict[str, Any]:
    model = None
    if info is not None:
        model = {
            "name": info.name,
            "revision": info.revision,
            "licence": info.licence,
            "tissue_names": list(info.tissue_names),
        }
    mark = {"synthetic": True, "made_by": "napari-histodiff", "model": model, "variant": variant}
    return mark | request.to_dict()


def write_tiff(array: NDArray[Any], path: Path, *, mpp: float) -> None:
    """Write a picture or nucleus ids as a TIFF that states its pixel size."""
    pixels_per_cm = 1e4 / mpp
    tifffile.imwrite(
        path,
        array,
        photometric="rgb" if array.ndim == 3 else "minisblack",
        compression="zlib",
        resolution=(pixels_per_cm, pixels_per_cm),
        resolutionunit="CENTIMETER",
        software="napari-histodiff",
        description="synthetic tissue" if array.ndim == 3 else "nucleus ids",
        metadata=None,
    )


def write_png(array: NDArray[np.uint8], path: Path, *, mpp: float | None) -> None:
    """Write a picture or a map that states its pixel size, if known, as our reader reads it."""
    dots = None if mpp is None else 25_400 / mpp  # an inch
    Image.fromarray(array).save(path, "PNG", **({} if dots is None else {"dpi": (dots, dots)}))


def write_json(data: dict[str, Any], path: Path, *, indent: int | None = None) -> None:
    """Write what can be read back as JSON; with an indent for people, in their own letters."""
    # What no letter is, of a console of another code page, becomes an escape that JSON knows.
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(data, file, indent=indent, ensure_ascii=indent is None)
        file.write("" if indent is None else "\n")
