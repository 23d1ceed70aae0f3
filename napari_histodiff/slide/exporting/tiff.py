"""Pyramidal TIFF: OME-TIFF as QuPath, OMERO and Bio-Formats read it, and the plain kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.provenance import Provenance
from napari_histodiff.slide.exporting.sidecar import beside, sidecar_paths, synthetic_outlines
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged

__all__ = ["NAMESPACE", "Compression", "TiffKind", "export_tiff", "tile_digest"]

#: How tiles are stored: "deflate" keeps every pixel, "jpeg" is smaller and changes them a little.
Compression = Literal["deflate", "jpeg"]

#: "ome": levels as SubIFDs with OME-XML. "pyramid": levels one after another, as OpenSlide reads.
TiffKind = Literal["ome", "pyramid"]

#: Namespace of our annotations in OME-XML.
NAMESPACE: Final = "napari-histodiff/provenance"

_OME: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_SCHEMA: Final = f"{_OME} {_OME}/ome.xsd"
_SIDE: Final = 512

_NOT_IN_XML: Final = {code: " " for code in range(32) if chr(code) not in "\t\n\r"}

# Where the digest of the tiles stands in a description that is written before them.
_DIGEST_SLOT: Final = "filled-in-when-all-tiles-are-written".center(64, "-")
_QUALITY: Final = (1, 100)


def export_tiff(
    source: ExportSource,
    path: Path | str,
    *,
    kind: TiffKind = "ome",
    compression: Compression = "deflate",
    quality: int = 90,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Write a pyramid as tiled BigTIFF, in memory of a few tiles, all of it or nothing.

    Beside FILE lie `FILE.histodiff.json`, which says what is synthetic, and, where only parts are,
    `FILE.synthetic.geojson` with their outlines.

    Parameters
    ----------
    source : ExportSource
        What to write.
    path : Path
        `NAME.ome.tif` or `NAME.tif`.
    kind, compression
        See `TiffKind` and `Compression`.
    quality : int
        Of JPEG, 1 to 100.
    overwrite : bool
        Whether files of these names may be replaced.
    on_progress : callable, optional
        Told of every tile; raises `Cancelled` to end the export.

    Returns
    -------
    list of Path
        The files, the image first.

    Raises
    ------
    InvalidRequest
        When the quality is out of range.
    StorageError
        When a file is there, or cannot be written; nothing is left then.
    """
    path = Path(path)
    source.check_target(path)
    if not _QUALITY[0] <= quality <= _QUALITY[1]:
        raise InvalidRequest(
            f"expected a JPEG quality of {_QUALITY[0]} to {_QUALITY[1]}, got {quality}; choose one "
            "in that range, for example 90"
        )
    spec = source.spec
    counts = [len(spec.bounds(level).blocks(_SIDE)) for level in range(spec.levels)]
    steps = Steps(sum(counts), on_progress)
    paths = sidecar_paths(source, path)
    with staged(*paths, path, overwrite=overwrite) as parts:
        outlines = synthetic_outlines(source)
        *others, image = parts
        _write(source, image, kind, compression, quality, outlines.provenance, steps)
        digest = tile_digest(image)
        _fill_in(image, digest)
        beside(others, path, outlines, tiles_sha256=digest)
    return [path, *paths]


def tile_digest(path: Path) -> str:
    """Return the SHA-256 of the stored tiles of full resolution, one after another."""
    digest = hashlib.sha256()
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            tiff.filehandle.seek(start)
            digest.update(tiff.filehandle.read(count))
    return digest.hexdigest()


def _write(
    source: ExportSource,
    path: Path,
    kind: TiffKind,
    compression: Compression,
    quality: int,
    provenance: Provenance,
    steps: Steps,
) -> None:
    spec = source.spec
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "predictor": True}
    options["compressionargs"] = {"level": 6}
    if compression == "jpeg":
        options = {"photometric": "rgb", "compression": "jpeg", "subsampling": (1, 1)}
        options["compressionargs"] = {"level": quality}
    words = ome_xml(source, provenance) if kind == "ome" else plain_text(provenance)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level in range(spec.levels):
            bounds = spec.bounds(level)
            top = level == 0
            tiff.write(
                _tiles(source, bounds, steps),
                shape=(*bounds.shape, 3),
                dtype=np.uint8,
                tile=(_SIDE, _SIDE),
                planarconfig="contig",
                subifds=spec.levels - 1 if top and kind == "ome" else None,
                subfiletype=0 if top else 1,
                description=words.encode() if top else None,
                software="napari-histodiff" if top else None,
                metadata=None,
                maxworkers=1,
                **_resolution(source, level),
                **options,
            )


