"""OME-Zarr of both versions that programs read, with nuclei, tissue and what is synthetic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import zarr
from numcodecs import Blosc  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from napari_histodiff.core.colours import CLASS_HEX, TISSUE_HEX, UNKNOWN_HEX, rgb_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, LABEL_BASE, TISSUE_NAMES
from napari_histodiff.slide.exporting.sidecar import (
    SYNTHETIC_STYLE,
    beside,
    sidecar_paths,
    synthetic_outlines,
)
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged

__all__ = ["ZarrVersion", "chunk_digest", "export_ome_zarr"]

#: QuPath and Bio-Formats read 0.4; 0.5 is zarr v3.
ZarrVersion = Literal["0.4", "0.5"]

_SIDE: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """A label image: how it is read at level 0, and what its values mean."""

    name: str
    dtype: str
    read: Callable[[Region], NDArray[Any]]
    colours: dict[int, tuple[int, int, int]]
    properties: list[dict[str, Any]]


def export_ome_zarr(
    source: ExportSource,
    path: Path | str,
    *,
    version: ZarrVersion = "0.5",
    labels: bool = True,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Write a pyramid as OME-Zarr, in memory of a few chunks, all of it or nothing.

    What is synthetic stands in the attributes under "histodiff", in `NAME.ome.zarr.histodiff.json`
    and, where only parts are, in the label image "synthetic" and `NAME.ome.zarr.synthetic.geojson`.

    Parameters
    ----------
    source : ExportSource
        What to write.
    path : Path
        `NAME.ome.zarr`, a folder.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    labels : bool
        Whether to write the label images "nuclei" (7 * instance + class), "classes" and "tissue",
        as far as the source has them.
    overwrite, on_progress
        As in `export_tiff`.

    Returns
    -------
    list of Path
        The folder, and the files beside it.

    Raises
    ------
    StorageError
        When something is there, or cannot be written; nothing is left then.
    """
    path = Path(path)
    source.check_target(path)
    images = list(_label_images(source, maps=labels))
    spec = source.spec
    counts = [len(spec.bounds(level).blocks(_SIDE)) for level in range(spec.levels)]
    steps = Steps(sum(counts) * (1 + len(images)), on_progress)
    paths = sidecar_paths(source, path)
    with staged(*paths, path, overwrite=overwrite) as parts:
        outlines = synthetic_outlines(source)
        *others, folder = parts
        group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
        _write_image(group, source, version, steps)
        if images:
            inner = group.create_group("labels")
            _describe(inner, version, {"labels": [one.name for one in images]})
            for one in images:
                _write_labels(inner.create_group(one.name), source, one, version, steps)
        digest = chunk_digest(folder)
        said = outlines.provenance.to_dict() | {"tiles_sha256": digest}
        group.attrs["histodiff"] = said
        beside(others, path, outlines, tiles_sha256=digest)
    return [path, *paths]


def chunk_digest(path: Path) -> str:
    """Return the SHA-256 of the stored chunks of full resolution, one after another."""
    digest = hashlib.sha256()
    chunks = [one for one in (path / "0").rglob("*") if one.name.isdigit() and one.is_file()]
    for chunk in sorted(chunks, key=lambda one: [int(n) for n in one.parts if n.isdigit()]):
        digest.update(chunk.read_bytes())
    return digest.hexdigest()


def _label_images(source: ExportSource, *, maps: bool) -> Iterator[_Labels]:
    if source.provenance.extent == "part":
        name, colour = SYNTHETIC_STYLE
        words = [{"label-value": 1, "class": name}]
        yield _Labels("synthetic", "uint8", source.edited, {1: colour}, words)
    nuclei, tissue = source.labels, source.tissue
    if not maps:
        return
    if nuclei is not None:

        def classes(region: Region) -> NDArray[Any]:
            found = nuclei(region)
            return np.where(found > 0, found % LABEL_BASE, 0).astype(np.uint8)

        rule = [{"label-value": 7, "class": "a label is 7 * instance + class"}]
        yield _Labels("nuclei", "int32", nuclei, {}, rule)
        colours = {i: rgb_of(hex_) for i, hex_ in enumerate((UNKNOWN_HEX, *CLASS_HEX)) if i}
        names = [{"label-value": i, "class": name} for i, name in enumerate(CLASS_NAMES, start=1)]
        yield _Labels("classes", "uint8", classes, colours, names)
    if tissue is not None:
        colours = {i: rgb_of(hex_) for i, hex_ in enumerate(TISSUE_HEX) if i}
        names = [{"label-value": i, "class": name} for i, name in enumerate(TISSUE_NAMES) if i]
        yield _Labels("tissue", "uint8", tissue, colours, names)


