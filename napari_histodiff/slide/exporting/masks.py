"""Nuclei of a slide as an instance map and a class map, and its tissue as one, of any size."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.slide.exporting.nuclei import blocks, nuclei_of
from napari_histodiff.slide.exporting.sidecar import beside, sidecar_paths, synthetic_outlines
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged, without_ending

__all__ = ["MaskKind", "export_masks"]

#: How maps are stored; never as JPEG, which would change ids.
MaskKind = Literal["tiff", "png", "npy"]

_SUFFIX: Final[dict[MaskKind, str]] = {"tiff": ".tif", "png": ".png", "npy": ".npy"}
_MAPS: Final = ("instances", "classes", "tissue")
_SIDE: Final = 512

#: Pixels of the cells in which a scratch file takes room: 64 pages.
_CELL: Final = (64, 1024)

#: Nuclei between two times that pages are taken out of memory.
_LET_GO: Final = 2000

#: Pixels of the largest PNG, which is made in memory.
_MOST_PNG: Final = 2**28


def export_masks(
    source: ExportSource,
    path: Path | str,
    *,
    kind: MaskKind = "tiff",
    level: int = 0,
    tissue: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Write which nucleus each pixel belongs to, of which class it is, and if asked its tissue.

    Nuclei are numbered from 1 in the order in which they are found; ids are uint16 where they fit,
    else uint32. The maps grow on disk and not in memory, PNG excepted.

    Parameters
    ----------
    source : ExportSource
        The slide.
    path : Path
        Start of the names: `path_instances.tif`, `path_classes.tif` and `path_tissue.tif`; the
        ending of a file is left out of it.
    kind : {"tiff", "png", "npy"}
        How they are stored.
    level : int
        The level whose nuclei and tissue to take.
    tissue : bool
        Whether to write the tissue, ids of `TISSUE_NAMES`.
    overwrite, on_progress
        As in `export_tiff`.

    Returns
    -------
    list of Path
        Instances, classes, tissue, and what lies beside them.

    Raises
    ------
    InvalidRequest
        When the slide has no nuclei, or no tissue that was asked for, or is too large or too full
        for PNG.
    StorageError
        When a file is there, or cannot be written; nothing is left then.
    """
    path = without_ending(Path(path))
    bounds = source.spec.bounds(level)
    if kind == "png" and bounds.area > _MOST_PNG:
        raise InvalidRequest(
            f"expected at most {_MOST_PNG} pixels in a PNG, got {bounds.height} x {bounds.width}; "
            "choose tiff or npy, or a part"
        )
    tissue_in = source.tissue_told() if tissue else None
    named = _MAPS if tissue else _MAPS[:2]
    maps = [path.with_name(f"{path.name}_{what}{_SUFFIX[kind]}") for what in named]
    others = sidecar_paths(source, path.with_name(f"{path.name}_masks"))
    scratch = path.with_name(f"{path.name}_maps.scratch")
    for one in maps:
        source.check_target(one)
    steps = Steps(len(blocks(bounds)) * (1 if tissue_in is None else 2), on_progress)
    with staged(scratch, *others, *maps, overwrite=overwrite) as (raw, *parts):
        scratch_maps = _Scratch(raw, (len(maps), *bounds.shape))
        nuclei, count = scratch_maps.maps, 0
        for count, nucleus in enumerate(nuclei_of(source, level, steps), start=1):
            scratch_maps.take_room(slice(2), nucleus.box)
            place = nucleus.box.slices
            nuclei[0][place][nucleus.mask] = count
            nuclei[1][place][nucleus.mask] = nucleus.class_id
            if count % _LET_GO == 0:
                _let_go(nuclei)
        wide = np.uint16 if count <= np.iinfo(np.uint16).max else np.uint32
        if kind == "png" and wide is np.uint32:
            raise InvalidRequest(
                f"expected at most 65535 nuclei in a PNG, got {count}; choose tiff or npy"
            )
        more: dict[str, Any] = {"nuclei": count, "classes": ["", *CLASS_NAMES], "level": level}
        if tissue_in is not None:
            for block in blocks(bounds):
                scratch_maps.take_room(slice(2, 3), block)
                nuclei[2][block.slices] = tissue_in(block)
                _let_go(nuclei)
                steps.step("tissue")
            more["tissue"] = ["", *TISSUE_NAMES[1:]]
        mpp = None if source.mpp is None else tuple(one * 2**level for one in source.mpp)
        dtypes = (wide, np.uint8, np.uint8)
        for plane, part, dtype in zip(nuclei, parts[len(others) :], dtypes, strict=False):
            _save(plane, part, np.dtype(dtype), kind, mpp)
        beside(parts[: len(others)], path, synthetic_outlines(source), **more)
        del nuclei, plane, scratch_maps
        raw.unlink()
    return [*maps, *others]


