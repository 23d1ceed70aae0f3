"""What napari's *File > Save* writes of an image that was worked on, and of nuclei and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari import current_viewer
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import LABEL_BASE, as_rgb
from napari_histodiff.slide.exporting.nuclei import export_geojson
from napari_histodiff.slide.exporting.provenance import Provenance
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.tiff import export_tiff
from napari_histodiff.ui.command import Studio
from napari_histodiff.ui.saving.saving import marks_of
from napari_histodiff.ui.workspace.document import Document
from napari_histodiff.ui.workspace.transforms import pixel_size

__all__ = ["write_image", "write_labels"]


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a colour image as pyramidal OME-TIFF, with its pixel size and what of it is synthetic.

    A replacement of what is there was confirmed in napari's dialog.

    Parameters
    ----------
    path : str
        `NAME.ome.tif`.
    data : array or list of arrays
        Of the layer, the finest level first.
    attributes : dict
        Of the layer.

    Returns
    -------
    list of str
        The files written.

    Raises
    ------
    StorageError
        When the layer is no colour image, or it cannot be written; nothing is left then. napari
        tells of errors of this kind, and takes those of a wrong value for a missing writer.
    """
    if not attributes.get("rgb"):
        raise StorageError(
            f"expected a colour image to write as OME-TIFF, got '{attributes.get('name')}' of one "
            "channel; save it under a name that ends in .tif"
        )
    document = next((one for one in _documents() if one.target.layer.data is data), None)
    if document is None:
        source = _plain_image(data, attributes)
    else:
        source = document.target.export_source(marks_of(document))
    return [str(file) for file in export_tiff(source, path, overwrite=True)]


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write nuclei, tissue or the labels of another layer as GeoJSON, as QuPath imports them.

    The paint of the dock is written in pixels of its slide's full resolution with its classes;
    other layers in their own pixels, each label one object without a class.

    Parameters
    ----------
    path : str
        `NAME.geojson` or `NAME.geojson.gz`.
    data : array or list of arrays
        Of the layer.
    attributes : dict
        Of the layer.

    Returns
    -------
    list of str
        The file written.

    Raises
    ------
    StorageError
        When the labels are not of two dimensions, or too many, or it cannot be written; nothing is
        left then.
    """
    source = next(
        (found for one in _documents() if (found := _paint(one, data)) is not None), None
    ) or _plain_labels(data, attributes)
    level = source.spec.levels - 1
    export_geojson(source, path, level=level, tissue=source.tissue is not None, overwrite=True)
    return [path]


def _documents() -> Iterator[Document]:
    """Yield the images that the dock of this window worked on, where it is open."""
    viewer = current_viewer()
    docks = () if viewer is None else viewer.window.dock_widgets.values()
    for dock in docks:
        if isinstance(dock, Studio):
            yield from dock.workspace.documents


def _plain_image(data: Any, attributes: dict[str, Any]) -> ExportSource:
    finest = data[0] if isinstance(data, list) or attributes.get("multiscale") else data
    height, width = finest.shape[:2]
    placed = SimpleNamespace(scale=attributes["scale"][-2:], units=attributes["units"][-2:])
    mpp, known = pixel_size(placed)
    return ExportSource.of_image(
        attributes["name"],
        (height, width),
        mpp if known else None,
        lambda region: as_rgb(np.asarray(finest[region.slices])),
        lambda region: np.zeros(region.shape, np.bool_),
        source={"kind": "image", "name": attributes["name"]},
    )


def _paint(document: Document, data: Any) -> ExportSource | None:
    """Return the nuclei or the tissue of a document, in pixels of its image."""
    if not document.layers:
        return None
    region = document.region
    whole = document.target.export_source(marks_of(document))
    spec = replace(whole.spec, levels=region.level + 1)
    if document.nuclei.layer.data is data:
        return replace(whole, spec=spec, labels=_placed(document.nuclei.labels, region))
    if document.tissue.layer.data is data:
        blank = np.zeros(region.shape, np.int32)
        tissue = _placed(document.tissue.tissue, region)
        return replace(whole, spec=spec, labels=_placed(blank, region), tissue=tissue)
    return None


def _placed(painted: NDArray[Any], frame: Region) -> Any:
    def read(region: Region) -> NDArray[Any]:
        found = np.zeros(region.shape, painted.dtype)
        inside = region.intersect(frame)
        if not inside.is_empty:
            part = painted[inside.relative_to(frame).slices]
            found[inside.relative_to(region).slices] = part
        return found

    return read


def _plain_labels(data: Any, attributes: dict[str, Any]) -> ExportSource:
    ids = np.asarray(data[0] if attributes.get("multiscale") else data)
    if ids.ndim != 2 or ids.min(initial=0) < 0 or ids.max(initial=0) >= 2**31 // LABEL_BASE:
        raise StorageError(
            f"expected labels of two dimensions from 0 to {2**31 // LABEL_BASE - 1}, got "
            f"{ids.ndim} dimensions up to {ids.max(initial=0)} in '{attributes.get('name')}'; "
            "save one plane of it, or under a name that ends in .tif"
        )
    labels = ids.astype(np.int32) * LABEL_BASE
    spec = PyramidSpec(ids.shape[0], ids.shape[1], 256, 1, 0.5)
    origin = {"kind": "labels", "name": attributes["name"]}
    provenance = Provenance(extent="none", source=origin)
    return ExportSource(
        name=attributes["name"],
        spec=spec,
        read=lambda region: np.zeros((*region.shape, 3), np.uint8),
        provenance=provenance,
        labels=_placed(labels, spec.bounds(0)),
    )