def _tiles(source: ExportSource, bounds: Region, steps: Steps) -> Iterator[NDArray[np.uint8]]:
    for place in bounds.blocks(_SIDE):
        pixels = source.read(place)
        # Repeated to a whole tile, which JPEG smears less than black.
        beyond = [(0, _SIDE - place.height), (0, _SIDE - place.width), (0, 0)]
        steps.step(f"level {bounds.level}")
        yield pixels if place.shape == (_SIDE, _SIDE) else np.pad(pixels, beyond, "edge")


def _resolution(source: ExportSource, level: int) -> dict[str, Any]:
    if source.mpp is None:
        return {}
    y, x = (1e4 / (mpp * 2**level) for mpp in source.mpp)
    return {"resolution": (x, y), "resolutionunit": "CENTIMETER"}


def plain_text(provenance: Provenance) -> str:
    """Return what a plain TIFF says of itself: words, then the same as JSON."""
    said = provenance.to_dict() | {"tiles_sha256": _DIGEST_SLOT}
    return f"{provenance.statement}\n{json.dumps(said)}"


def ome_xml(source: ExportSource, provenance: Provenance) -> str:
    """Return the OME-XML of an RGB pyramid, with what is synthetic as annotations."""
    spec = source.spec
    root = ElementTree.Element(
        "OME",
        {
            "xmlns": _OME,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": _SCHEMA,
            "Creator": provenance.to_dict()["made_by"],
        },
    )
    image = ElementTree.SubElement(root, "Image", ID="Image:0", Name=source.name)
    ElementTree.SubElement(image, "Description").text = provenance.statement
    sizes = {"SizeX": spec.width, "SizeY": spec.height, "SizeC": 3, "SizeZ": 1, "SizeT": 1}
    pixels = ElementTree.SubElement(
        image,
        "Pixels",
        {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": "uint8", "Interleaved": "true"}
        | {"SignificantBits": "8", "BigEndian": "false"}
        | {name: str(value) for name, value in sizes.items()},
    )
    if source.mpp is not None:
        for axis, mpp in zip("YX", source.mpp, strict=True):
            pixels.set(f"PhysicalSize{axis}", repr(mpp))
            pixels.set(f"PhysicalSize{axis}Unit", "µm")
    ElementTree.SubElement(pixels, "Channel", ID="Channel:0:0", SamplesPerPixel="3", Name="RGB")
    ElementTree.SubElement(pixels, "TiffData", IFD="0", PlaneCount="1")
    notes = ElementTree.SubElement(root, "StructuredAnnotations")
    annotation = {"Namespace": NAMESPACE}
    words = ElementTree.SubElement(notes, "CommentAnnotation", annotation, ID="Annotation:0")
    ElementTree.SubElement(words, "Value").text = provenance.statement
    table = ElementTree.SubElement(notes, "MapAnnotation", annotation, ID="Annotation:1")
    values = ElementTree.SubElement(table, "Value")
    for key, value in (*provenance.pairs(), ("Tiles SHA-256", _DIGEST_SLOT)):
        ElementTree.SubElement(values, "M", K=key).text = value
    whole = ElementTree.SubElement(notes, "CommentAnnotation", annotation, ID="Annotation:2")
    ElementTree.SubElement(whole, "Value").text = json.dumps(provenance.to_dict())
    for number in range(3):
        ElementTree.SubElement(image, "AnnotationRef", ID=f"Annotation:{number}")
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    text = head + ElementTree.tostring(root, encoding="unicode")
    return text.translate(_NOT_IN_XML)


def _fill_in(path: Path, digest: str) -> None:
    """Write the digest of the tiles into the place that was left for it."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags["ImageDescription"]
        start, count = tag.valueoffset, tag.count
    with path.open("rb+") as file:
        file.seek(start)
        at = file.read(count).find(_DIGEST_SLOT.encode())
        file.seek(start + at)
        file.write(digest.encode())