class _Scratch:
    """Maps in a file of which only cells that hold something take room on the disk.

    Parameters
    ----------
    path : Path
    shape : (int, int, int)
        Maps, rows and columns.

    Attributes
    ----------
    maps : (n, h, w) uint32
        Zeros; room is to be taken before something is put in.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._path = path
        self.maps: NDArray[np.uint32] = np.memmap(path, np.uint32, "w+", shape=shape)
        grid = [-(-side // cell) for side, cell in zip(shape[1:], _CELL, strict=True)]
        self._taken = np.zeros((shape[0], *grid), np.bool_)

    def take_room(self, planes: slice, place: Region) -> None:
        """Take room for a place of some maps, if it has none yet.

        The process would end without a word where a disk turns out to be full behind a map: zeros
        are written as to any file, which says so.

        Raises
        ------
        OSError
            When the disk is full.
        """
        ys, xs = (
            slice(part.start // cell, -(-part.stop // cell))
            for part, cell in zip(place.slices, _CELL, strict=True)
        )
        cells = self._taken[planes, ys, xs]
        if cells.all():
            return
        with self._path.open("r+b") as file:
            for plane, y, x in np.argwhere(~cells).tolist():
                self._zero(file, (planes.start or 0) + plane, ys.start + y, xs.start + x)
        cells[...] = True

    def _zero(self, file: IO[bytes], plane: int, y: int, x: int) -> None:
        _, height, width = self.maps.shape
        top, left = y * _CELL[0], x * _CELL[1]
        zeros = bytes(self.maps.itemsize * min(_CELL[1], width - left))
        for row in range(top, min(top + _CELL[0], height)):
            file.seek(self.maps.itemsize * ((plane * height + row) * width + left))
            file.write(zeros)


def _save(
    plane: NDArray[Any],
    path: Path,
    dtype: np.dtype[Any],
    kind: MaskKind,
    mpp: tuple[float, ...] | None,
) -> None:
    if kind == "png":
        Image.fromarray(plane.astype(dtype)).save(path, format="PNG")
    elif kind == "npy":
        with path.open("wb") as file:
            said = {"descr": dtype.str, "fortran_order": False, "shape": plane.shape}
            np.lib.format.write_array_header_1_0(file, said)
            for start in range(0, plane.shape[0], _SIDE):
                file.write(plane[start : start + _SIDE].astype(dtype).tobytes())
                _let_go(plane)
    else:
        resolution: dict[str, Any] = (
            {} if mpp is None else {"resolution": (1e4 / mpp[1], 1e4 / mpp[0])}
        )
        tifffile.imwrite(
            path,
            _tiles(plane, dtype),
            shape=plane.shape,
            dtype=dtype,
            bigtiff=True,
            tile=(_SIDE, _SIDE),
            photometric="minisblack",
            compression="zlib",
            resolutionunit="CENTIMETER" if resolution else None,
            software="napari-histodiff",
            metadata=None,
            **resolution,
        )


def _tiles(plane: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for y in range(0, plane.shape[0], _SIDE):
        for x in range(0, plane.shape[1], _SIDE):
            tile = np.zeros((_SIDE, _SIDE), dtype)
            found = plane[y : y + _SIDE, x : x + _SIDE]
            tile[: found.shape[0], : found.shape[1]] = found
            yield tile
        _let_go(plane)


def _let_go(mapped: NDArray[Any]) -> None:
    """Take the pages of a mapped file out of memory; what was written stays in the file.

    They count as this process's own until somebody needs the room, which on a large slide is all
    of it. Where a system has no such call, they stay.
    """
    base: Any = mapped
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "_mmap", None) or getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