def _write_image(
    group: zarr.Group, source: ExportSource, version: ZarrVersion, steps: Steps
) -> None:
    spec = source.spec
    for level in range(spec.levels):
        bounds = spec.bounds(level)
        array = _array(group, level, (3, *bounds.shape), "uint8", version)
        for place in bounds.blocks(_SIDE):
            array[:, *place.slices] = np.moveaxis(source.read(place), -1, 0)
            steps.step(f"level {level}")
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [
        {"label": label, "color": colour, "active": True, "coefficient": 1, "window": window}
        for label, colour in {"Red": "FF0000", "Green": "00FF00", "Blue": "0000FF"}.items()
    ]
    omero = {"name": source.name, "channels": channels, "rdefs": {"model": "color"}}
    multiscale = _multiscale(source, source.name, version, channels=True)
    _describe(group, version, {"multiscales": [multiscale], "omero": omero})


def _write_labels(
    group: zarr.Group, source: ExportSource, one: _Labels, version: ZarrVersion, steps: Steps
) -> None:
    spec = source.spec
    below: zarr.Array[Any] | None = None
    for level in range(spec.levels):
        bounds = spec.bounds(level)
        array = _array(group, level, bounds.shape, one.dtype, version)
        for place in bounds.blocks(_SIDE):
            if below is None:
                values = one.read(place)
            else:  # every second pixel of the level below
                values = np.asarray(below[place.enlarged(2).slices])[::2, ::2]
            array[place.slices] = values
            steps.step(one.name)
        below = array
    label: dict[str, Any] = {"source": {"image": "../../"}, "properties": one.properties}
    if version == "0.4":
        label["version"] = version
    if one.colours:
        label["colors"] = [
            {"label-value": value, "rgba": [*colour, 255]} for value, colour in one.colours.items()
        ]
    multiscale = _multiscale(source, one.name, version, channels=False)
    _describe(group, version, {"multiscales": [multiscale], "image-label": label})


def _array(
    group: zarr.Group, level: int, shape: tuple[int, ...], dtype: str, version: ZarrVersion
) -> zarr.Array[Any]:
    options: dict[str, Any] = {
        "compressors": ZstdCodec(level=3),
        "dimension_names": ("c", "y", "x")[-len(shape) :],
    }
    if version == "0.4":
        # What Bio-Formats decodes.
        options = {
            "compressors": Blosc("zstd", clevel=3, shuffle=Blosc.SHUFFLE),
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        }
    chunks = (*shape[:-2], _SIDE, _SIDE)
    return group.create_array(str(level), shape=shape, chunks=chunks, dtype=dtype, **options)


def _multiscale(
    source: ExportSource, name: str, version: ZarrVersion, *, channels: bool
) -> dict[str, Any]:
    space: dict[str, str] = {"type": "space"}
    if source.mpp is not None:
        space["unit"] = "micrometer"
    axes = [{"name": "c", "type": "channel"}] if channels else []
    first = [1.0] if channels else []
    mpp = source.mpp or (1.0, 1.0)
    datasets = []
    for level in range(source.spec.levels):
        scale = [*first, *(one * 2**level for one in mpp)]
        # The first pixel of a coarse level covers more: its centre lies farther.
        shift = [0.0 for _ in first] + [one * (2**level - 1) / 2 for one in mpp]
        moves = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    said: dict[str, Any] = {"version": version} if version == "0.4" else {}
    return said | {
        "name": name,
        "axes": [*axes, *({"name": axis} | space for axis in "yx")],
        "datasets": datasets,
        "type": "mean" if channels else "nearest",
    }


def _describe(group: zarr.Group, version: ZarrVersion, attributes: dict[str, Any]) -> None:
    if version == "0.4":
        group.attrs.update(attributes)
    else:
        group.attrs["ome"] = {"version": version} | attributes
